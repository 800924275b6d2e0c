"""Flags that several verbs share. Every flag ``--some-name`` can also be given as ``SSL_BENCH_SOME_NAME``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


def flag(*names: str, help: str, envvar: list[str] | None = None, **more: Any) -> Any:
    """A typer option with its environment variable, derived from the long name."""
    long = next(name for name in names if name.startswith("--")).split("/")[0]
    derived = "SSL_BENCH_" + long.removeprefix("--").replace("-", "_").upper()
    return typer.Option(*names, help=help, envvar=[derived, *(envvar or [])], show_envvar=False, **more)


class Precision(StrEnum):
    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"


class Pipeline(StrEnum):
    exact = "exact"
    fast = "fast"


class Launcher(StrEnum):
    local = "local"
    slurm = "slurm"


class Format(StrEnum):
    rich = "rich"
    md = "md"
    csv = "csv"
    latex = "latex"
    html = "html"
    json = "json"


Json = Annotated[bool, flag("--json", help="Print the data as JSON on stdout, and nothing else there.")]
DataRoot = Annotated[
    Path | None, flag("--data-root", help="Folder that holds the data sets.", envvar=["SSL_BENCH_DATA"])
]
Results = Annotated[Path | None, flag("--results", help="Folder of result records (default ./results/measured).")]
Device = Annotated[str, flag("--device", help="auto, cpu, cuda, cuda:N or mps.")]
PrecisionFlag = Annotated[
    Precision, flag("--precision", help="Precision of the backbone's forward pass: fp32, bf16 or fp16.")
]
BatchSize = Annotated[str, flag("--batch-size", help="Images per forward, or auto.")]
Workers = Annotated[int, flag("--workers", help="Processes that read images.", min=0)]
Seeds = Annotated[list[int] | None, flag("--seed", help="Random seed; repeat for several runs (default 0).")]
Set = Annotated[
    list[str] | None,
    flag("--set", help="Setting KEY=VALUE; PROTOCOL.KEY=VALUE for one of several protocols. Repeatable."),
]
Include = Annotated[
    list[Path] | None,
    flag("--include", help="Card (.yaml), plugin (.py), or a folder of them. Repeatable."),
]
Weights = Annotated[
    str | None, flag("--weights", help="Your own copy of the model's checkpoint: a path or an http(s) address.")
]
Models = Annotated[list[str] | None, flag("--model", "-m", help="Model name, comma list or glob. Repeatable.")]
Tasks = Annotated[list[str] | None, flag("--task", "-t", help="Task name, group, comma list or glob. Repeatable.")]


def include(paths: list[Path] | None) -> None:
    """Add the user's cards and plugins to the registry, and say which installed plugins are broken."""
    from ssl_bench.cli.console import note
    from ssl_bench.registry import registry

    known = registry()
    for path in paths or []:
        known.include(path)
    for warning in known.warnings:
        note(warning, style="yellow")
    known.warnings.clear()


def batch_size(given: str) -> int | None:
    """``auto`` or a positive number."""
    if given == "auto":
        return None
    if not given.isdigit() or int(given) < 1:
        raise typer.BadParameter(f"{given!r} is neither auto nor a positive number.", param_hint="--batch-size")
    return int(given)
