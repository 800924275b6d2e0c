"""A classifier of clips: a network of clips, or one of images whose vectors of all frames are averaged."""

from __future__ import annotations

import torch
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.training.drop_path import set_drop_path
from ssl_bench.training.trainable import trainable_copy

HEAD_STD = 2e-5


def clip_vectors(backbone: Backbone, clips: torch.Tensor) -> torch.Tensor:
    """(B, T, 3, H, W) normalised frames -> (B, D). A network of images sees each frame alone; its vectors are averaged, so
    that the order of the frames cannot matter."""
    if backbone.modality == "video":
        vectors: torch.Tensor = backbone(clips.transpose(1, 2))
        return vectors
    each: torch.Tensor = backbone(clips.flatten(0, 1))
    return each.reshape(*clips.shape[:2], -1).mean(dim=1)


class ClipClassifier(nn.Module):
    """(B, T, 3, H, W) normalised frames -> (B, C). Vector of the backbone, dropout, linear layer (models_vit.py)."""

    def __init__(self, backbone: Backbone, classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone, self.dropout = backbone, nn.Dropout(dropout)
        self.head = nn.Linear(backbone.embed_dim, classes)
        nn.init.trunc_normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.dropout(clip_vectors(self.backbone, clips)))
        return logits


def build(backbone: Backbone, classes: int, dropout: float, drop_path: float, compute: Compute) -> ClipClassifier:
    """A copy of the backbone that may be trained, with a fresh head. Networks without residual branches that may be left
    out have no drop path."""
    torch.manual_seed(compute.generator(72).initial_seed())
    body = trainable_copy(backbone)
    set_drop_path(body, drop_path)
    return ClipClassifier(body, classes, dropout).to(compute.device)
