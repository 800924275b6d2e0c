"""How many images an update takes, from how many processes and forwards."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_bench.cards import OptimizerCard
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.finetune.recipe import Recipe
from ssl_bench.training.supervised import Curve, Schedule, Training


@dataclass(frozen=True)
class Plan:
    """``forward`` images at once in each of ``processes``, ``accumulate`` times, make an update of ``batch`` images. An epoch
    shows ``images`` (less the rest that fills no batch)."""

    recipe: Recipe
    images: int
    processes: int = 1

    def __post_init__(self) -> None:
        if self.forward < (2 if self.recipe.mixes else 1):
            raise SettingsError(
                f"{self.images} training images in batches of {self.recipe.batch_size} are too few for {self.processes} "
                f"processes{' and mixup' if self.recipe.mixes else ''}.",
                "Use fewer processes, or mixup=0 and cutmix=0.",
            )

    @property
    def wanted(self) -> int:
        """Images of an update as the recipe says; never more than there are."""
        return min(self.recipe.batch_size, self.images)

    @property
    def accumulate(self) -> int:
        return -(-self.wanted // (self.recipe.forward_batch * self.processes))

    @property
    def forward(self) -> int:
        """Even where images are mixed in pairs."""
        count = self.wanted // (self.accumulate * self.processes)
        return count - count % 2 if self.recipe.mixes else count

    @property
    def batch(self) -> int:
        return self.forward * self.accumulate * self.processes

    @property
    def steps_per_epoch(self) -> int:
        return self.images // self.batch

    @property
    def total(self) -> int:
        return self.recipe.steps or max(1, round(self.recipe.epochs * self.steps_per_epoch))

    def training(self) -> Training:
        """Optimiser and schedule with the rates of this batch."""
        recipe = self.recipe
        rate = recipe.scaled(self.batch)[0]
        decay = recipe.weight_decay / rate if recipe.decay_by_rate else recipe.weight_decay
        card = OptimizerCard(name=recipe.optimizer, lr=rate, nesterov=recipe.nesterov, weight_decay=decay)
        return Training(card, self.schedule(rate), self.accumulate, recipe.ema)

    def schedule(self, rate: float) -> Schedule:
        recipe, epoch = self.recipe, self.steps_per_epoch
        curves: dict[str, Curve] = {"steps": "step", "constant": "constant"}
        return Schedule(
            self.total,
            warmup=round(recipe.warmup_epochs * epoch),
            warmup_from=recipe.warmup_lr / rate,
            curve=curves.get(recipe.schedule, "cosine"),
            final=recipe.min_lr / rate,
            milestones=tuple(round(at * epoch) for at in recipe.milestones),
            factor=recipe.drop,
            hold=epoch if recipe.schedule in {"cosine_epoch", "cosine_timm"} else 1,
            through=recipe.schedule == "cosine_timm",
        )
