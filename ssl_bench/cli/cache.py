"""``ssl-bench cache``: what the cache holds, whether it is intact, and removing some of it."""

from __future__ import annotations

from typing import Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

GROUP = True
app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Checkpoints and features on disk: list, verify, remove."
)


@app.command("list")
def list_(json: options.Json = False) -> None:
    """List what is stored, with its size."""
    from ssl_bench.cache import entries
    from ssl_bench.cli.console import print_rows

    rows = [{"kind": e.kind, "name": e.name, "MB": round(e.size / 2**20, 1), "about": e.about} for e in entries()]
    print_rows(rows, "cache", json)


@app.command("verify")
def verify(json: options.Json = False) -> None:
    """Compare every checkpoint with its pinned sha256 and every feature entry with its description."""
    from ssl_bench.cache import entries, problem
    from ssl_bench.cli.console import Bars, print_rows

    rows, found = [], entries()
    with Bars().bar("verifying", len(found)) as advance:
        for entry in found:
            rows.append({"kind": entry.kind, "name": entry.name, "state": problem(entry) or "intact"})
            advance()
    print_rows(rows, "cache", json)
    raise typer.Exit(0 if all(row["state"] == "intact" for row in rows) else 2)


@app.command("remove")
def remove(
    name: Annotated[list[str] | None, typer.Argument(help="Names or globs as `cache list` prints them.")] = None,
    features: Annotated[bool, flag("--features", help="All stored features.")] = False,
    checkpoints: Annotated[bool, flag("--checkpoints", help="All downloaded checkpoints.")] = False,
) -> None:
    """Remove entries; features are computed and checkpoints fetched again when they are needed."""
    from ssl_bench.cache import remove as remove_entries
    from ssl_bench.cli.console import note

    removed = remove_entries(name or [], features=features, checkpoints=checkpoints)
    note(f"Removed {len(removed)} entries, {sum(e.size for e in removed) / 2**20:.1f} MB.")
