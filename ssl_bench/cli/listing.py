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
    method: Annotated[str | None, flag("--method", help="Models or recipes of this method.")] = None,
    arch: Annotated[str | None, flag("--arch", help="Models whose architecture contains this text.")] = None,
    protocol: Annotated[str | None, flag("--protocol", help="Tasks of this protocol.")] = None,
    dataset: Annotated[str | None, flag("--dataset", help="Tasks on this data set.")] = None,
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """List what there is."""
    options.include(include)
    from ssl_bench.cli.console import print_rows
    from ssl_bench.errors import SettingsError, UnknownNameError
    from ssl_bench.listing import LISTS

    if kind not in LISTS:
        raise UnknownNameError("list", kind, LISTS)
    given = {"method": method, "arch": arch, "protocol": protocol, "dataset": dataset}
    allowed = {"models": {"method", "arch"}, "tasks": {"protocol", "dataset"}, "recipes": {"method"}}.get(kind, set())
    filters = {key: value for key, value in given.items() if value is not None}
    for key in filters:
        if key not in allowed:
            raise SettingsError(
                f"--{key} does not filter {kind}.", f"Filters of {kind}: {', '.join(sorted(allowed)) or 'none'}."
            )
    print_rows(LISTS[kind](**filters), kind, json)


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
    else:
        out(_as_yaml(described))


def _as_yaml(data: Any) -> str:
    import yaml

    return yaml.safe_dump(_plain(data), sort_keys=False, allow_unicode=True, width=110)


def _plain(data: Any) -> Any:
    if isinstance(data, dict):
        return {str(key): _plain(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_plain(value) for value in data]
    return data if isinstance(data, (str, int, float, bool)) or data is None else str(data)
