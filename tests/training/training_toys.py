"""A method, a data set and a recipe that train in a blink."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from ssl_bench.cards import RecipeCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.methods.method import Method, feature_dim
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.registry import registry
from ssl_bench.settings import Settings


class ToySettings(Settings):
    momentum: float = 0.9
    noise: float = 0.1
    break_at: int = -1


class Toy(Method):
    """Two views' vectors agree, and the batch keeps its spread: with an EMA copy, a buffer and noise, so that a resumed
    run has something to get wrong."""

    settings = ToySettings
    summary = "A toy."

    def __init__(self, encoder: nn.Module, settings: Any, *, total_steps: int = 1, steps_per_epoch: int = 1) -> None:
        super().__init__(encoder, settings, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
        self.head = nn.Linear(feature_dim(encoder), 8)
        self.average = nn.Linear(feature_dim(encoder), 8).requires_grad_(False)
        self.average.load_state_dict(self.head.state_dict())
        self.register_buffer("seen", torch.zeros(()))

    @classmethod
    def augmentation(cls, size: int, settings: Any) -> list[ViewSpec]:
        return [ViewSpec(size=size, blur=0.0), ViewSpec(size=size, blur=0.0, solarize=0.2)]

    def forward(self, views: list[torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        a, b = (self.encoder(view) for view in views)
        a = a + self.config.noise * torch.randn(a.shape).to(a.device)
        distance = (self.head(a) - self.average(b)).square().mean()
        spread = a.std(dim=0).mean()
        loss = distance - 0.1 * spread
        if step == self.config.break_at:
            loss = loss * float("nan")
        return {"loss": loss, "distance": distance}

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        self.seen += 1
        for mine, other in zip(self.average.parameters(), self.head.parameters(), strict=True):
            mine.lerp_(other, 1 - self.config.momentum)


class ToySplit(Split):
    """``images``: (N, H, W, 3) uint8."""

    classes = ("a", "b", "c")

    def __init__(self, images: np.ndarray, labels: np.ndarray, in_memory: bool = True) -> None:
        self.images, self.labels, self.in_memory = images, labels, in_memory

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(self.images[index])

    def identity(self, index: int) -> str:
        return str(index)

    def array(self) -> np.ndarray | None:
        return self.images if self.in_memory else None


def toy_data(n: int = 30, size: int = 16, in_memory: bool = True) -> Dataset:
    """Three classes of noise around three colours."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 3
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
    images = colours[labels][:, None, None] + rng.integers(-50, 50, (n, size, size, 3))
    split = ToySplit(images.astype(np.uint8), labels.astype(np.int64), in_memory)
    return Dataset("toys", split, split)


def toy_recipe(**changes: Any) -> RecipeCard:
    fields: dict[str, Any] = {
        "name": "toy_small",
        "method": "toy",
        "arch": "resnet_small32",
        "arch_args": {"width": 4},
        "dataset": "toys",
        "image_size": 16,
        "preprocess": {"resize": None, "crop": None, "mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)},
        "augment": "batched",
        "epochs": 3,
        "batch_size": 8,
        "optimizer": {"name": "adamw", "lr": 0.01, "lr_batch": None, "weight_decay": 0.05, "weight_decay_end": 0.1},
    }
    return RecipeCard.model_validate(fields | changes)


def register() -> None:
    if "toy" not in registry().methods:
        registry().methods.add("toy", lambda: Toy, "tests")


def kill_recipe(augment: str) -> RecipeCard:
    return toy_recipe(augment=augment, accumulate=2, batch_size=4, epochs=4, online_knn_every=2)


def main(out: str, kill_at: int, augment: str) -> None:
    """A process of its own that trains, and kills itself without warning once step ``kill_at`` is logged."""
    import os
    import signal

    from ssl_bench.training.loop import train

    def die(row: dict[str, float]) -> None:
        if row["step"] == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    register()
    train(kill_recipe(augment), Compute(), Path(out), dataset=toy_data(), log=die)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
