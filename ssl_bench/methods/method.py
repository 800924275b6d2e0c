"""The contract: augmentation and objective of a pretraining method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import nn

from ssl_bench.errors import SettingsError
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.settings import Settings


class Method(nn.Module, ABC):
    """A way of pretraining ``encoder``, usable in anyone's loop::

        method = load_method("byol", encoder=encoder, total_steps=1000)
        for step, views in enumerate(batches):          # views: list of (B, 3, H, W), one for each entry of augmentation()
            loss = method(views, step)["loss"]; loss.backward()
            method.before_step(step); optimizer.step(); method.after_step(step)

    ``encoder`` is the network that is saved and evaluated (``evaluated`` where the paper evaluates the teacher).
    ``total_steps`` is the horizon of the method's own schedules (EMA momentum, teacher temperature).
    """

    settings: ClassVar[type[Settings]]
    summary: ClassVar[str]

    def __init__(self, encoder: nn.Module, settings: Any, *, total_steps: int = 1, steps_per_epoch: int = 1) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = settings
        self.total_steps = total_steps
        self.steps_per_epoch = steps_per_epoch

    @property
    def evaluated(self) -> nn.Module:
        """The network that the paper evaluates: the encoder, unless a method says otherwise (DINO: the teacher)."""
        return self.encoder

    def projections(self, features: torch.Tensor) -> torch.Tensor | None:
        """What collapses if the method does: outputs of ``evaluated`` (N, D) -> the vectors (N, P) that the loss compares.

        None for a method that compares none and so cannot collapse, such as reconstruction. The encoder's own output is
        no sign: under a collapsed projector it may keep its spread.
        """
        return None

    @classmethod
    @abstractmethod
    def augmentation(cls, size: int, settings: Any) -> list[ViewSpec]:
        """One image -> its views; ``size``: side of the (global) views in pixels."""

    @abstractmethod
    def forward(self, views: list[torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        """``views``: one (B, 3, H, W) tensor a view -> ``{"loss": scalar, further scalars to log}``."""

    def before_step(self, step: int) -> None:
        """After backward and clipping, before the optimiser's step: change or cancel gradients."""

    def after_step(self, step: int) -> None:
        """After the optimiser's step: EMA, queue, centre."""


def feature_dim(encoder: nn.Module) -> int:
    """Length of the encoder's output vector, from its attribute ``embed_dim`` or ``num_features`` (timm)."""
    for attribute in ("embed_dim", "num_features"):
        value = getattr(encoder, attribute, None)
        if isinstance(value, int):
            return value
    raise SettingsError(
        f"The encoder {type(encoder).__name__} does not say how long its output vector is.",
        "Give it an integer attribute embed_dim.",
    )
