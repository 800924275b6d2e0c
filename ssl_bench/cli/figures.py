"""``ssl-bench figure``: pictures for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    from PIL import Image

    from ssl_bench.compute import Compute

app = typer.Typer(add_completion=False)

FROM_RECORDS, FROM_MODEL = ("bars", "scatter"), ("attention", "neighbours")


@app.command("figure")
def figure(
    kind: Annotated[str, typer.Argument(help="What to draw.", metavar="bars|scatter|attention|neighbours")],
    out: Annotated[Path, flag("--out", help="File to write, .png or .svg.")],
    model: Annotated[str | None, flag("--model", "-m", help="Model of attention and neighbours.")] = None,
    weights: options.Weights = None,
    dataset: Annotated[str, flag("--dataset", help="Data set whose images are shown.")] = "placed_digits",
    image: Annotated[list[Path] | None, flag("--image", help="Attention: an image file instead. Repeatable.")] = None,
    count: Annotated[int, flag("--count", help="Images of the data set to show.", min=1)] = 6,
    results: options.Results = None,
    data_root: options.DataRoot = None,
    device: options.Device = "auto",
    include: options.Include = None,
) -> None:
    """Draw accuracies (bars, scatter) from the records, or what a model sees (attention, neighbours)."""
    options.include(include)
    from ssl_bench.cli.console import Bars, note
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.errors import SettingsError, UnknownNameError
    from ssl_bench.paths import data_root as where_data

    if kind in FROM_RECORDS:
        _from_records(kind, out, results)
    elif kind not in FROM_MODEL:
        raise UnknownNameError("figure", kind, [*FROM_RECORDS, *FROM_MODEL])
    elif model is None:
        raise SettingsError(f"figure {kind} needs --model.", "`ssl-bench list models` shows them.")
    else:
        compute = Compute(device=resolve_device(device), data_root=where_data(data_root), progress=Bars())
        _from_model(kind, out, model, weights, dataset, image or [], count, compute)
    note(f"Wrote {out.resolve()}")


def _from_records(kind: str, out: Path, results: Path | None) -> None:
    from ssl_bench.cli.reports import open_store
    from ssl_bench.errors import StoreError
    from ssl_bench.reporting import charts

    store = open_store(results)
    records = store.all()
    if not records:
        raise StoreError(
            f"There are no records in {store.root}.", "`ssl-bench run` writes them; --results says where they are."
        )
    (charts.bars if kind == "bars" else charts.scatter)(records, out)


def _from_model(
    kind: str, out: Path, model: str, weights: str | None, dataset: str, files: list[Path], count: int, compute: Compute
) -> None:
    from ssl_bench.backbones.load import load_model
    from ssl_bench.data.builders import load_dataset
    from ssl_bench.data.features import extract
    from ssl_bench.reporting import figures

    backbone = load_model(model, weights=weights, device=compute.device, cache=compute.cache, progress=compute.progress)
    if kind == "attention" and files:
        figures.attention(backbone, [_open(path) for path in files], out)
        return
    data = load_dataset(dataset, compute.data_root)
    chosen = [round(i * (len(data.test) - 1) / max(count - 1, 1)) for i in range(min(count, len(data.test)))]
    if kind == "attention":
        figures.attention(backbone, [data.test.image(i) for i in chosen], out)
        return
    train, test = extract(backbone, data.train, compute), extract(backbone, data.test, compute)
    figures.neighbours(train, test, data, out, queries=chosen)


def _open(path: Path) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    from ssl_bench.errors import DataError

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"--image {path}: cannot be read as an image ({error}).") from None
