"""The whole story in minutes: pretrain small models of four methods, evaluate them beside two baselines, show the page.

Everything is the real thing, only small: the trainers, protocols, records and leaderboard of ``train``, ``run`` and
``leaderboard``, on real images that come with scikit-learn. Interrupted, it goes on where it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssl_bench.backbones.load import load_model
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.features import extract
from ssl_bench.registry import registry
from ssl_bench.reporting.charts import bars, scatter
from ssl_bench.reporting.figures import neighbours
from ssl_bench.reporting.leaderboard import write_leaderboard
from ssl_bench.results.record import Record
from ssl_bench.results.store import Store
from ssl_bench.runner import Report, make_plan, run_plan
from ssl_bench.training.loop import train

RECIPES = (
    "simclr_small_placed_digits",
    "byol_small_placed_digits",
    "dino_small_placed_digits",
    "mae_small_placed_digits",
)
BASELINES = ("random_resnet_small32", "random_vit_small32", "raw_pixels")
TASKS = ("knn_placed_digits", "linear_frozen_placed_digits", "low_shot_5_placed_digits")


@dataclass(frozen=True)
class Story:
    """What the quickstart made: the run's report and where to look."""

    report: Report
    page: Path
    pictures: tuple[Path, ...]
    models: Path
    verdicts: tuple[str, ...]


def quickstart(out: Path, compute: Compute, *, argv: Sequence[str] = ()) -> Story:
    """Pretrain, evaluate, draw; everything is written below ``out``."""
    known = registry()
    recipes = [known.recipes.get(name) for name in RECIPES]
    steps = len(recipes) + 2
    with compute.progress.bar("quickstart", steps) as advance:
        cards = []
        for recipe in recipes:
            cards.append(train(recipe, compute, out / "models" / recipe.name).card)
            advance(status=f"{recipe.method} trained")
        models = [*map(str, cards), *BASELINES]
        store = Store(out / "results")
        report = run_plan(make_plan(models, TASKS, compute), compute, store, argv=argv)
        advance(status="evaluated")
        page, pictures = _draw(report.records, models, out, compute)
        advance(status="page written")
    return Story(report, page, pictures, out / "models", tuple(verdicts(report.records)))


def _draw(records: list[Record], models: list[str], out: Path, compute: Compute) -> tuple[Path, tuple[Path, ...]]:
    """The leaderboard page, a bar chart, accuracy against size, and what the best model thinks is similar."""
    pictures = out / "pictures"
    pictures.mkdir(parents=True, exist_ok=True)
    page = write_leaderboard(records, out / "leaderboard")
    chart = bars(records, pictures / "accuracy.png")
    sizes = scatter(records, pictures / "accuracy_against_parameters.png")
    best = max(
        (r for r in records if r.task == TASKS[0] and r.model not in BASELINES), key=lambda r: r.value, default=None
    )
    if best is None:
        return page, (chart, sizes)
    reference = next(name for name in models if best.model in name)
    return page, (chart, sizes, _neighbour_picture(reference, pictures / "neighbours.png", compute))


def _neighbour_picture(model: str, path: Path, compute: Compute) -> Path:
    """Eight test images, each with its most similar training images by ``model``."""
    data = load_dataset("placed_digits", compute.data_root)
    backbone = load_model(model, device=compute.device, cache=compute.cache)
    train_features, test_features = extract(backbone, data.train, compute), extract(backbone, data.test, compute)
    return neighbours(train_features, test_features, data, path, queries=range(0, 400, 50))


def verdicts(records: Sequence[Record]) -> list[str]:
    """For every pretrained model and task: does it beat both baselines beyond the interval? Said as it is."""
    value = {(r.model, r.task): r for r in records}
    lines = []
    for task in TASKS:
        baselines = {name: value[name, task].value for name in BASELINES if (name, task) in value}
        if not baselines:
            continue
        name, best = max(baselines.items(), key=lambda item: item[1])
        for (model, of_task), record in value.items():
            if of_task != task or model in BASELINES:
                continue
            low = record.interval.low if record.interval else record.value
            word = "beats" if low > best else "is about level with" if record.value > best else "DOES NOT BEAT"
            lines.append(f"{task}: {model} {record.value:.1f} {word} the best baseline ({name} {best:.1f})")
    return lines
