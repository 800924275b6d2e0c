"""The authors' recipes of linear evaluation on images. Every number stands in the source named beside it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

Name = Literal["dino", "mae", "moco", "mocov3", "simclr", "simsiam", "swav", "barlow"]


@dataclass(frozen=True)
class Recipe:
    """``lr`` is for ``lr_batch`` images and scaled linearly (None: as given). ``vit_lr``: where ViTs have another.

    ``schedule``: ``cosine_epoch`` and ``steps`` change between epochs, the first epoch at full rate; ``cosine_step``
    changes every iteration, with a linear warm-up from 0. The head is a linear layer with N(0, 0.01) weights
    (``init: trunc_normal``: truncated at +-2) and zero bias, after a batch norm without affine (eps 1e-6) if ``batch_norm``.
    ``feature: dino``: last blocks as DINO chooses them by model size; ``default``: the backbone's own vector.
    Training crops: 0.08 to 1 of the area, aspect 3/4 to 4/3, to the test crop's size, flipped with probability 1/2.
    ``script_reports``: the epoch whose test accuracy the authors' script gives; what we report is a setting.
    """

    source: str
    lr: float
    epochs: int
    batch_size: int
    optimizer: Literal["sgd", "lars", "larc"] = "sgd"
    lr_batch: int | None = 256
    vit_lr: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    schedule: Literal["cosine_epoch", "cosine_step", "steps"] = "cosine_epoch"
    warmup_epochs: float = 0.0
    milestones: tuple[float, ...] = ()
    large_epochs: int | None = None
    """Epochs for ViT-L and larger (D of 1024 or more), if they have another number."""
    batch_norm: bool = False
    init: Literal["normal", "trunc_normal"] = "normal"
    feature: Literal["default", "dino"] = "default"
    drop_last: bool = False
    crop: Literal["torchvision", "one_draw"] = "torchvision"
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    script_reports: Literal["last", "best_on_test"] = "best_on_test"

    def for_epochs(self, epochs: int) -> Recipe:
        """Another length; warm-up and steps keep their share of it."""
        part = epochs / self.epochs
        milestones = tuple(at * part for at in self.milestones)
        return replace(self, epochs=epochs, warmup_epochs=self.warmup_epochs * part, milestones=milestones)

    def changed(self, **given: Any) -> Recipe:
        """With these fields in place, where they are not None."""
        chosen = {name: value for name, value in given.items() if value is not None}
        epochs = chosen.pop("epochs", self.epochs)
        return replace(self.for_epochs(epochs), **chosen)


RECIPES: dict[str, Recipe] = {
    # facebookresearch/dino eval_linear.py and paper F.2: base 0.001 x batch/256, 100 epochs, SGD 0.9, wd 0, cosine by
    # epochs; batch 1024 in the paper (the script's 128 are for each GPU); the paper sweeps the rate for each model.
    "dino": Recipe(
        source="facebookresearch/dino eval_linear.py", lr=0.001, epochs=100, batch_size=1024, feature="dino"
    ),
    # facebookresearch/mae main_linprobe.py, engine_finetune.py: LARS, 0.1 x batch/256, batch 16384, 90 epochs for B and
    # 50 for L and H, 10 of warm-up, cosine by iterations, batch norm before the head, last partial batch dropped.
    # There the head's batch norm sees the 512 images of one GPU; here the whole batch.
    "mae": Recipe(
        source="facebookresearch/mae main_linprobe.py",
        lr=0.1,
        epochs=90,
        large_epochs=50,
        batch_size=16384,
        optimizer="lars",
        schedule="cosine_step",
        warmup_epochs=10,
        batch_norm=True,
        init="trunc_normal",
        drop_last=True,
        crop="one_draw",
        interpolation="bicubic",
        script_reports="last",
    ),
    # facebookresearch/moco main_lincls.py (v1 and v2): rate 30 as it is, batch 256, x 0.1 at 60 and 80 of 100 epochs.
    "moco": Recipe(
        source="facebookresearch/moco main_lincls.py",
        lr=30.0,
        lr_batch=None,
        epochs=100,
        batch_size=256,
        schedule="steps",
        milestones=(60, 80),
    ),
    # facebookresearch/moco-v3 main_lincls.py, CONFIG.md: 0.1 (ResNet-50) or 3 (ViT) x batch/256, batch 1024, 90 epochs.
    "mocov3": Recipe(source="facebookresearch/moco-v3 main_lincls.py", lr=0.1, vit_lr=3.0, epochs=90, batch_size=1024),
    # SimCLR paper B.6 and google-research/simclr README: Nesterov 0.9, 0.1 x batch/256, batch 4096, 90 epochs, no
    # warm-up, cosine; no weight decay in the paper (the README's command has 1e-6).
    "simclr": Recipe(
        source="google-research/simclr README.md",
        lr=0.1,
        epochs=90,
        batch_size=4096,
        nesterov=True,
        schedule="cosine_step",
        drop_last=True,
        interpolation="bicubic",
        script_reports="last",
    ),
    # facebookresearch/simsiam main_lincls.py: SGD inside LARC (trust 0.001, no clipping), 0.1 x 4096/256, 90 epochs.
    "simsiam": Recipe(
        source="facebookresearch/simsiam main_lincls.py", lr=0.1, epochs=90, batch_size=4096, optimizer="larc"
    ),
    # facebookresearch/swav eval_linear.py: 0.3 as it is for 32 x 8 images, wd 1e-6, 100 epochs, cosine.
    "swav": Recipe(
        source="facebookresearch/swav eval_linear.py",
        lr=0.3,
        lr_batch=None,
        epochs=100,
        batch_size=256,
        weight_decay=1e-6,
    ),
    # facebookresearch/barlowtwins evaluate.py: head 0.3 as it is, batch 256 in all, wd 1e-6, 100 epochs, cosine.
    "barlow": Recipe(
        source="facebookresearch/barlowtwins evaluate.py",
        lr=0.3,
        lr_batch=None,
        epochs=100,
        batch_size=256,
        weight_decay=1e-6,
    ),
}
