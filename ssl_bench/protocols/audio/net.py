"""A classifier of spectrograms (facebookresearch/AudioMAE models_vit.py)."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.compute import Compute
from ssl_bench.errors import SettingsError
from ssl_bench.training.drop_path import set_drop_path
from ssl_bench.training.trainable import trainable_copy

HEAD_STD = 2e-5


def for_frames(backbone: Backbone, frames: int, bins: int) -> Backbone:
    """The same network for spectrograms of ``frames`` x ``bins``. Of a ViT's positions those of the first patches in time are
    kept: each patch has the position that it had there in pre-training. (Audio-MAE's table cannot be resampled: it was made
    for another grid than the patches'. Other networks are left as they are.)"""
    if not isinstance(backbone, ViTBackbone):
        return backbone
    embed = backbone.module.patch_embed
    (high, wide), (rows, columns) = embed.patch_size, embed.grid_size
    if frames % high or (bins // wide, bins % wide) != (columns, 0) or frames // high > rows:
        raise SettingsError(
            f"Model {backbone.name} takes spectrograms of up to {rows * high} frames and {columns * wide} frequencies, "
            f"in patches of {high} x {wide}; the task has {frames} x {bins}.",
            f"Use --set frames=N with a multiple of {high}, and --set bins={columns * wide}.",
        )
    kept = frames // high
    if kept == rows:
        return backbone
    cut = copy.deepcopy(backbone)
    module = cut.module
    prefix = 0 if module.no_embed_class else module.num_prefix_tokens
    table = module.pos_embed.detach()[:, : prefix + kept * columns].clone()
    module.pos_embed = nn.Parameter(table, requires_grad=module.pos_embed.requires_grad)
    module.patch_embed.grid_size = (kept, columns)
    module.patch_embed.img_size = (frames, bins)
    module.patch_embed.num_patches = kept * columns
    return cut


class AudioClassifier(nn.Module):
    """(B, 1, frames, bins) -> (B, C).

    Of a ViT: the mean patch token of the last block, a norm of its own, and a linear layer; in training ``mask_time`` of the
    times and then ``mask_frequency`` of the frequencies of the grid of patches are left out, drawn for each sample. Of other
    networks: their vector and a linear layer.
    """

    def __init__(self, backbone: Backbone, classes: int, mask_time: float, mask_frequency: float) -> None:
        super().__init__()
        self.backbone, self.mask_time, self.mask_frequency = backbone, mask_time, mask_frequency
        self.masks = mask_time > 0 or mask_frequency > 0
        self.norm: nn.Module = nn.Identity()
        width = backbone.embed_dim
        if isinstance(backbone, ViTBackbone):
            width = backbone.token_dim
            own = getattr(backbone.module, "fc_norm", None)
            # A fine-tuned file has this norm already.
            self.norm = copy.deepcopy(own) if isinstance(own, nn.LayerNorm) else nn.LayerNorm(width, eps=1e-6)
        elif self.masks:
            raise SettingsError(
                f"Model {backbone.name} has no grid of patches, of which some could be left out.",
                "Use --set mask_time=0 --set mask_frequency=0.",
            )
        self.head = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, spectrograms: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.norm(self._vectors(spectrograms)))
        return logits

    def _vectors(self, spectrograms: torch.Tensor) -> torch.Tensor:
        if not isinstance(self.backbone, ViTBackbone):
            plain: torch.Tensor = self.backbone(spectrograms)
            return plain
        vit: Any = self.backbone.module
        tokens = self.backbone.embed_tokens(spectrograms)
        prefix = vit.num_prefix_tokens
        if self.training and self.masks:
            grid = vit.patch_embed.grid_size
            patches = masked(tokens[:, prefix:], grid, self.mask_time, self.mask_frequency)
            tokens = torch.cat([tokens[:, :prefix], patches], dim=1)
        for block in vit.blocks:
            tokens = block(tokens)
        mean: torch.Tensor = tokens[:, prefix:].mean(dim=1)
        return mean


def masked(tokens: torch.Tensor, grid: tuple[int, int], time: float, frequency: float) -> torch.Tensor:
    """(B, T F, D) -> (B, t f, D) with t = int(T (1 - ``time``)) of the rows of each sample and f = int(F (1 - ``frequency``))
    of its columns, drawn uniformly. Their order does not matter: positions are in the tokens."""
    batch, _, width = tokens.shape
    (rows, columns), device = grid, tokens.device
    tokens = tokens.reshape(batch, rows, columns, width)
    kept_rows = torch.rand(batch, rows, device=device).argsort(dim=1)[:, : int(rows * (1 - time))]
    kept_columns = torch.rand(batch, columns, device=device).argsort(dim=1)[:, : int(columns * (1 - frequency))]
    sample = torch.arange(batch, device=device)[:, None, None]
    return tokens[sample, kept_rows[:, :, None], kept_columns[:, None, :]].flatten(1, 2)


def build(
    backbone: Backbone, classes: int, mask_time: float, mask_frequency: float, drop_path: float, compute: Compute
) -> AudioClassifier:
    """A copy of the backbone that may be trained, with a fresh head. A ViT's positions stay as they are, as the authors'."""
    torch.manual_seed(compute.generator(76).initial_seed())
    body = trainable_copy(backbone)
    if isinstance(body, ViTBackbone):
        body.module.pos_embed.requires_grad_(False)
    set_drop_path(body, drop_path)
    return AudioClassifier(body, classes, mask_time, mask_frequency).to(compute.device)
