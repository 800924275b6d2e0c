"""``ssl-bench table`` and ``leaderboard``: read records, show them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    from ssl_bench.reporting.grid import Table
    from ssl_bench.results.store import Store

app = typer.Typer(add_completion=False)


def open_store(results: Path | None) -> Store:
    """The results folder; records that cannot be read are named."""
    from ssl_bench.paths import results_root
    from ssl_bench.results.store import Store

    return Store(results_root(results))


def warn_of_damage(store: Store) -> None:
    from ssl_bench.cli.console import note

    for problem in store.damaged:
        note(f"Left out: {problem}", style="yellow")


def print_table(table: Table, format: options.Format) -> None:
    """On stdout; on a terminal as wide as it is."""
    from ssl_bench.cli.console import out
    from ssl_bench.reporting.render import as_rich, render

    if format is options.Format.rich and sys.stdout.isatty():
        from rich.console import Console

        console = Console()
        console.print(as_rich(table, console.width))
    else:
        out(render(table, format.value, width=160))


@app.command("table")
def table(
    paper: Annotated[str | None, flag("--paper", help="Lay the table out as this paper does.")] = None,
    table_: Annotated[str | None, flag("--table", help="Which of the paper's tables (default: the first).")] = None,
    models: Annotated[list[str] | None, flag("--models", help="Models to show: names, comma lists, globs.")] = None,
    tasks: Annotated[list[str] | None, flag("--tasks", help="Tasks to show: names, comma lists, globs.")] = None,
    format_: Annotated[
        options.Format, flag("--format", help="rich, md, csv, latex, html or json.")
    ] = options.Format.rich,
    columns: Annotated[
        list[str] | None,
        flag(
            "--columns",
            help="About the models: method, family, architecture, parameters, pretraining, epochs, licence; comma list.",
        ),
    ] = None,
    by: Annotated[str | None, flag("--by", help="Headings: protocol (above tasks) or paper (above models).")] = None,
    leave_out: Annotated[
        list[str] | None, flag("--leave-out", help="Numbers not to show: stale, partial, custom; comma list.")
    ] = None,
    results: options.Results = None,
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Show measured numbers beside published ones, with the difference and intervals."""
    options.include(include)
    from ssl_bench.cli.console import note
    from ssl_bench.errors import SettingsError
    from ssl_bench.reporting.layout import grouped, left_in, with_columns
    from ssl_bench.reporting.names import split_names
    from ssl_bench.reporting.tables import comparison

    if table_ is not None and paper is None:
        raise SettingsError("--table needs --paper.", "For example: ssl-bench table --paper dino --table 2")
    store = open_store(results)
    records = left_in(store.all(), split_names(leave_out))
    warn_of_damage(store)
    made = comparison(records, models=models, tasks=tasks, paper=paper, table=table_)
    if columns:
        made = with_columns(made, records, split_names(columns))
    if by:
        made = grouped(made, by)
    if not records:
        note(f"No records in {store.root} yet: `ssl-bench run` writes them.")
    print_table(made, options.Format.json if json else format_)


@app.command("leaderboard")
def leaderboard(
    out: Annotated[Path, flag("--out", help="Folder of the site.")] = Path("leaderboard"),
    results: options.Results = None,
    include: options.Include = None,
) -> None:
    """Write a static site from the results folder."""
    options.include(include)
    from ssl_bench.cli.console import note
    from ssl_bench.reporting.leaderboard import write_leaderboard

    store = open_store(results)
    records = store.all()
    warn_of_damage(store)
    page = write_leaderboard(records, out)
    note(f"{len(records)} records. Leaderboard: {page.resolve()}")
