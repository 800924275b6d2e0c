"""What fine-tuning a network of clips or of recordings has in common: numbers, the optimiser's schedule, the key."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import OptimizerCard
from ssl_bench.compute import Compute, world_size
from ssl_bench.data.dataset import Split
from ssl_bench.data.feature_key import hash_tensors
from ssl_bench.errors import SettingsError
from ssl_bench.settings import Settings
from ssl_bench.training.supervised import Schedule, Training


class FineTuneNumbers(Settings):
    """AdamW (0.9, 0.999), a linear warm-up from 0 and half a cosine to ``min_lr``, changed every step. ``lr`` is for 256
    samples and scaled linearly to ``batch_size``; ``forward_batch`` of them go through the network at once in each process,
    and their gradients are added up. ``layer_decay`` as in MAE; ``drop_path`` and ``dropout`` (before the last layer)."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    forward_batch: int = Field(ge=1)
    lr: float = Field(gt=0)
    min_lr: float = Field(1e-6, ge=0)
    weight_decay: float = Field(ge=0)
    warmup_epochs: float = Field(ge=0)
    layer_decay: float = Field(0.75, gt=0, le=1)
    drop_path: float = Field(ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    clip_grad: float | None = Field(None, gt=0)


def plan(numbers: FineTuneNumbers, samples: int, repeats: int = 1) -> tuple[int, Training]:
    """Samples of a batch in each process (each gives ``repeats`` clips), and the training, for ``samples`` an epoch.

    The batch is ``batch_size`` (or all there are), taken in equal parts of at most ``forward_batch`` a process.
    """
    batch = min(numbers.batch_size // repeats, samples)
    parts = max(1, -(-batch * repeats // (numbers.forward_batch * world_size())))
    size = batch // (parts * world_size())
    if size == 0:
        raise SettingsError(
            f"batch_size = {numbers.batch_size} with {repeats} clips of a video is too small for {world_size()} processes "
            f"with {numbers.forward_batch} clips at once."
        )
    updates = samples // (size * world_size()) // parts
    lr = numbers.lr * size * parts * world_size() * repeats / 256
    card = OptimizerCard(name="adamw", lr=lr, weight_decay=numbers.weight_decay, clip=numbers.clip_grad)
    schedule = Schedule(
        updates * numbers.epochs, round(numbers.warmup_epochs * updates), final=min(1.0, numbers.min_lr / lr)
    )
    return size, Training(card, schedule, accumulate=parts)


def key(backbone: Backbone, train: Split, settings: Settings, compute: Compute) -> dict[str, Any]:
    """All that determines the trained network."""
    return {
        "tensors": hash_tensors(backbone),
        "definition": backbone.definition,
        "preprocess": backbone.preprocess.card.model_dump(mode="json"),
        "samples": train.fingerprint,
        "settings": settings.model_dump(mode="json"),
        "seed": compute.seed,
        "precision": compute.precision,
        "processes": world_size(),
    }
