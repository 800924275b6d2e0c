"""``ssl-bench reproduce``: measure what a paper's table prints, as far as weights and data are here."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    from ssl_bench.reporting.reproduction import Cell
    from ssl_bench.results.store import Store

app = typer.Typer(add_completion=False)


@app.command("reproduce")
def reproduce(
    paper: Annotated[str, typer.Argument(help="A paper; `ssl-bench list papers` shows them.", metavar="PAPER")],
    table: Annotated[str | None, flag("--table", help="Which of its tables (default: the first).")] = None,
    models: Annotated[list[str] | None, flag("--models", help="Models to keep: names, comma lists, globs.")] = None,
    tasks: Annotated[list[str] | None, flag("--tasks", help="Tasks to keep: names, comma lists, globs.")] = None,
    data_root: options.DataRoot = None,
    results: options.Results = None,
    device: options.Device = "auto",
    precision: options.PrecisionFlag = options.Precision.fp32,
    batch_size: options.BatchSize = "auto",
    workers: options.Workers = 0,
    seed: options.Seeds = None,
    include: options.Include = None,
    dry_run: Annotated[bool, flag("--dry-run", help="Show the plan and what is missing; run nothing.")] = False,
    force: Annotated[bool, flag("--force", help="Run cells again that have a record already.")] = False,
    json: options.Json = False,
) -> None:
    """Run all cells of a paper's table that have weights and data here, then show the table with verdicts.

    What is missing for the other cells is said first. The same command again runs only what is missing.
    """
    options.include(include)
    from ssl_bench.cli.console import print_rows
    from ssl_bench.cli.reports import open_store
    from ssl_bench.paths import data_root as where_data
    from ssl_bench.reporting.names import split_names
    from ssl_bench.reporting.reproduction import Machine, plan, to_run

    store = open_store(results)
    kept = split_names(models), split_names(tasks)
    cells = plan(Machine(where_data(data_root), store.all(), force), paper, table, *kept)
    if dry_run:
        rows = [cell.row() if json else {**cell.row(), "published": str(cell.number.value)} for cell in cells]
        print_rows(rows, "Plan (nothing was run)", json)
        return
    _say(cells)
    chosen, code = to_run(cells), 0
    if chosen:
        where = {"data_root": where_data(data_root), "workers": workers}
        how = {"precision": precision.value, "batch_size": options.batch_size(batch_size)}
        code = _run(chosen, device, {**where, **how}, store, seed or [0], force)
    _show(store, paper, table, kept, json)
    raise typer.Exit(code)


def _say(cells: list[Cell]) -> None:
    """How many cells are measured, run now, and lack what."""
    from collections import Counter

    from ssl_bench.cli.console import note

    count = Counter(cell.state for cell in cells)
    note(f"{len(cells)} cells: {count['measured']} measured, {count['to run']} to run, {count['missing']} missing.")
    for reason, n in Counter(cell.about for cell in cells if cell.state == "missing").most_common():
        note(f"  {n} missing: {reason}", style="yellow")


def _run(
    chosen: dict[str, list[str]], device: str, settings: dict[str, Any], store: Store, seeds: list[int], force: bool
) -> int:
    """Run the cells; the exit code."""
    from ssl_bench.cli.console import Bars
    from ssl_bench.cli.run import say_report
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.reproduce import run_cells

    compute = Compute(device=resolve_device(device), progress=Bars(), **settings)
    report = run_cells(chosen, compute, store, seeds=seeds, force=force, argv=sys.argv)
    say_report(report, store.root)
    return report.exit_code


def _show(store: Store, paper: str, table: str | None, kept: tuple[list[str], list[str]], as_json: bool) -> None:
    from ssl_bench.cli.reports import print_table
    from ssl_bench.reporting.tables import comparison

    models, tasks = kept
    made = comparison(store.all(), models=models, tasks=tasks, paper=paper, table=table)
    print_table(made, options.Format.json if as_json else options.Format.rich)
