"""``ssl-bench quickstart``: the whole story in minutes, without network, GPU or data set."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

app = typer.Typer(add_completion=False)


@app.command("quickstart")
def quickstart(
    out: Annotated[Path, flag("--out", help="Folder for models, records, page and pictures.")] = Path("quickstart"),
    device: options.Device = "auto",
    json: options.Json = False,
) -> None:
    """Pretrain small models of four methods, evaluate them beside baselines, write the leaderboard page."""
    from ssl_bench.cli.console import Bars, note, print_json
    from ssl_bench.cli.reports import print_table
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.quickstart import quickstart as tell
    from ssl_bench.reporting.tables import comparison

    compute = Compute(device=resolve_device(device), cache=out / "cache", progress=Bars())
    story = tell(out, compute, argv=sys.argv)
    if json:
        print_json([record.model_dump(mode="json", by_alias=True) for record in story.report.records])
    else:
        print_table(comparison(story.report.records), options.Format.rich)
    for failure in story.report.failures:
        note(f"FAILED {failure.model} {failure.task}: {failure.error}", style="red")
    for line in story.verdicts:
        note(line, style="yellow" if "NOT" in line else "")
    note(f"Leaderboard: {story.page.resolve()}")
    note(f"Pictures:    {', '.join(path.name for path in story.pictures)} in {story.pictures[0].parent.resolve()}")
    note(f"Models:      {story.models.resolve()} (ssl-bench run --model {story.models}/<name> --task ...)")
    raise typer.Exit(story.report.exit_code)
