"""The verbs of ``ssl-bench``, and what happens when one fails.

Exit codes: 0 done; 1 some cells failed; 2 the user's input is wrong; 130 interrupted.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from ssl_bench._version import __version__
from ssl_bench.errors import SslBenchError

VERBS = {
    "quickstart": "ssl_bench.cli.quickstart",
    "run": "ssl_bench.cli.run",
    "score": "ssl_bench.cli.score",
    "train": "ssl_bench.cli.train",
    "list": "ssl_bench.cli.listing",
    "show": "ssl_bench.cli.listing",
    "table": "ssl_bench.cli.reports",
    "reproduce": "ssl_bench.cli.reproduce",
    "compare": "ssl_bench.cli.compare",
    "leaderboard": "ssl_bench.cli.reports",
    "export": "ssl_bench.cli.export",
    "figure": "ssl_bench.cli.figures",
    "check": "ssl_bench.cli.check",
    "submit": "ssl_bench.cli.submit",
    "data": "ssl_bench.cli.data",
    "cache": "ssl_bench.cli.cache",
    "doctor": "ssl_bench.cli.doctor",
}


UsageError: Any = typer.BadParameter.__mro__[1]
ClickException: Any = typer.BadParameter.__mro__[2]
"""Click's exceptions, taken from typer: newer versions of typer carry a click of their own."""


class LazyVerbs(TyperGroup):
    """Imports a verb's file when the verb is used or described: ``ssl-bench list`` does not pay for ``train``."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in VERBS:
            return None
        module = importlib.import_module(VERBS[name])
        command: Any = typer.main.get_command(module.app)
        if not getattr(module, "GROUP", False) and name in getattr(command, "commands", {}):
            return command.commands[name]
        command.name = name
        return command

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        import difflib

        try:
            return super().resolve_command(ctx, args)
        except UsageError as error:
            close = difflib.get_close_matches(args[0], VERBS, n=3) if args else []
            hint = f" Did you mean: {', '.join(close)}?" if close else " `ssl-bench --help` lists the verbs."
            raise UsageError(f"There is no verb {args[0]!r}.{hint}", ctx) from error


app = typer.Typer(
    cls=LazyVerbs,
    name="ssl-bench",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Evaluate self-supervised vision models as their papers do, beside the papers' numbers.",
)


@app.callback()
def _ssl_bench(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", is_eager=True)] = False,
) -> None:
    if version:
        sys.stdout.write(f"ssl-bench {__version__}\n")
        raise typer.Exit


def main() -> None:
    """Entry point: every user error is one message on stderr and exit code 2; a bug keeps its traceback."""
    try:
        code = app(standalone_mode=False)
    except SslBenchError as error:
        _fail(error)
        code = error.exit_code
    except ClickException as error:
        error.show()
        code = 2
    except (KeyboardInterrupt, typer.Abort):
        sys.stderr.write("\nInterrupted. The same command goes on from here.\n")
        code = 130
    except BrokenPipeError:
        sys.stderr.close()
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _fail(error: SslBenchError) -> None:
    from rich.console import Console
    from rich.text import Text

    text = Text.assemble(("Error: ", "bold red"), error.message)
    if error.hint:
        text.append(f"\n  {error.hint}", style="cyan")
    Console(stderr=True, soft_wrap=True).print(text)
