"""``ssl-bench compare``: models in pairs on the same test images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

if TYPE_CHECKING:
    from ssl_bench.reporting.compare import Comparison

app = typer.Typer(add_completion=False)


@app.command("compare")
def compare(
    models: Annotated[
        list[str], typer.Argument(help="Two or more models: names, comma lists, globs.", metavar="A B ...")
    ],
    task: options.Tasks = None,
    reference: Annotated[
        str | None, flag("--reference", help="Compare each model with this one only, not all pairs.")
    ] = None,
    results: options.Results = None,
    json: options.Json = False,
) -> None:
    """Compare models in pairs on the same test samples: difference, paired interval, p-value.

    The p-values are also adjusted for the number of comparisons (Holm). Last, the smallest difference that the samples can show.
    """
    from ssl_bench.cli.console import note, print_json, print_rows
    from ssl_bench.cli.reports import open_store, warn_of_damage
    from ssl_bench.reporting.compare import compare_models
    from ssl_bench.selection import split_names

    store = open_store(results)
    found, left_out = compare_models(store, split_names(models), split_names(task or []), reference)
    warn_of_damage(store)
    for problem in left_out:
        note(f"Left out: {problem}", style="yellow")
    if json:
        print_json([vars(one) for one in found])
        return
    pairs = {(one.model_a, one.model_b) for one in found}
    title = "{} against {}".format(*next(iter(pairs))) if len(pairs) == 1 else f"{len(found)} comparisons"
    print_rows([_row(one, len(pairs) > 1, len({c.seed for c in found}) > 1) for one in found], title)
    note(
        "difference: A - B in percentage points, with its paired 95 % interval. p: that there is none; p (Holm): for all "
        f"{len(found)} comparisons together. can show: the smallest difference that these samples show 4 times of 5."
    )


def _row(one: Comparison, named: bool, seeds: bool) -> dict[str, object]:
    return {
        "task": one.task,
        **({"A": one.model_a, "B": one.model_b} if named else {}),
        **({"seed": one.seed} if seeds else {}),
        "metric": one.metric,
        "samples": one.samples,
        "score A": f"{one.a:.2f}",
        "score B": f"{one.b:.2f}",
        "difference": f"{one.difference:+.2f}",
        "interval": f"{one.low:+.2f} to {one.high:+.2f}",
        "only A": one.only_a,
        "only B": one.only_b,
        "test": one.test,
        "p": _p(one.p_value),
        "p (Holm)": _p(one.p_adjusted),
        "can show": None if one.smallest is None else f"{one.smallest:.2f}",
    }


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"
