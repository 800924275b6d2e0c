"""``ssl-bench run``: evaluate models on tasks."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    from ssl_bench.runner import Report

app = typer.Typer(add_completion=False)


@app.command("run")
def run(
    model: options.Models = None,
    task: options.Tasks = None,
    weights: options.Weights = None,
    data_root: options.DataRoot = None,
    results: options.Results = None,
    device: options.Device = "auto",
    precision: options.PrecisionFlag = options.Precision.fp32,
    batch_size: options.BatchSize = "auto",
    workers: options.Workers = 0,
    seed: options.Seeds = None,
    limit: Annotated[
        int | None, flag("--limit", help="First N images of each class; marks the result as partial.", min=1)
    ] = None,
    set_: options.Set = None,
    include: options.Include = None,
    pipeline: Annotated[
        options.Pipeline,
        flag(
            "--pipeline", help="exact: the authors' transform, every pixel; fast: at most 1/255 off on 0.1 % of pixels."
        ),
    ] = options.Pipeline.exact,
    skip_broken: Annotated[
        bool, flag("--skip-broken", help="Leave unreadable images out, and count them in the record.")
    ] = False,
    dry_run: Annotated[
        bool, flag("--dry-run", help="Show the plan and what is cached or missing; run nothing.")
    ] = False,
    force: Annotated[bool, flag("--force", help="Run cells again that have a record already.")] = False,
    launcher: Annotated[
        options.Launcher, flag("--launcher", help="local: here and now; slurm: one job a model through submitit.")
    ] = options.Launcher.local,
    json: options.Json = False,
) -> None:
    """Evaluate models on tasks, and store one record for each (model, task, seed).

    The same command again runs only what is missing.
    """
    options.include(include)
    if not model or not task:
        raise typer.BadParameter(
            "Give at least one --model and one --task; `ssl-bench list` shows them.", param_hint="--model/--task"
        )
    from ssl_bench.cli.console import Bars
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.paths import data_root as where_data
    from ssl_bench.paths import results_root
    from ssl_bench.results.store import Store
    from ssl_bench.runner import make_plan, run_plan
    from ssl_bench.selection import parse_settings

    compute = Compute(
        device=resolve_device(device),
        precision=precision.value,
        batch_size=options.batch_size(batch_size),
        workers=workers,
        pipeline=pipeline.value,
        skip_broken=skip_broken,
        limit=limit,
        data_root=where_data(data_root),
        progress=Bars(),
    )
    store = Store(results_root(results))
    if dry_run:
        from ssl_bench.dry_run import describe

        rows = describe(
            model, task, compute, store, seeds=seed or [0], settings=parse_settings(set_ or []), weights=weights
        )
        _print_plan(rows, json)
        return
    if launcher is options.Launcher.slurm:
        from ssl_bench.launcher import submit_models

        for line in submit_models(model, task, sys.argv):
            typer.echo(line, err=True)
        return
    plan = make_plan(model, task, compute, seeds=seed or [0], settings=parse_settings(set_ or []), weights=weights)
    report = run_plan(plan, compute, store, force=force, argv=sys.argv)
    _print_report(report, store.root, json)
    raise typer.Exit(report.exit_code)


def _print_plan(rows: list[dict[str, object]], as_json: bool) -> None:
    from ssl_bench.cli.console import print_rows

    print_rows(rows, "Plan (nothing was run)", as_json)


def _print_report(report: Report, results: Path, as_json: bool) -> None:
    from ssl_bench.cli.console import print_json
    from ssl_bench.cli.reports import print_table
    from ssl_bench.reporting.tables import comparison

    if as_json:
        print_json([record.model_dump(mode="json", by_alias=True) for record in report.records])
    elif report.records:
        print_table(comparison(report.records), options.Format.rich)
    say_report(report, results)


def say_report(report: Report, results: Path) -> None:
    """On stderr: how many cells are new, found and failed, and why."""
    from ssl_bench.cli.console import note

    note(f"{len(report.new)} new, {len(report.found)} found, {len(report.failures)} failed. Records: {results}")
    shown: set[str] = set()
    for failure in report.failures:
        note(f"FAILED {failure.model} {failure.task} seed {failure.seed}: {failure.error}", style="red")
        if failure.trace and failure.trace not in shown:
            shown.add(failure.trace)
            note(failure.trace, style="dim")
