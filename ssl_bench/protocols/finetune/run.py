"""Choose what a recipe leaves open, train, test."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute, rank
from ssl_bench.data import subsets
from ssl_bench.data.dataset import Split
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.finetune.net import image_size
from ssl_bench.protocols.finetune.plan import Plan
from ssl_bench.protocols.finetune.recipe import Recipe
from ssl_bench.protocols.finetune.score import answers, outcome_of, preprocess_for_test
from ssl_bench.protocols.finetune.settings import RecipeSettings
from ssl_bench.protocols.finetune.train import FOLDER, Trained, train
from ssl_bench.protocols.protocol import Outcome
from ssl_bench.training.processes import wait
from ssl_bench.training.saved import Saved


class FineTuning:
    """One cell: this backbone by this recipe. ``metric`` is what a sweep looks at and what is reported as primary."""

    def __init__(
        self, backbone: Backbone, recipe: Recipe, settings: RecipeSettings, metric: str, compute: Compute
    ) -> None:
        self.backbone, self.recipe, self.settings = backbone, recipe, settings
        self.metric, self.compute = metric, compute
        if settings.evaluate == "average" and recipe.ema is None:
            raise SettingsError(
                "evaluate=average: the recipe keeps no moving average.", "Give its decay: --set ema=0.999."
            )

    def run(self, fit: Split, choose: Split, everything: Split, test: Split) -> Outcome:
        """``fit`` and ``choose``: what candidates of a sweep are trained on and scored on; ``everything``: what the chosen
        one is trained on. Without a sweep only ``everything`` is used."""
        recipe, details, ledger = self._chosen(fit, choose) if self.recipe.sweep else (self.recipe, {}, None)
        trained = self._train(recipe, everything, f"fine-tune {self.backbone.name}")
        outcome = self._test(trained, recipe, test, details)
        trained.remove()
        if ledger is not None:
            ledger.remove()
        return outcome

    def _test(self, trained: Trained, recipe: Recipe, test: Split, details: dict[str, Any]) -> Outcome:
        """The evaluated weights; the others' metrics beside them under a name of their own."""
        nets = {"weights": trained.net, "average": trained.average}
        preprocess = self._preprocess(recipe, test)
        evaluated = nets.pop(self.settings.evaluate)
        assert evaluated is not None
        found = answers(evaluated, test, preprocess, self.compute)
        outcome = outcome_of(found, test, self.metric, {**trained.facts, **details})
        for name, other in nets.items():
            if other is not None:
                more = answers(other, test, preprocess, self.compute).metrics(test.labels, len(test.classes))
                outcome.metrics.update({f"{metric}_{name}": value for metric, value in more.items()})
        return replace(outcome, selection="held_out" if details else "fixed")

    def _chosen(self, fit: Split, choose: Split) -> tuple[Recipe, dict[str, Any], Saved]:
        """The candidate with the best ``metric`` on ``choose``; of equal ones the first. Finished candidates are not
        trained again after a stop."""
        names = list(self.recipe.sweep)
        candidates = [dict(zip(names, values, strict=True)) for values in product(*self.recipe.sweep.values())]
        ledger = Saved(self.compute, FOLDER, self._ledger_key(fit, choose))
        scores: dict[str, float] = (ledger.load() or {}).get("scores", {})
        for number, candidate in enumerate(candidates, 1):
            label = ", ".join(f"{name} {value:g}" for name, value in candidate.items())
            if label not in scores:
                trained = self._train(
                    _with(self.recipe, candidate), fit, f"candidate {number} of {len(candidates)}: {label}"
                )
                found = answers(trained.net, choose, self._preprocess(self.recipe, choose), self.compute)
                scores[label] = found.metrics(choose.labels, len(choose.classes))[self.metric]
                if rank() == 0:
                    ledger.save({"scores": scores})
                wait()
                trained.remove()
        best = max(range(len(candidates)), key=lambda number: list(scores.values())[number])
        return _with(self.recipe, candidates[best]), {"sweep": scores, "chosen": candidates[best]}, ledger

    def _train(self, recipe: Recipe, split: Split, name: str) -> Trained:
        return train(self.backbone, split, recipe, self._size(split), self.compute, name)

    def _preprocess(self, recipe: Recipe, split: Split) -> Any:
        return preprocess_for_test(self.backbone.preprocess, recipe, self._size(split), self.settings.crop_ratio)

    def _size(self, split: Split) -> int:
        given = self.settings.image_size or self.backbone.preprocess.card.crop
        return given or image_size(self.backbone, split.image(0).size, None)

    def _ledger_key(self, fit: Split, choose: Split) -> dict[str, Any]:
        assert self.backbone.weights is not None
        return {
            "weights": self.backbone.weights.sha256,
            "definition": self.backbone.definition,
            "fit": fit.fingerprint,
            "choose": choose.fingerprint,
            "recipe": self.recipe.values(),
            "sweep": {name: list(values) for name, values in self.recipe.sweep.items()},
            "settings": self.settings.model_dump(mode="json"),
            "seed": self.compute.seed,
            "precision": self.compute.precision,
        }


def passes(recipe: Recipe, images: int, test: int) -> int:
    """Forward passes of all trainings, where a backward pass counts two, and of the test."""
    plan = Plan(recipe, images)
    trainings = 1 + math.prod(len(values) for values in recipe.sweep.values()) * bool(recipe.sweep)
    return 3 * plan.total * plan.batch * trainings + test


def held_out(split: Split, share: float, seed: int) -> tuple[Split, Split]:
    """(the rest, ``share`` of each class); :class:`SettingsError` if no class has two images."""
    kept, held = subsets.holdout(split.labels, share, seed)
    if not len(held):
        raise SettingsError(
            f"{split.name}: no class has two images, so nothing can be held out to choose with.",
            "Give the values: --set lr=... and so on.",
        )
    return split.subset(np.asarray(kept)), split.subset(np.asarray(held))


def _with(recipe: Recipe, candidate: dict[str, float]) -> Recipe:
    return recipe.changed(**candidate)
