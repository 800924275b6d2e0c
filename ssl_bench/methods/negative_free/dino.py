"""DINO: self-distillation with no labels (Caron et al. 2021, arXiv:2104.14294).

Teacher t sees the 2 global crops, student s all crops; scores g(x) of shape (N, K); c (K) is the centre (eqs. 1 to 4)::

    P_t = softmax((g_t(x) - c) / tau_t)      P_s = softmax(g_s(x') / tau_s)      H(a, b) = - sum_k a_k log b_k
    L   = mean over pairs (x global, x' != x) and over N of H(sg P_t(x), P_s(x'))
    c  <- m c + (1 - m) mean of g_t over the batch of all processes, after its use
    theta_t <- l theta_t + (1 - l) theta_s,  l from 0.996 to 1 by a cosine

tau_t rises linearly by epochs; the student's last layer gets no gradient in the first epoch; the teacher is evaluated.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from ssl_bench.compute import mean_over_processes
from ssl_bench.methods.method import Method, feature_dim
from ssl_bench.methods.parts.ema import follow, follower
from ssl_bench.methods.parts.heads import PrototypeHead
from ssl_bench.methods.parts.multicrop import accept_any_size, encode_by_size
from ssl_bench.methods.parts.precision import in_float32
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.settings import Settings
from ssl_bench.training.schedules import cosine

GLOBAL_CROPS = 2


@in_float32
def teacher_distribution(scores: torch.Tensor, centre: torch.Tensor, temperature: float) -> torch.Tensor:
    """P_t: centred and sharpened, without gradient; ``scores`` (2, N, K), ``centre`` (K)."""
    return F.softmax((scores.detach() - centre) / temperature, dim=-1)


@in_float32
def distillation(student: torch.Tensor, targets: torch.Tensor, temperature: float) -> torch.Tensor:
    """L for scores ``student`` (V, N, K) of all crops and P_t ``targets`` (2, N, K) of the global ones, which come first."""
    log_p = F.log_softmax(student / temperature, dim=-1)
    cross_entropy = -torch.einsum("qnk,vnk->qv", targets, log_p) / targets.shape[1]
    pairs = len(targets) * (len(log_p) - 1)
    return (cross_entropy.sum() - cross_entropy.diagonal().sum()) / pairs


class DINOSettings(Settings):
    """The paper's values for ViTs on ImageNet."""

    prototypes: int = Field(65536, ge=2)
    hidden_dim: int = Field(2048, ge=1)
    bottleneck_dim: int = Field(256, ge=1)
    head_layers: int = Field(3, ge=1)
    head_batch_norm: bool = False
    norm_last_layer: bool = True
    freeze_last_layer_epochs: float = Field(1, ge=0)
    student_temperature: float = Field(0.1, gt=0)
    teacher_temperature: float = Field(0.07, gt=0)
    warmup_teacher_temperature: float = Field(0.04, gt=0)
    warmup_teacher_temperature_epochs: int = Field(30, ge=0)
    momentum: float = Field(0.996, ge=0, le=1)
    centre_momentum: float = Field(0.9, ge=0, le=1)
    global_scale: tuple[float, float] = (0.4, 1.0)
    local_scale: tuple[float, float] = (0.05, 0.4)
    local_crops: int = Field(8, ge=0)
    local_size: int | None = Field(None, ge=1)
    """Side of the local crops; None: 3/7 of the global ones' (96 of 224), to a multiple of 16."""


class DINO(Method):
    """Self-distillation: the student matches the centred, sharpened output of its own moving average, on multi-crop views."""

    settings = DINOSettings
    summary = "match the centred, sharpened output of a momentum teacher on multi-crop views"
    config: DINOSettings
    centre: torch.Tensor

    def __init__(self, encoder: nn.Module, settings: DINOSettings, **horizon: int) -> None:
        super().__init__(encoder, settings, **horizon)
        accept_any_size(encoder)
        self.head = PrototypeHead(
            feature_dim(encoder),
            settings.prototypes,
            settings.hidden_dim,
            settings.bottleneck_dim,
            settings.head_layers,
            settings.head_batch_norm,
            settings.norm_last_layer,
        )
        self.teacher_encoder = follower(self.encoder)
        self.teacher_head = follower(self.head)
        self.register_buffer("centre", torch.zeros(settings.prototypes))
        self._batch_means: list[torch.Tensor] = []

    @property
    def evaluated(self) -> nn.Module:
        return self.teacher_encoder

    @classmethod
    def augmentation(cls, size: int, settings: Any) -> list[ViewSpec]:
        """Multi-crop with BYOL's colours: blur nearly always in the first global view, solarisation in the second."""
        local_size = settings.local_size or max(16, round(size * 3 / 7 / 16) * 16)
        common = ViewSpec(size=size, crop_scale=settings.global_scale, jitter=(0.4, 0.4, 0.2, 0.1), blur_kernel=13)
        first = common.model_copy(update={"blur": 1.0})
        second = common.model_copy(update={"blur": 0.1, "solarize": 0.2})
        local = common.model_copy(update={"size": local_size, "crop_scale": settings.local_scale, "blur": 0.5})
        return [first, second, *[local] * settings.local_crops]

    def teacher_temperature(self, step: int) -> float:
        """tau_t in the epoch of ``step``: linear from its warm-up value to its final one, then constant."""
        low, high = self.config.warmup_teacher_temperature, self.config.teacher_temperature
        epochs, epoch = self.config.warmup_teacher_temperature_epochs, step // self.steps_per_epoch
        return high if epoch >= epochs else low + (high - low) * epoch / max(1, epochs - 1)

    def projections(self, features: torch.Tensor) -> torch.Tensor:
        projected: torch.Tensor = self.teacher_head(features)
        return projected

    def forward(self, views: list[torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        student = self.head(encode_by_size(self.encoder, views)).unflatten(0, (len(views), -1))
        with torch.no_grad():
            teacher = self.teacher_head(self.teacher_encoder(torch.cat(views[:GLOBAL_CROPS]))).float()
        if self.training:
            self._batch_means.append(teacher.mean(dim=0))
        scores = teacher.unflatten(0, (GLOBAL_CROPS, -1))
        targets = teacher_distribution(scores, self.centre, self.teacher_temperature(step))
        loss = distillation(student, targets, self.config.student_temperature)
        return {"loss": loss, "teacher_entropy": torch.special.entr(targets).sum(dim=-1).mean()}

    def before_step(self, step: int) -> None:
        if step < self.config.freeze_last_layer_epochs * self.steps_per_epoch:
            for parameter in self.head.last_layer.parameters():
                parameter.grad = None

    def after_step(self, step: int) -> None:
        momentum = cosine(step, self.total_steps, self.config.momentum, final=1.0)
        follow(self.teacher_encoder, self.encoder, momentum)
        follow(self.teacher_head, self.head, momentum)
        batch_mean = mean_over_processes(torch.stack(self._batch_means).mean(dim=0))
        self.centre.lerp_(batch_mean, 1 - self.config.centre_momentum)
        self._batch_means.clear()
