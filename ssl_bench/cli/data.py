"""``ssl-bench data``: is a data set complete and in the right layout, and put it right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

GROUP = True
app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Data sets: list them, check one on disk, put its layout right."
)


def _root(given: Path | None) -> Path:
    from ssl_bench.paths import data_root

    return data_root(given)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List the data sets."""
    from ssl_bench.cli.console import print_rows
    from ssl_bench.listing import list_datasets

    print_rows(list_datasets(), "datasets", json)


@app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Data set.")],
    data_root: options.DataRoot = None,
    decode: Annotated[
        bool, flag("--decode", help="Read every image, map and annotation too, which takes long.")
    ] = False,
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Say exactly what is missing, extra or wrong."""
    options.include(include)
    from ssl_bench.cli.console import Bars, out, print_json
    from ssl_bench.data.check import check_dataset

    report = check_dataset(name, _root(data_root), Bars(), decode=decode)
    if json:
        print_json(report.as_dict())
    else:
        out("\n".join(report.lines()))
    raise typer.Exit(0 if report.ok else 2)


@app.command("prepare")
def prepare(
    name: Annotated[str, typer.Argument(help="Data set; only imagenet needs preparing.")],
    data_root: options.DataRoot = None,
) -> None:
    """Put the layout right: sort ImageNet's flat validation folder into class folders."""
    from ssl_bench.cli.console import Bars, note
    from ssl_bench.data.check import prepare_imagenet
    from ssl_bench.errors import DataError

    if name != "imagenet":
        raise DataError(
            f"`data prepare {name}`: nothing to prepare; only imagenet is known to need it.",
            f"`ssl-bench data check {name}` says what is missing.",
        )
    moved = prepare_imagenet(_root(data_root), Bars())
    note(f"{moved} images sorted into class folders.")
