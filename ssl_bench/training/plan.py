"""How many steps a run has, and what the schedules say at each of them."""

from __future__ import annotations

from dataclasses import dataclass

from ssl_bench.cards import RecipeCard
from ssl_bench.errors import TrainingError
from ssl_bench.training.schedules import cosine, warmup_cosine


@dataclass(frozen=True)
class Plan:
    """A recipe on ``images`` training images and ``processes`` processes.

    One step is one update of the weights: every process sees ``accumulate`` micro-batches of ``batch_size`` images,
    ``batch`` = batch_size x accumulate x processes images together. The last images of an epoch that do not fill a
    step are left out; as every epoch has an order of its own, they are others each time.
    """

    recipe: RecipeCard
    images: int
    processes: int = 1

    def __post_init__(self) -> None:
        if self.steps_per_epoch == 0:
            raise TrainingError(
                f"{self.recipe.dataset} has {self.images} training images, and one step of recipe {self.recipe.name} "
                f"needs {self.batch}.",
                "Lower batch_size or accumulate.",
            )

    @property
    def batch(self) -> int:
        """Images of one step, over all micro-batches and processes."""
        return self.recipe.batch_size * self.recipe.accumulate * self.processes

    @property
    def steps_per_epoch(self) -> int:
        return self.images // self.batch

    @property
    def total_steps(self) -> int:
        return self.steps_per_epoch * self.recipe.epochs

    def lr(self, step: int) -> float:
        """Linear warm-up from 0, then half a cosine to ``final_lr``, per step.

        Peak = lr x batch / lr_batch (linear scaling rule, Goyal et al. 2017, arXiv 1706.02677); ``final_lr`` is not scaled.
        """
        card = self.recipe.optimizer
        peak = card.lr * (self.batch / card.lr_batch if card.lr_batch else 1)
        warmup = self.recipe.warmup_epochs * self.steps_per_epoch
        return warmup_cosine(step, self.total_steps, peak, warmup, self.recipe.final_lr)

    def weight_decay(self, step: int) -> float:
        """Half a cosine from ``weight_decay`` to ``weight_decay_end`` (DINO), or constant."""
        card = self.recipe.optimizer
        if card.weight_decay_end is None:
            return card.weight_decay
        return cosine(step, self.total_steps, card.weight_decay, card.weight_decay_end)
