"""``ssl-bench score``: metrics of features that the user brings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

app = typer.Typer(add_completion=False)


@app.command("score")
def score(
    features: Annotated[Path, typer.Argument(help="A .npz file: train_x (N, D), train_y (N), test_x, test_y.")],
    protocol: Annotated[
        str, flag("--protocol", help="Comma list of protocols; linear is linear_frozen.")
    ] = "knn,linear_frozen,low_shot,label_free",
    set_: options.Set = None,
    seed: Annotated[int, flag("--seed", help="Random seed.")] = 0,
    device: options.Device = "auto",
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Score your own features with the protocols that need nothing else."""
    options.include(include)
    from ssl_bench.cli.console import Bars, print_json, print_rows
    from ssl_bench.compute import Compute, resolve_device
    from ssl_bench.score import score_file
    from ssl_bench.selection import parse_settings, split_names

    compute = Compute(device=resolve_device(device), seed=seed, progress=Bars())
    outcomes = score_file(features, split_names([protocol]), parse_settings(set_ or []), compute)
    if json:
        print_json(
            {
                name: {
                    "metrics": o.metrics,
                    "primary": o.primary,
                    "interval": vars(o.interval) if o.interval else None,
                    "selection": o.selection,
                    "details": o.details,
                }
                for name, o in outcomes.items()
            }
        )
        return
    rows = []
    for name, outcome in outcomes.items():
        for metric, value in outcome.metrics.items():
            interval = outcome.interval if metric == outcome.primary else None
            between = f"{interval.low:.2f} to {interval.high:.2f} ({interval.kind})" if interval else ""
            rows.append(
                {
                    "protocol": name,
                    "metric": metric,
                    "value": f"{value:.4g}" if abs(value) < 1 else f"{value:.2f}",
                    "interval": between,
                }
            )
    print_rows(rows, str(features))
