"""Thin networks of clips and of spectrograms, and what runs a task on them."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone, WeightsReport
from ssl_bench.cards import Modality, PreprocessCard
from ssl_bench.registry import registry
from ssl_bench.settings import Settings, resolve

GREY = PreprocessCard(resize=None, crop=None, mean=(0.45,) * 3, std=(0.225,) * 3)


class Flow(nn.Module):
    """Clips (B, 3, T, H, W) -> (B, 2). Where a pattern moves with velocity (u, v), its brightness has I_t = -(u I_x + v I_y):
    hence u and v are about -mean(I_t I_x) / mean(I_x^2) and -mean(I_t I_y) / mean(I_y^2)."""

    embed_dim = 2

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        grey = nn.functional.avg_pool2d(clips.mean(dim=1), 5, 1)
        t = (grey[:, 1:] - grey[:, :-1])[..., :-1, :-1]
        y = (grey[..., 1:, :] - grey[..., :-1, :])[:, :-1, :, :-1]
        x = (grey[..., 1:] - grey[..., :-1])[:, :-1, :-1]
        u, v = ((t * d).mean(dim=(1, 2, 3)) / (d * d).mean(dim=(1, 2, 3)) for d in (x, y))
        return self.scale * torch.stack([u, v], dim=1)


class Sums(nn.Module):
    """Images (B, 3, H, W) -> (B, 48): means of the squares of a 4 x 4 grid."""

    embed_dim = 48

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scale * nn.functional.adaptive_avg_pool2d(images, 4).flatten(1)


def named(module: nn.Module, embedding: str, modality: Modality, preprocess: PreprocessCard = GREY) -> Backbone:
    backbone = wrap(module, embedding, preprocess, f"small_{modality}")
    backbone.modality, backbone.weights = modality, WeightsReport("tests", modality, 1, 1)
    backbone.definition = type(module).__name__
    return backbone.eval().requires_grad_(False)


def video_vit() -> Backbone:
    """Clips of 4 x 32 x 32."""
    torch.manual_seed(0)
    sizes = {"embed_dim": 24, "depth": 2, "num_heads": 2, "frames": 4, "img_size": 32, "patch_size": 16, "tubelet": 2}
    return named(build("video_vit", sizes), "default", "video")


def audio_vit(frames: int = 96, bins: int = 32, patch: int = 16) -> Backbone:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"img_size": (frames, bins), "patch_size": patch, "in_chans": 1}
    module = VisionTransformer(**sizes, embed_dim=32, depth=2, num_heads=2, num_classes=0)
    return named(module, "mean_patch", "audio", PreprocessCard(resize=None, crop=None, mean=(0,) * 3, std=(1,) * 3))


def settings_of(task: str, **changes: Any) -> Settings:
    """A task's settings with some of them changed."""
    card = registry().task(task)
    return resolve(registry().protocols.get(card.protocol).settings, {**card.settings, **changes}, task)
