"""``ssl-bench check``: does a third party's model keep the contract?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

app = typer.Typer(add_completion=False)


@app.command("check")
def check(
    plugin: Annotated[str, typer.Argument(help="A plugin file (.py), a card (.yaml), or the name of a model.")],
    weights: Annotated[str | None, flag("--weights", help="Your own copy of the model's checkpoint.")] = None,
    device: options.Device = "auto",
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Try a model on tiny versions of the tasks, offline and in seconds, and say what fails."""
    options.include(include)
    from ssl_bench.cli.console import Bars, note, print_rows
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.submission import check_model

    compute = Compute(device=resolve_device(device), progress=Bars())
    rows = []
    with compute.progress.bar("checking", len(names := _models_of(plugin))) as advance:
        for name in names:
            rows += [
                {"model": name, "check": found.what, "result": found.problem or "ok"}
                for found in check_model(name, compute, weights)
            ]
            advance(status=name)
    print_rows(rows, "check", json)
    failed = sum(row["result"] != "ok" for row in rows)
    note(f"{failed} of {len(rows)} checks failed." if failed else f"All {len(rows)} checks passed.")
    raise typer.Exit(2 if failed else 0)


def _models_of(plugin: str) -> list[str]:
    """The models that a file brings, or the name itself."""
    from ssl_bench.errors import PluginError
    from ssl_bench.registry import registry

    known = registry()
    if not plugin.endswith((".py", ".yaml", ".yml")):
        known.model(plugin)
        return [plugin]
    before = set(known.models)
    known.include(Path(plugin))
    brought = sorted(set(known.models) - before)
    if not brought:
        raise PluginError(f"{plugin} brings no model.", "Use @ssl_bench.model in it, or a card with `models`.")
    return brought
