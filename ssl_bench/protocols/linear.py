"""Linear evaluation on augmented images with a frozen backbone, by the authors' own recipes (:mod:`.linear_recipes`).

We report the last epoch; most scripts report the best epoch on the test images, which ``report: best_on_test`` does and
the record then says. Both are in the metrics. A sweep of learning rates, where asked for, is decided on held-out training
images: all its heads are trained on the same forwards, then the chosen rate is trained on all images.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data import subsets
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.data.feature_key import hash_tensors
from ssl_bench.data.features import Features, evaluating, extract
from ssl_bench.errors import FeatureError
from ssl_bench.protocols.accuracy import accuracy_interval, accuracy_metrics
from ssl_bench.protocols.linear_choice import embedding_for, recipe_for
from ssl_bench.protocols.linear_head import HeadTraining, logits_of, make_head
from ssl_bench.protocols.linear_images import FeatureBatches
from ssl_bench.protocols.linear_recipes import Name, Recipe
from ssl_bench.protocols.protocol import Outcome, Predictions, Protocol, Selection, headline
from ssl_bench.settings import Settings
from ssl_bench.training.saved import Saved

HEAD = 2


class LinearSettings(Settings):
    """``recipe``: whose; the settings after it replace its numbers (None: as in the recipe). ``lr`` and ``lr_sweep`` are in
    the recipe's own convention (for 256 images where it scales). ``n_last_blocks``, ``avgpool``: class tokens of the last n
    blocks, and the mean patch token of the last. ``held_out``: share of each class that decides a sweep."""

    recipe: Name = "dino"
    epochs: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    lr: PositiveFloat | None = None
    weight_decay: NonNegativeFloat | None = None
    n_last_blocks: PositiveInt | None = None
    avgpool: bool | None = None
    lr_sweep: tuple[PositiveFloat, ...] = ()
    held_out: float = Field(0.1, gt=0, lt=1)
    report: Literal["last", "best_on_test"] = "last"


@dataclass
class Fit:
    """Trained heads; of the first, the test accuracy after each epoch and the weights at its best."""

    heads: list[nn.Sequential]
    top1: list[float] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)


class Linear(Protocol):
    """Metrics in percent: ``top1`` (of the epoch that ``report`` says), ``mean_per_class``, ``top5`` (with five classes or
    more), and ``top1_best_epoch``, the best over epochs on the test images."""

    name = "linear"
    summary = "Linear classifier on augmented images, by the authors' recipes"
    settings = LinearSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: LinearSettings, compute: Compute) -> Outcome:
        recipe = recipe_for(backbone, settings.recipe).changed(
            epochs=settings.epochs, batch_size=settings.batch_size, lr=settings.lr, weight_decay=settings.weight_decay
        )
        embedding = embedding_for(backbone, recipe, settings.n_last_blocks, settings.avgpool)
        test = extract(backbone, dataset.test, compute, embedding)
        probe = _Probe(backbone, dataset, recipe, embedding, test, compute)
        details: dict[str, Any] = {"embedding": embedding, "recipe": asdict(recipe)}
        lr = recipe.lr
        if settings.lr_sweep:
            lr, details["sweep"] = probe.sweep(settings)
        fit = probe.train(dataset.train, [lr], test)
        details |= {"lr": lr, "peak_lr": probe.peak(lr, len(dataset.train)), "test_top1_by_epoch": fit.top1}
        if skipped := sorted(probe.skipped | set(test.broken)):
            details["skipped"] = skipped
        selection: Selection = "held_out" if settings.lr_sweep else "fixed"
        if settings.report == "best_on_test":
            fit.heads[0].load_state_dict(fit.best)
            selection = "best_on_test"
        outcome = headline(_outcome(fit, test, selection, details, compute), dataset.metric)
        for saved in probe.saved:
            saved.remove()
        return outcome


class _Probe:
    """One backbone with one recipe."""

    def __init__(
        self,
        backbone: Backbone,
        dataset: Dataset,
        recipe: Recipe,
        embedding: str,
        test: Features,
        compute: Compute,
    ) -> None:
        self.backbone, self.dataset, self.recipe, self.embedding = backbone, dataset, recipe, embedding
        self.compute, self.dim, self.classes = compute, test.x.shape[1], test.classes
        self.saved: list[Saved] = []
        self.skipped: set[str] = set()

    def peak(self, lr: float, images: int) -> float:
        """The learning rate that is used: scaled by the batch, which is no larger than the training set."""
        batch = min(self.recipe.batch_size, images)
        return lr * batch / self.recipe.lr_batch if self.recipe.lr_batch else lr

    def sweep(self, settings: LinearSettings) -> tuple[float, list[dict[str, float]]]:
        """The rate with the most held-out training images right after the last epoch (of equal ones the smaller)."""
        split = self.dataset.train
        kept, held = subsets.holdout(split.labels, settings.held_out, self.compute.seed)
        if not len(held):
            raise FeatureError("No class has two training images to hold out one for the sweep.", "Give one lr.")
        part = extract(self.backbone, split.subset(held), self.compute, self.embedding)
        lrs = sorted(set(settings.lr_sweep))
        fit = self.train(split.subset(kept), lrs, None)
        x, y = torch.from_numpy(np.array(part.x)).to(self.compute.device), part.y
        top1 = [accuracy_metrics(y, logits_of(head, x).argmax(1).cpu().numpy())["top1"] for head in fit.heads]
        table = [{"lr": lr, "held_out_top1": value} for lr, value in zip(lrs, top1, strict=True)]
        return lrs[int(np.argmax(top1))], table

    def train(self, split: Split, lrs: list[float], test: Features | None) -> Fit:
        """Train a head for each of ``lrs``, on the same forwards; goes on where an interrupted one stopped."""
        compute, device = self.compute, self.compute.device
        batches = FeatureBatches(self.backbone, split, self.recipe, self.embedding, compute)
        heads = [make_head(self.dim, self.classes, self.recipe, compute.generator(HEAD)).to(device) for _ in lrs]
        training = HeadTraining(heads, self.recipe, [self.peak(lr, len(split)) for lr in lrs])
        fit, saved = Fit(heads), Saved(compute, "linear", self._key(split, lrs))
        self.saved.append(saved)
        if state := saved.load():
            training.load_state_dict(state["training"])
            fit.top1, fit.best = state["top1"], state["best"]
            compute.progress.note(f"Going on after epoch {training.epoch}.")
        x = torch.from_numpy(np.array(test.x)).to(device) if test is not None else None
        total, name = self.recipe.epochs * len(batches), f"linear heads on {self.backbone.name}"
        with (
            evaluating(self.backbone, compute),
            torch.inference_mode(False),
            compute.progress.bar(name, total) as advance,
        ):
            advance(training.epoch * len(batches))
            while training.epoch < self.recipe.epochs:
                losses = training.train_epoch(batches.epoch(training.epoch), len(batches), advance)
                if len(lrs) == 1 and not all(value.isfinite().all() for value in heads[0].parameters()):
                    raise FeatureError(
                        f"The linear classifier diverged (lr {lrs[0]:g}).", "Give a smaller --set lr=..."
                    )
                if test is not None and x is not None:
                    self._score(fit, logits_of(heads[0], x), test)
                saved.save({"training": training.state_dict(), "top1": fit.top1, "best": fit.best})
                status = f"epoch {training.epoch}/{self.recipe.epochs}, loss {losses[0]:.3f}"
                advance(0, status=f"{status}, top1 {fit.top1[-1]:.1f}" if fit.top1 else status)
        self.skipped |= batches.skipped
        return fit

    def _score(self, fit: Fit, logits: torch.Tensor, test: Features) -> None:
        fit.top1.append(accuracy_metrics(test.y, logits.argmax(1).cpu().numpy())["top1"])
        if fit.top1[-1] > max(fit.top1[:-1], default=-1.0):
            fit.best = {name: value.clone() for name, value in fit.heads[0].state_dict().items()}

    def _key(self, split: Split, lrs: list[float]) -> dict[str, Any]:
        return {
            "tensors": hash_tensors(self.backbone),
            "preprocess": self.backbone.preprocess.card.model_dump(mode="json"),
            "embedding": self.embedding,
            "recipe": asdict(self.recipe),
            "lrs": lrs,
            "split": split.fingerprint,
            "test": self.dataset.test.fingerprint,
            "seed": self.compute.seed,
            "precision": self.compute.precision,
            "torch": torch.__version__,
        }


def _outcome(fit: Fit, test: Features, selection: Selection, details: dict[str, Any], compute: Compute) -> Outcome:
    """Metrics of the head as it is."""
    logits = logits_of(fit.heads[0], torch.from_numpy(np.array(test.x)).to(compute.device))
    score, label = (part.cpu().numpy() for part in logits.softmax(1).max(1))
    metrics = accuracy_metrics(test.y, label)
    if test.classes >= 5:
        own = torch.from_numpy(test.y).to(logits.device)[:, None]
        metrics["top5"] = 100 * (logits.topk(5, 1).indices == own).any(1).double().mean().item()
    metrics["top1_best_epoch"] = max(fit.top1)
    return Outcome(
        metrics,
        primary="top1",
        selection=selection,
        interval=accuracy_interval(test.y, label),
        predictions=Predictions(test.index, test.y, label, score),
        details=details,
    )
