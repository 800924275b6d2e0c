"""What a network takes: the shape of one input, by its kind."""

from __future__ import annotations

from typing import Any

from torch import nn

from ssl_bench.backbones.vit import fits
from ssl_bench.cards import Modality

SIDE = 64
FRAMES, BINS = 96, 32
"""Of a spectrogram, for networks that do not say: as the procedural ``tones`` are cut."""


def input_shape(module: nn.Module, modality: Modality, side: int | None = None) -> tuple[int, ...]:
    """Without the batch: (3, S, S) images, (3, T, S, S) clips, (1, T, F) spectrograms. A network of clips or spectrograms says
    its size with an attribute ``clip_size`` or ``spectrogram_size``; a ViT's patch grid tells it."""
    inner: Any = getattr(module, "module", module)
    if modality == "video":
        size = getattr(module, "clip_size", None) or getattr(inner, "clip_size", None)
        return tuple(size) if size else (3, 8, side or SIDE, side or SIDE)
    if modality == "audio":
        size = getattr(module, "spectrogram_size", None) or getattr(inner, "spectrogram_size", None)
        if size is None and isinstance(inner, nn.Module) and fits(inner):
            patches: Any = inner.patch_embed
            (high, wide), (rows, columns) = patches.patch_size, patches.grid_size
            size = (1, rows * high, columns * wide)
        return tuple(size) if size else (1, FRAMES, BINS)
    return 3, side or SIDE, side or SIDE
