"""``ssl-bench doctor``: what this machine can run."""

from __future__ import annotations

from typing import Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

app = typer.Typer(add_completion=False)


@app.command("doctor")
def doctor(
    models: Annotated[
        bool, flag("--models", help="Instead: verify every checkpoint in the cache (sha256, opens, fits its card).")
    ] = False,
    data_root: options.DataRoot = None,
    results: options.Results = None,
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Say what this machine can run: libraries, devices, folders, data sets, plugins.

    With --models: whether every checkpoint in the cache is whole and fits its card; exit code 1 if one does not.
    """
    options.include(include)
    from ssl_bench.cli.console import print_rows

    if models:
        _models(json)
        return
    from ssl_bench.doctor import findings
    from ssl_bench.paths import data_root as where_data
    from ssl_bench.paths import results_root

    print_rows(findings(where_data(data_root), results_root(results)), "doctor", json)


def _models(json: bool) -> None:
    from ssl_bench.backbones.verify import verify_checkpoints
    from ssl_bench.cli.console import Bars, note, print_rows

    verdicts = verify_checkpoints(Bars())
    rows = [{"file": v.file, "models": ", ".join(v.models), "state": v.state, "about": v.about} for v in verdicts]
    print_rows(rows, "checkpoints", json)
    bad = sum(verdict.bad for verdict in verdicts)
    if bad:
        note(f"{bad} of {len(rows)} cannot be used: `ssl-bench cache remove FILE` lets the next run fetch it again.")
        raise typer.Exit(1)
