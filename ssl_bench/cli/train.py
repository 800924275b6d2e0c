"""``ssl-bench train``: pretrain a backbone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ssl_bench.cli import options
from ssl_bench.cli.options import flag

app = typer.Typer(add_completion=False)


@app.command("train")
def train(
    recipe: Annotated[str | None, typer.Argument(help="A recipe, or the path of a card with one.")] = None,
    method: Annotated[str | None, flag("--method", help="Instead of a recipe: the method.")] = None,
    arch: Annotated[str | None, flag("--arch", help="Architecture of the encoder.")] = None,
    dataset: Annotated[str | None, flag("--dataset", help="Data set to train on.")] = None,
    epochs: Annotated[int | None, flag("--epochs", help="Passes over the training images.", min=1)] = None,
    batch_size: Annotated[int | None, flag("--batch-size", help="Images a step and process.", min=1)] = None,
    lr: Annotated[float | None, flag("--lr", help="Learning rate, for the recipe's reference batch.")] = None,
    seed: Annotated[int | None, flag("--seed", help="Random seed.")] = None,
    set_: options.Set = None,
    precision: Annotated[
        options.Precision | None,
        flag("--precision", help="Precision of the forward pass: fp32, bf16 or fp16 (default: the recipe's)."),
    ] = None,
    out: Annotated[Path | None, flag("--out", help="Folder of the run (default runs/<recipe>).")] = None,
    data_root: options.DataRoot = None,
    device: options.Device = "auto",
    workers: options.Workers = 0,
    include: options.Include = None,
    json: options.Json = False,
) -> None:
    """Pretrain a backbone; the same command again goes on where it was.

    Writes a checkpoint and a card that `run --model` accepts at once.
    """
    options.include(include)
    from ssl_bench.cli.console import Bars, note, print_json
    from ssl_bench.compute import Compute, leave_processes, resolve_device
    from ssl_bench.paths import data_root as where_data
    from ssl_bench.progress import Silent
    from ssl_bench.selection import parse_settings
    from ssl_bench.training.loop import train as pretrain
    from ssl_bench.training.recipe import resolve

    card = resolve(
        recipe,
        method=method,
        arch=arch,
        dataset=dataset,
        lr=lr,
        settings=parse_settings(set_ or []),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        precision=precision.value if precision else None,
    )
    first = os.environ.get("RANK", "0") == "0"  # of the processes that torchrun started; one speaks for all
    progress = Bars() if first else Silent()
    compute = Compute(
        device=resolve_device(device), workers=workers, data_root=where_data(data_root), progress=progress
    )
    result = pretrain(card, compute, out or Path("runs") / card.name)
    leave_processes()
    if not first:
        return
    if json:
        print_json(
            {
                "model": result.name,
                "card": str(result.card),
                "steps": result.steps,
                "seconds": result.seconds,
                **result.metrics,
            }
        )
        return
    terms = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
    note(f"{result.name}: {result.steps} steps in {result.seconds:.0f} s; {terms}")
    note(f"Evaluate it: ssl-bench run --model {result.card} --task knn_{card.dataset}")
