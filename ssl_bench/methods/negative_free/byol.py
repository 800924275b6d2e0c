"""BYOL: predict a slowly moving target network's view of the same image (Grill et al. 2020, arXiv:2006.07733).

For views v, v' (eq. 2), online network theta, target network xi, sg the stop-gradient, each vector of shape (N, D)::

    L(v, v') = | l2(q_theta(z_theta(v))) - sg l2(z'_xi(v')) |^2  =  2 - 2 cos        L = L(v, v') + L(v', v), mean over N
    xi <- tau xi + (1 - tau) theta        tau_k = 1 - (1 - tau_0) (cos(pi k / K) + 1) / 2

z = g(f(.)), projector g and predictor q: Linear, BatchNorm, ReLU, Linear without bias. The target follows in its parameters
only and keeps its own BatchNorm statistics, in training mode (deepmind-research/byol). There it starts from other random
weights than the online network; here from the same.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from ssl_bench.methods.method import Method, feature_dim
from ssl_bench.methods.parts.ema import follow, follower
from ssl_bench.methods.parts.heads import mlp
from ssl_bench.methods.parts.precision import in_float32
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.settings import Settings
from ssl_bench.training.schedules import cosine


@in_float32
def regression(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """L(v, v'): mean over N of | l2(prediction) - sg l2(target) |^2 for (N, D) vectors; 0 to 4."""
    p, z = F.normalize(prediction, dim=1), F.normalize(target.detach(), dim=1)
    return (p - z).square().sum(dim=1).mean()


class BYOLSettings(Settings):
    """The paper's values for ImageNet, 300 epochs (momentum 0.996 for 1000 epochs, 0.97 for 40)."""

    hidden_dim: int = Field(4096, ge=1)
    projection_dim: int = Field(256, ge=1)
    momentum: float = Field(0.99, ge=0, le=1)
    """tau_0: the target's momentum at the first step; it ends at 1."""
    crop_scale: tuple[float, float] = (0.08, 1.0)
    blur: tuple[float, float] = (1.0, 0.1)
    """Probability in the first and in the second view."""
    solarize: tuple[float, float] = (0.0, 0.2)


class BYOL(Method):
    """Bootstrap your own latent: online network, predictor, moving target; no negatives."""

    settings = BYOLSettings
    summary = "predict the representation that a moving target network has of another view"
    config: BYOLSettings

    def __init__(self, encoder: nn.Module, settings: BYOLSettings, **horizon: int) -> None:
        super().__init__(encoder, settings, **horizon)
        hidden, out = settings.hidden_dim, settings.projection_dim
        self.projector = mlp([feature_dim(encoder), hidden, out])
        self.predictor = mlp([out, hidden, out])
        self.target_encoder = follower(self.encoder)
        self.target_projector = follower(self.projector)

    @classmethod
    def augmentation(cls, size: int, settings: Any) -> list[ViewSpec]:
        """Table 6: jitter (0.4, 0.4, 0.2, 0.1), grey 0.2; blur nearly always in the first view, solarisation in the second."""
        common = ViewSpec(size=size, crop_scale=settings.crop_scale, jitter=(0.4, 0.4, 0.2, 0.1))
        each = zip(settings.blur, settings.solarize, strict=True)
        return [common.model_copy(update={"blur": blur, "solarize": solarize}) for blur, solarize in each]

    def projections(self, features: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.projector(features)
        return projected

    def forward(self, views: list[torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        q1, q2 = (self.predictor(self.projector(self.encoder(view))) for view in views)
        with torch.no_grad():
            z1, z2 = (self.target_projector(self.target_encoder(view)) for view in views)
        return {"loss": regression(q1, z2) + regression(q2, z1)}

    def after_step(self, step: int) -> None:
        momentum = cosine(step, self.total_steps, self.config.momentum, final=1.0)
        follow(self.target_encoder, self.encoder, momentum)
        follow(self.target_projector, self.projector, momentum)
