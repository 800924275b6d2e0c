"""``ssl-bench check``: does a model keep the contract, does a card fit its file, and what kind of file is this?"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options

if TYPE_CHECKING:
    from ssl_bench.backbones.preflight import Finding

app = typer.Typer(add_completion=False)


@app.command("check")
def check(
    plugin: Annotated[
        str,
        typer.Argument(
            help="A plugin file (.py), a card (.yaml), a model, or a checkpoint without card (path or address)."
        ),
    ],
    weights: options.Weights = None,
    device: options.Device = "auto",
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Try a model on tiny versions of every protocol, and say what fails; for a bare checkpoint, write its card.

    It needs no data and no network, and takes less than a minute for a ViT-S on a laptop's processor. What a model does not
    offer (attention, a text tower ...) is no failure. Where a card does not fit its file, the file's names and shapes say
    which layout or architecture would.
    """
    options.include(include)
    from ssl_bench.cli.console import Bars, note, print_rows
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.conformance.tiny import TASKS
    from ssl_bench.submission import findings_of

    if _is_checkpoint(plugin):
        _suggest(plugin, json)
        return
    compute = Compute(device=resolve_device(device), progress=Bars())
    began, found = time.monotonic(), []
    for name in models_of(plugin):
        with compute.progress.bar(f"checking {name}", len(TASKS["image"])) as advance:
            for finding in findings_of(name, compute, weights):
                found.append((name, finding))
                advance(units=finding.seconds is not None, status=finding.what)
    print_rows([{"model": name, **_row(finding)} for name, finding in found], "check", json)
    failed, missing = sum(not f.ok for _, f in found), sum(not f.offered for _, f in found)
    tried = len(found) - missing
    said = f"{failed} of {tried} checks failed" if failed else f"All {tried} checks passed"
    note(
        f"{said}, in {time.monotonic() - began:.0f} s. {missing} more are of what is not offered, which is no failure."
    )
    raise typer.Exit(2 if failed else 0)


def _row(finding: Finding) -> dict[str, object]:
    """``result``: ok, not offered, or exactly what is wrong; ``seconds`` of the tasks."""
    result = finding.problem or ("ok" if finding.offered else "not offered")
    return {"check": finding.what, "found": finding.about, "result": result, "seconds": finding.seconds}


def _is_checkpoint(plugin: str) -> bool:
    """An address, a file, a folder or the beginning of the names of several (TensorFlow) that is neither card, plugin nor model."""
    from ssl_bench.model_files import looks_like_path
    from ssl_bench.registry import registry

    path = Path(plugin).expanduser()
    if plugin.startswith(("http://", "https://")):
        return True
    if path.suffix in {".py", ".yaml", ".yml"} or plugin in registry().models or ".yaml:" in plugin:
        return False
    if path.is_dir():
        return not (path / "card.yaml").is_file()
    named_so = path.suffix in _SUFFIXES or looks_like_path(plugin)
    return named_so or path.is_file() or path.with_name(f"{path.name}.index").is_file()


_SUFFIXES = {".pth", ".pt", ".tar", ".th", ".torch", ".bin", ".ckpt", ".pkl", ".npz", ".safetensors", ".zip", ".gz"}


def _suggest(place: str, json: bool) -> None:
    """Print a card for a checkpoint; what to know about it goes to stderr. An address is fetched into the cache first."""
    from ssl_bench.backbones.fetch import fetch
    from ssl_bench.backbones.suggest import suggest_card
    from ssl_bench.backbones.weights import is_address
    from ssl_bench.cli.console import Bars, note, out, print_json
    from ssl_bench.paths import cache_root

    if is_address(place):
        path, _ = fetch(place, cache_root() / "checkpoints", Bars())
        card, notes = suggest_card(path, place)
    else:
        card, notes = suggest_card(Path(place).expanduser())
    if json:
        print_json({"card": card, "notes": notes})
    elif card:
        out(card)
    for said in [] if json else notes:
        note(said, style="" if card else "red")
    raise typer.Exit(0 if card else 2)


def models_of(plugin: str) -> list[str]:
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
