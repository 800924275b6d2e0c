"""``ssl-bench figure``: pictures for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from ssl_bench.compute import Compute

app = typer.Typer(add_completion=False)

DATASET = "placed_digits"
FROM_RECORDS, FROM_MODEL = ("bars", "scatter"), ("attention", "neighbours")
OF_METHODS = ("masking", "reconstruction", "temperature")
FROM_TASK = {
    "segmentation": ("segment_shapes", "ssl_bench.reporting.dense_figures:segmentation"),
    "depth": ("depth_shapes", "ssl_bench.reporting.dense_figures:depth"),
    "detections": ("detect_shapes", "ssl_bench.reporting.detection_figures:detections"),
}
"""Kind -> the usual task, and the function that draws: (backbone, dataset, settings, compute, out, count)."""
KINDS = (*FROM_RECORDS, *FROM_MODEL, *FROM_TASK, *OF_METHODS)


@app.command("figure")
def figure(
    kind: Annotated[str, typer.Argument(help="What to draw.", metavar="|".join(KINDS))],
    out: Annotated[Path, flag("--out", help="File to write, .png or .svg.")],
    model: Annotated[
        str | None, flag("--model", "-m", help="Model; reconstruction: the folder of an MAE that was trained here.")
    ] = None,
    task: Annotated[
        str | None, flag("--task", "-t", help="Task of segmentation, depth and detections: its head is trained first.")
    ] = None,
    set_: options.Set = None,
    weights: options.Weights = None,
    dataset: Annotated[
        str | None, flag("--dataset", help="Data set whose images are shown (default placed_digits).")
    ] = None,
    image: Annotated[
        list[Path] | None,
        flag("--image", help="Attention, masking, reconstruction: an image file instead. Repeatable."),
    ] = None,
    count: Annotated[int, flag("--count", help="Images of the data set to show.", min=1)] = 6,
    results: options.Results = None,
    data_root: options.DataRoot = None,
    device: options.Device = "auto",
    include: options.Include = None,
) -> None:
    """Draw accuracies (bars, scatter) from the records, what a model sees (attention, neighbours), input, truth and
    prediction of a task's test images (segmentation, depth, detections), or what methods do: which patches they hide
    (masking), what an MAE makes of the others (reconstruction), what the temperature of the contrastive loss does on a
    model's features or on random ones (temperature)."""
    options.include(include)
    from ssl_bench.cli.console import Bars, note
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.errors import SettingsError, UnknownNameError
    from ssl_bench.paths import data_root as where_data

    if kind in FROM_RECORDS:
        _from_records(kind, out, results)
    elif kind not in KINDS:
        raise UnknownNameError("figure", kind, KINDS)
    elif model is None and kind not in {"masking", "temperature"}:
        raise SettingsError(f"figure {kind} needs --model.", "`ssl-bench list models` shows them.")
    else:
        compute = Compute(device=resolve_device(device), data_root=where_data(data_root), progress=Bars())
        if kind in OF_METHODS:
            _of_method(kind, out, model, weights, dataset, image or [], count, compute)
        elif kind in FROM_TASK:
            _from_task(kind, out, str(model), weights, task, set_ or [], count, compute)
        else:
            _from_model(kind, out, str(model), weights, dataset or DATASET, image or [], count, compute)
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
    if kind == "attention":
        figures.attention(backbone, _images(files, dataset, count, compute), out)
        return
    data = load_dataset(dataset, compute.data_root)
    train, test = extract(backbone, data.train, compute), extract(backbone, data.test, compute)
    figures.neighbours(train, test, data, out, queries=figures.spread_over(len(data.test), count))


def _of_method(
    kind: str,
    out: Path,
    model: str | None,
    weights: str | None,
    dataset: str | None,
    files: list[Path],
    count: int,
    compute: Compute,
) -> None:
    from ssl_bench.reporting import masking_figures, temperature

    if kind == "temperature":
        temperature.temperature(out, *(_features(model, weights, dataset or DATASET, compute) if model else ()))
    elif kind == "masking":
        masking_figures.masking(_images(files, dataset or DATASET, count, compute), out)
    else:
        run = Path(str(model))
        run = run if run.is_dir() else run.parent
        recipe = masking_figures.read_recipe(run)
        masking_figures.reconstruction(run, _images(files, dataset or recipe.dataset, count, compute), out)


def _features(model: str, weights: str | None, dataset: str, compute: Compute) -> tuple[np.ndarray, str]:
    """Of the training images, and what they are."""
    from ssl_bench.backbones.load import load_model
    from ssl_bench.data.builders import load_dataset
    from ssl_bench.data.features import extract

    backbone = load_model(model, weights=weights, device=compute.device, cache=compute.cache, progress=compute.progress)
    data = load_dataset(dataset, compute.data_root)
    return extract(backbone, data.train, compute).x, f"{backbone.name} on {dataset}"


def _images(files: list[Path], dataset: str, count: int, compute: Compute) -> list[Image.Image]:
    """The files, or ``count`` test images."""
    if files:
        return [_open(path) for path in files]
    from ssl_bench.data.builders import load_dataset
    from ssl_bench.reporting.figures import spread_over

    test = load_dataset(dataset, compute.data_root).test
    return [test.image(i) for i in spread_over(len(test), count)]


def _from_task(
    kind: str,
    out: Path,
    model: str,
    weights: str | None,
    name: str | None,
    given: list[str],
    count: int,
    compute: Compute,
) -> None:
    """One test image a row. Everything that the user may have got wrong is found before the head is trained."""
    import importlib

    from ssl_bench.backbones.load import load_model
    from ssl_bench.data.builders import load_dataset
    from ssl_bench.errors import SettingsError
    from ssl_bench.registry import registry
    from ssl_bench.selection import parse_settings, settings_for
    from ssl_bench.settings import resolve

    usual, drawer = FROM_TASK[kind]
    task = registry().task(name or usual)
    wanted = registry().task(usual).protocol
    if task.protocol != wanted:
        raise SettingsError(
            f"figure {kind}: the task {task.name} has the protocol {task.protocol}, not {wanted}.",
            f"`ssl-bench list tasks --protocol {wanted}` shows those that fit.",
        )
    protocol = registry().protocols.get(task.protocol)
    chosen = settings_for(task, parse_settings(given), [task.protocol])
    settings = resolve(protocol.settings, chosen, task.protocol)
    data = load_dataset(task.dataset, compute.data_root)
    backbone = load_model(model, weights=weights, device=compute.device, cache=compute.cache, progress=compute.progress)
    module, _, function = drawer.partition(":")
    getattr(importlib.import_module(module), function)(backbone, data, settings, compute, out, count)


def _open(path: Path) -> Image.Image:
    from PIL import Image, UnidentifiedImageError

    from ssl_bench.errors import DataError

    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"--image {path}: cannot be read as an image ({error}).") from None
