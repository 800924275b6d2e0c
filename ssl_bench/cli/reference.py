"""The page docs/cli.md, written from the verbs themselves: ``python -m ssl_bench.cli.reference > docs/cli.md``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import typer

HEAD = """# Command line

`ssl-bench VERB --help` says the same in the terminal. Every flag `--some-name` can also be given as the environment
variable `SSL_BENCH_SOME_NAME`. `--json` prints the data as JSON on stdout and nothing else there; progress and notes go
to stderr.

Exit codes: 0 done; 1 some cells failed (all others are finished and saved, a summary names the failed ones); 2 the
input is wrong; 130 interrupted (the same command goes on from there).

Folders: `SSL_BENCH_DATA` (data sets, default `./data`), `SSL_BENCH_CACHE` (checkpoints and features, default
`~/.cache/ssl_bench`), `SSL_BENCH_RESULTS` (records, default `./results/measured`). With `SSL_BENCH_OFFLINE=1` or
`HF_HUB_OFFLINE=1` nothing is fetched.

This page is generated: `python -m ssl_bench.cli.reference > docs/cli.md`.
"""


def verbs() -> Iterator[tuple[str, Any]]:
    """Every command with its full name, those of groups (``data check``) included."""
    from ssl_bench.cli.app import VERBS, app

    group: Any = typer.main.get_command(app)
    for name in VERBS:
        command = group.get_command(None, name)
        children = getattr(command, "commands", None)
        if children is None:
            yield name, command
        else:
            yield from ((f"{name} {child}", children[child]) for child in children)


def flags(command: Any) -> list[Any]:
    """The command's options and arguments, without ``--help``."""
    return [parameter for parameter in command.params if "--help" not in parameter.opts]


def is_argument(parameter: Any) -> bool:
    """A positional argument, not a flag."""
    return "Argument" in type(parameter).__name__


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(section(name, command) for name, command in verbs())])


def section(name: str, command: Any) -> str:
    """One verb: its sentence, then a row for every argument and flag."""
    text = " ".join((command.help or "").split("\n\n")[0].split())
    arguments = " ".join(_metavar(p) for p in flags(command) if is_argument(p))
    lines = [f"## `{' '.join(['ssl-bench', name, arguments]).strip()}`", "", text, ""]
    if flags(command):
        lines += ["| argument or flag | meaning | default |", "| --- | --- | --- |"]
        lines += [_row(parameter) for parameter in flags(command)]
        lines.append("")
    return "\n".join(lines)


def _metavar(parameter: Any) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _row(parameter: Any) -> str:
    names = _metavar(parameter) if is_argument(parameter) else ", ".join(parameter.opts)
    default = parameter.default
    shown = (
        ""
        if default is None or default is False or callable(default) or str(default) == "Sentinel.UNSET"
        else str(default)
    )
    return (
        "| " + " | ".join(part.replace("|", "\\|") for part in (f"`{names}`", str(parameter.help or ""), shown)) + " |"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
