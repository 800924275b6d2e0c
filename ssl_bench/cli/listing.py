"""``ssl-bench list`` and ``ssl-bench show``: what there is, and everything about one of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

app = typer.Typer(add_completion=False)

KINDS = "models|tasks|methods|recipes|datasets|papers|protocols|plugins"


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="What to list.", metavar=KINDS)] = "models",
    method: Annotated[str | None, flag("--method", help="Models or recipes whose method contains this text.")] = None,
    arch: Annotated[str | None, flag("--arch", help="Models whose architecture or name contains this text.")] = None,
    licence: Annotated[str | None, flag("--licence", help="Models whose licence contains this text.")] = None,
    pretrained_on: Annotated[
        str | None, flag("--pretrained-on", help="Models whose pretraining data contain this text.")
    ] = None,
    modality: Annotated[str | None, flag("--modality", help="Models of image, video or audio.")] = None,
    min_params: Annotated[float | None, flag("--min-params", help="Models of at least N million parameters.")] = None,
    max_params: Annotated[float | None, flag("--max-params", help="Models of at most N million parameters.")] = None,
    cached: Annotated[bool, flag("--cached", help="Models whose checkpoint is on this machine.")] = False,
    commercial: Annotated[
        bool, flag("--commercial", help="Models whose licence is stated and allows commercial use.")
    ] = False,
    protocol: Annotated[str | None, flag("--protocol", help="Tasks of this protocol.")] = None,
    dataset: Annotated[str | None, flag("--dataset", help="Tasks on this data set.")] = None,
    include: options.Include = None,
    results: options.Results = None,
    json: options.Json = False,
) -> None:
    """List what there is."""
    options.include(include)
    from ssl_bench.cli.console import print_rows
    from ssl_bench.errors import SettingsError, UnknownNameError
    from ssl_bench.listing import LISTS

    if kind not in LISTS:
        raise UnknownNameError("list", kind, LISTS)
    of_models = {
        "method": method,
        "arch": arch,
        "licence": licence,
        "pretrained_on": pretrained_on,
        "modality": modality,
        "min_params": min_params,
        "max_params": max_params,
        "cached": cached or None,
        "commercial": commercial or None,
    }
    of_tasks = {"protocol": protocol, "dataset": dataset}
    filters = {key: value for key, value in {**of_models, **of_tasks}.items() if value is not None}
    allowed = {"models": set(of_models), "tasks": set(of_tasks), "recipes": {"method"}}.get(kind, set())
    for key in filters:
        if key not in allowed:
            names = ", ".join(sorted(_flag(key) for key in allowed)) or "none"
            raise SettingsError(f"{_flag(key)} does not filter {kind}.", f"Filters of {kind}: {names}.")
    more = {"results": results} if kind == "papers" else {}
    print_rows(LISTS[kind](**filters, **more), kind, json)


def _flag(key: str) -> str:
    return "--" + key.replace("_", "-")


@app.command("show")
def show(
    kind: Annotated[str, typer.Argument(help="What it is.", metavar="model|task|method|recipe|dataset|paper|protocol")],
    name: Annotated[str, typer.Argument(help="Its name.")],
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Show everything about one model, task, method, recipe, data set, paper or protocol."""
    options.include(include)
    from ssl_bench.cli.console import out, print_json
    from ssl_bench.listing import show as describe

    described = describe(kind, name)
    if json:
        print_json(described)
    elif kind in {"model", "models"}:
        from ssl_bench.model_listing import page_of

        out(_as_page(name, page_of(name, described)))
    else:
        out(_as_yaml(described))


def _as_page(title: str, section: dict[str, Any]) -> str:
    """Labels on the left, what they say on the right, long lines folded."""
    width = max(map(len, section)) + 2
    lines = [title, ""]
    for label, said in section.items():
        parts = [part for text in (said if isinstance(said, list) else [said]) for part in _folded(text, 110 - width)]
        lines += [f"{label if i == 0 else '':<{width}}{part}" for i, part in enumerate(parts)]
    return "\n".join(lines)


def _folded(text: str, width: int) -> list[str]:
    import textwrap

    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")


def _as_yaml(data: Any) -> str:
    import yaml

    return yaml.safe_dump(_plain(data), sort_keys=False, allow_unicode=True, width=110)


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    return data if isinstance(data, (str, int, float, bool)) or data is None else str(data)
