"""``ssl-bench submit``: evaluate a model, pack what a reviewer needs, or review such a folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    from ssl_bench.submit import Submission

app = typer.Typer(add_completion=False)


@app.command("submit")
def submit(
    plugin: Annotated[
        str | None, typer.Argument(help="A plugin file (.py), a card (.yaml) or a model.", show_default=False)
    ] = None,
    task: options.Tasks = None,
    out: Annotated[Path, flag("--out", help="Folder of submissions; the pack is OUT/<model>.")] = Path(
        "results/submissions"
    ),
    i_declare: Annotated[
        str,
        flag("--i-declare", help="'NAME <ADDRESS>': who signs the declaration on test data (shown without this flag)."),
    ] = "",
    deviation: Annotated[str, flag("--deviation", help="Why settings of the tasks are changed, if --set does.")] = "",
    weights: options.Weights = None,
    data_root: options.DataRoot = None,
    results: options.Results = None,
    device: options.Device = "auto",
    precision: options.PrecisionFlag = options.Precision.fp32,
    batch_size: options.BatchSize = "auto",
    workers: options.Workers = 0,
    seed: options.Seeds = None,
    set_: options.Set = None,
    include: options.Include = None,
    force: Annotated[bool, flag("--force", help="Run cells again that have a record already.")] = False,
    review: Annotated[Path | None, flag("--review", help="Evaluate nothing: review this folder of records.")] = None,
    against: Annotated[
        Path | None, flag("--against", help="With --review: the same folder of the main branch, to show what changed.")
    ] = None,
    report: Annotated[
        Path | None, flag("--report", help="With --review: write the report (Markdown) here too.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Evaluate a model on whole tasks and pack card, records, predictions and environment for a pull request.

    Refused are uncommitted changes of ssl-bench or of the plugin's repository, parts of data sets, skipped images, settings
    that are changed without a reason, and cards without licence, paper or pretraining data. The same command goes on where
    it was stopped. --review checks such a folder and says what it changes.
    """
    options.include(include)
    if review is not None:
        _review(review, against, report, json)
        return
    if not plugin or not task:
        raise typer.BadParameter("Give a plugin, card or model and at least one --task.", param_hint="PLUGIN/--task")
    from ssl_bench.cli.check import models_of
    from ssl_bench.cli.console import Bars
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.paths import data_root as where_data
    from ssl_bench.selection import parse_settings
    from ssl_bench.submit import Submission, check_before

    source = Path(plugin) if plugin.endswith((".py", ".yaml", ".yml")) else None
    submissions = [
        Submission(
            name,
            tuple(task),
            i_declare,
            parse_settings(set_ or []),
            deviation,
            tuple(seed or [0]),
            weights,
            source,
        )
        for name in models_of(plugin)
    ]
    for submission in submissions:
        check_before(submission)
    compute = Compute(
        device=resolve_device(device),
        precision=precision.value,
        batch_size=options.batch_size(batch_size),
        workers=workers,
        data_root=where_data(data_root),
        progress=Bars(),
    )
    packed = [_pack(submission, compute, results, out, force) for submission in submissions]
    _print_packs([folder for folder in packed if folder is not None], json)
    raise typer.Exit(0 if all(packed) else 1)


def _pack(submission: Submission, compute: object, results: Path | None, out: Path, force: bool) -> Path | None:
    """The pack's folder; None when a cell failed, which a note names."""
    from ssl_bench.cli.console import note
    from ssl_bench.compute import Compute
    from ssl_bench.paths import results_root
    from ssl_bench.results.store import Store
    from ssl_bench.submit import evaluate, write_pack

    assert isinstance(compute, Compute)
    store = Store(results_root(results))
    done = evaluate(submission, compute, store, sys.argv, force)
    for failure in done.failures:
        note(f"FAILED {failure.model} {failure.task} seed {failure.seed}: {failure.error}", style="red")
    if done.failures:
        said = "Nothing is packed while cells fail. What is finished stays: the same command goes on from there."
        note(f"{said} Records: {store.root}")
        return None
    device = done.records[0].compute.device if done.records else str(compute.device)
    return write_pack(submission, done.records, store, out, device)


def _print_packs(folders: list[Path], as_json: bool) -> None:
    from ssl_bench.cli.console import note, print_rows

    rows = [{"pack": str(folder), "records": len(list(folder.glob("*/*.json")))} for folder in folders]
    print_rows(rows, "packed", as_json)
    for folder in folders:
        note(
            f"Look at {folder}, commit it and open a pull request: `ssl-bench submit --review {folder.parent}` is its check."
        )


def _review(root: Path, against: Path | None, report: Path | None, as_json: bool) -> None:
    """Exit code 2 when anything cannot be published so."""
    from ssl_bench.cli.console import note, out, print_json
    from ssl_bench.errors import StoreError
    from ssl_bench.reporting.review_report import markdown
    from ssl_bench.results.atomic import write_text
    from ssl_bench.results.changes import changes, removed
    from ssl_bench.results.pack import review_folder
    from ssl_bench.results.store import Store

    if not root.is_dir():
        raise StoreError(
            f"{root}: there is no such folder.", "Give the folder of submissions, such as results/submissions."
        )
    found = review_folder(root)
    base = Store(against) if against is not None else None
    if base is not None:
        found.problems += removed(found.records, base)
    text = markdown(found, changes(found.records, base.all() if base else []))
    if report is not None:
        write_text(report, text)
    if as_json:
        print_json({"records": len(found.records), "problems": [vars(problem) for problem in found.problems]})
    else:
        out(text)
    errors = len(found.errors)
    note(
        f"{errors} problems in {len(found.records)} records."
        if errors
        else f"{len(found.records)} records, no problem."
    )
    raise typer.Exit(2 if errors else 0)
