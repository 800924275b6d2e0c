"""What a recipe of fine-tuning states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ssl_bench.backbones.backbone import Backbone

Feature = Literal["mean_norm", "cls", "default", "mean_patch"]
SIZES = {"small": 384, "base": 768, "large": 1024}
"""Largest width of the tokens of a ViT of this size; wider ones are ``huge``."""


@dataclass(frozen=True)
class Recipe:
    """``lr`` is for ``lr_batch`` images and scaled linearly (None: as given); ``head_lr`` is the head's, scaled alike (None:
    the same). ``warmup_lr`` and ``min_lr``: rates at the first step and at the end, as they are.

    ``schedule``: ``cosine_step`` changes every iteration, ``cosine_epoch`` and ``steps`` (x ``drop`` at each of
    ``milestones``) between epochs; ``cosine_timm`` as ``cosine_epoch``, begun with the warm-up instead of after it.
    ``steps``: length in updates in place of ``epochs``. ``decay_by_rate``: the weight decay is divided by the rate.
    ``feature``: what the linear head sees; ``mean_norm`` is the mean patch token before the final norm, with a fresh norm.
    ``repeats``: how often an epoch shows an image (repeated augmentation: a third of the images three times).
    ``mix_group``: images that share one draw of mixup or cutmix, as many as one of the authors' GPUs had.
    ``forward_batch``: most images a process takes at once; BatchNorm sees these. ``batch_norm_rule``: momentum of the running
    statistics max(1 - 10 / s, 0.9) in TensorFlow's sense, s updates an epoch. ``ema``: decay of the moving average of the
    weights; the weights themselves are evaluated, unless a setting says otherwise.

    ``changes``: values for a size of ViT (``small``), a data set (``cars``), or both (``inat18/small``), in this order.
    ``sweep``: values of ``lr``, ``weight_decay`` or ``epochs`` to choose among on held-out images.
    """

    source: str
    epochs: float
    batch_size: int
    lr: float
    lr_batch: int | None = 256
    head_lr: float | None = None
    optimizer: Literal["adamw", "sgd"] = "adamw"
    nesterov: bool = False
    weight_decay: float = 0.05
    decay_by_rate: bool = False
    steps: int | None = None
    schedule: Literal["cosine_step", "cosine_epoch", "cosine_timm", "steps", "constant"] = "cosine_step"
    warmup_epochs: float = 0.0
    warmup_lr: float = 0.0
    min_lr: float = 0.0
    milestones: tuple[float, ...] = ()
    drop: float = 0.1
    layer_decay: float = 1.0
    drop_path: float = 0.0
    feature: Feature = "cls"
    head_std: float = 0.02
    crop_scale: tuple[float, float] = (0.08, 1.0)
    flip: bool = True
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    randaugment: str | None = None
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    mix_group: int = 128
    smoothing: float = 0.0
    repeats: int = 1
    ema: float | None = None
    batch_norm_rule: bool = False
    forward_batch: int = 128
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sweep: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    @property
    def mixes(self) -> bool:
        return self.mixup > 0 or self.cutmix > 0

    def resolved(self, size: str, dataset: str) -> Recipe:
        """The values for this size of model and this data set."""
        stated = [s for s in _nearest(size) if s in self.changes][:1]
        both = [f"{dataset}/{s}" for s in _nearest(size) if f"{dataset}/{s}" in self.changes and s == size]
        made = self
        for key in (*stated, dataset, *both):
            made = replace(made, **self.changes.get(key, {}))
        return made

    def changed(self, **given: Any) -> Recipe:
        """With these values in place where they are not None. With other ``epochs``, warm-up and milestones keep their
        share; a value that is given is not chosen by the sweep."""
        chosen = {name: value for name, value in given.items() if value is not None}
        sweep = {name: values for name, values in self.sweep.items() if name not in chosen}
        made = replace(self, sweep=sweep)
        if "epochs" in chosen:
            made = made.for_epochs(chosen.pop("epochs"))
        return replace(made, **chosen)

    def for_epochs(self, epochs: float) -> Recipe:
        part = epochs / self.epochs
        milestones = tuple(at * part for at in self.milestones)
        return replace(self, epochs=epochs, steps=None, warmup_epochs=self.warmup_epochs * part, milestones=milestones)

    def scaled(self, batch: int) -> tuple[float, float]:
        """Rates of body and head for this batch: lr x batch / lr_batch."""
        factor = 1.0 if self.lr_batch is None else batch / self.lr_batch
        head = self.lr if self.head_lr is None else self.head_lr
        return self.lr * factor, head * factor

    def values(self) -> dict[str, Any]:
        """For the record and for keys: JSON-serialisable."""
        hidden = {"changes", "sweep", "source"}
        return {name: list(v) if isinstance(v, tuple) else v for name, v in vars(self).items() if name not in hidden}


def size_of(backbone: Backbone) -> str:
    """``small``, ``base``, ``large`` or ``huge`` for a ViT, by the width of its tokens; ``base`` for other networks."""
    width = getattr(backbone, "token_dim", SIZES["base"])
    return next((name for name, most in SIZES.items() if width <= most), "huge")


def _nearest(size: str) -> tuple[str, ...]:
    """Sizes whose values serve this one, the best first: a size that the authors did not train takes its neighbour's."""
    order = {"small": ("small", "base"), "base": ("base",), "large": ("large",), "huge": ("huge", "large")}
    return order[size]
