"""``ssl-bench export``: results in the formats of others."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    from ssl_bench.results.record import Record

app = typer.Typer(add_completion=False)


class Target(StrEnum):
    csv = "csv"
    pwc = "pwc"
    model_index = "model-index"
    tensorboard = "tensorboard"
    wandb = "wandb"


@app.command("export")
def export(
    format_: Annotated[
        Target,
        flag(
            "--format", help="csv, pwc (Papers with Code JSON), model-index (Hugging Face card), tensorboard or wandb."
        ),
    ] = Target.csv,
    out: Annotated[
        str | None,
        flag("--out", help="File (default: stdout); for tensorboard a folder, for wandb a project's name."),
    ] = None,
    models: Annotated[list[str] | None, flag("--model", "-m", help="Models: names, comma lists, globs.")] = None,
    tasks: Annotated[list[str] | None, flag("--task", "-t", help="Tasks: names, comma lists, globs.")] = None,
    results: options.Results = None,
    include: options.Include = None,
) -> None:
    """Write the results in a format of others.

    csv has every metric of every record. The other formats leave out what does not compare: partial runs, other settings,
    earlier versions of a task.
    """
    options.include(include)
    from ssl_bench.cli.console import note
    from ssl_bench.cli.console import out as write
    from ssl_bench.errors import SettingsError, StoreError
    from ssl_bench.reporting.export.frame import usual
    from ssl_bench.results.atomic import write_text

    records = _chosen(results, models, tasks)
    if format_ is not Target.csv:
        records, left_out = usual(records)
        if left_out:
            note(f"Left out: {left_out} partial, of other settings, or of an earlier task version.", style="yellow")
        if not records:
            raise StoreError("No record is left to export.", "`--format csv` writes all of them, with their marks.")
    if format_ in {Target.tensorboard, Target.wandb}:
        if out is None:
            raise SettingsError(
                f"--format {format_.value} needs --out.", "A folder for tensorboard, a project for wandb."
            )
        _send(format_, records, out)
        note(f"Sent {len(records)} records to {out}")
        return
    text = _text(format_, records)
    if out is None:
        write(text)
    else:
        write_text(Path(out), text)
        note(f"Wrote {Path(out).resolve()}")


def _chosen(results: Path | None, models: list[str] | None, tasks: list[str] | None) -> list[Record]:
    from ssl_bench.cli.reports import open_store, warn_of_damage
    from ssl_bench.errors import StoreError
    from ssl_bench.reporting.names import keep, split_names

    store = open_store(results)
    records = store.all()
    warn_of_damage(store)
    if not records:
        raise StoreError(f"There are no records in {store.root}.", "`ssl-bench run` writes them; --results says where.")
    kept = keep("measured model", [record.model for record in records], split_names(models))
    wanted = keep("measured task", [record.task for record in records if record.model in kept], split_names(tasks))
    return [record for record in records if record.model in kept and record.task in wanted]


def _text(format_: Target, records: list[Record]) -> str:
    from ssl_bench.errors import SettingsError
    from ssl_bench.reporting.export import frame, model_index, papers_with_code

    if format_ is Target.pwc:
        return papers_with_code.evaluation_tables(records)
    if format_ is Target.csv:
        return frame.csv(records)
    found = sorted({record.model for record in records})
    if len(found) > 1:
        raise SettingsError(
            f"--format model-index is for one model; there are {len(found)}.",
            f"Give one with --model: {', '.join(found[:10])}",
        )
    return model_index.model_index(records)


def _send(format_: Target, records: list[Record], out: str) -> None:
    from ssl_bench.reporting.export.sinks import to_tensorboard, to_wandb

    if format_ is Target.tensorboard:
        to_tensorboard(records, Path(out))
    else:
        to_wandb(records, out)
