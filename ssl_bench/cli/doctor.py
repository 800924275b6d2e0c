"""``ssl-bench doctor``: what this machine can run."""

from __future__ import annotations

import typer

from ssl_bench.cli import options

app = typer.Typer(add_completion=False)


@app.command("doctor")
def doctor(data_root: options.DataRoot = None, results: options.Results = None, json: options.Json = False) -> None:
    """Say what this machine can run: libraries, devices, folders, data sets, plugins."""
    from ssl_bench.cli.console import print_rows
    from ssl_bench.doctor import findings
    from ssl_bench.paths import data_root as where_data
    from ssl_bench.paths import results_root

    print_rows(findings(where_data(data_root), results_root(results)), "doctor", json)
