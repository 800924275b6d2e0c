"""SimCLR: two views of an image attract, all other images repel (Chen et al. 2020, arXiv:2002.05709).

NT-Xent (eq. 1), for the 2N projections z_1 ... z_2N of the views of N images, (i, j) the two views of one image::

    l(i, j) = -log  exp(sim(z_i, z_j) / tau)  /  sum_{k != i} exp(sim(z_i, z_k) / tau)
    L       = 1 / 2N  sum_k  l(2k - 1, 2k) + l(2k, 2k - 1)

sim is the cosine, tau the temperature, z = g(f(x)) of shape (N, D) a view; the negatives are all other views, of all
processes. g: Linear, BatchNorm, ReLU, Linear, BatchNorm without offset (google-research/simclr). The authors' code returns
the sum of the two views' means, twice L: ``sum_directions``.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from ssl_bench.compute import gather_with_gradient, rank
from ssl_bench.methods.method import Method, feature_dim
from ssl_bench.methods.parts.heads import mlp
from ssl_bench.methods.parts.precision import in_float32
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.settings import Settings


@in_float32
def nt_xent(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """L over this process's 2N anchors, and the share of them whose other view is the nearest of all.

    ``z1``, ``z2``: (N, D), any length. With several processes, their mean is L of the whole batch.
    """
    anchors = F.normalize(torch.cat([z1, z2]), dim=1)
    n, everyone = len(z1), gather_with_gradient(anchors)
    own = torch.arange(2 * n, device=anchors.device) + 2 * n * rank()
    logits = (anchors @ everyone.T / temperature).scatter(1, own[:, None], float("-inf"))
    positive = own.roll(n)
    return F.cross_entropy(logits, positive), (logits.argmax(dim=1) == positive).float().mean()


class SimCLRSettings(Settings):
    """The paper's ImageNet values. On CIFAR-10: temperature 0.5, jitter_strength 0.5, blur 0."""

    temperature: float = Field(0.1, gt=0)
    hidden_dim: int | None = Field(None, ge=1)
    """Width of the projector's hidden layer; None: the encoder's."""
    projection_dim: int = Field(128, ge=1)
    sum_directions: bool = False
    crop_scale: tuple[float, float] = (0.08, 1.0)
    jitter_strength: float = Field(1.0, ge=0)
    blur: float = Field(0.5, ge=0, le=1)


class SimCLR(Method):
    """Contrastive learning with the other images of the batch as negatives."""

    settings = SimCLRSettings
    summary = "two views attract, all other images of the batch repel (NT-Xent)"
    config: SimCLRSettings

    def __init__(self, encoder: nn.Module, settings: SimCLRSettings, **horizon: int) -> None:
        super().__init__(encoder, settings, **horizon)
        dim = feature_dim(encoder)
        widths = [dim, settings.hidden_dim or dim, settings.projection_dim]
        self.projector = mlp(widths, hidden_bias=False, last_norm="scale")

    @classmethod
    def augmentation(cls, size: int, settings: Any) -> list[ViewSpec]:
        """Two views alike (appendix A): crop, flip, jitter of strength s (0.8 s, 0.8 s, 0.8 s, 0.2 s), grey, blur."""
        s = settings.jitter_strength
        jitter = (0.8 * s, 0.8 * s, 0.8 * s, 0.2 * s)
        return 2 * [ViewSpec(size=size, crop_scale=settings.crop_scale, jitter=jitter, blur=settings.blur)]

    def projections(self, features: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.projector(features)
        return projected

    def forward(self, views: list[torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        z1, z2 = self.projector(self.encoder(torch.cat(views))).chunk(2)
        loss, accuracy = nt_xent(z1, z2, self.config.temperature)
        return {"loss": 2 * loss if self.config.sum_directions else loss, "accuracy": accuracy}
