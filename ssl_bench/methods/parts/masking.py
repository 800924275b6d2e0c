"""Which tokens a masked method hides, and images cut into patches."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Mask(NamedTuple):
    """``keep`` (B, K) int64: visible tokens; ``restore`` (B, N) int64: sorts [visible, hidden] back into the image's order;
    ``hidden`` (B, N) bool: True where hidden."""

    keep: torch.Tensor
    restore: torch.Tensor
    hidden: torch.Tensor


def random_mask(batch: int, tokens: int, ratio: float, device: torch.device) -> Mask:
    """Each image its own random subset of int(tokens * (1 - ratio)) visible tokens (MAE, appendix A.1: sort noise, cut)."""
    visible = int(tokens * (1 - ratio))
    shuffled = torch.rand(batch, tokens, device=device).argsort(dim=1)
    restore = shuffled.argsort(dim=1)
    return Mask(shuffled[:, :visible], restore, restore >= visible)


def take(tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """Tokens (B, N, D) at positions ``index`` (B, K) -> (B, K, D)."""
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[2]))


def patchify(images: torch.Tensor, side: int) -> torch.Tensor:
    """(B, C, H, W) -> (B, H/side * W/side, side * side * C); inside a patch the order is row, column, channel."""
    batch, channels, height, width = images.shape
    cut = images.reshape(batch, channels, height // side, side, width // side, side)
    return cut.permute(0, 2, 4, 3, 5, 1).reshape(batch, -1, side * side * channels)


def unpatchify(patches: torch.Tensor, side: int, height: int, width: int) -> torch.Tensor:
    """Inverse of :func:`patchify` for images of ``height`` x ``width`` pixels."""
    cut = patches.reshape(len(patches), height // side, width // side, side, side, -1)
    return cut.permute(0, 5, 1, 3, 2, 4).reshape(len(patches), -1, height, width)


def block_mask(
    height: int, width: int, hidden: int, generator: torch.Generator, least: int = 16, most: int | None = None
) -> torch.Tensor:
    """(height, width) bool, True where hidden: rectangles until ``hidden`` tokens are, never more (BEiT, algorithm 1).

    Each has U(``least``, what is left or ``most``) tokens, and an aspect ratio whose logarithm is uniform from 0.3 to 1/0.3.
    Ten draws without one that fits end it, so that fewer may be hidden: 75 of 14 x 14 are in two thirds of the draws
    (microsoft/unilm, beit/masking_generator.py).
    """
    mask = torch.zeros(height, width, dtype=torch.bool)
    while (left := hidden - int(mask.sum())) > 0:
        limit = min(left, most or left)
        if not any(_hide_block(mask, least, limit, generator) for _ in range(10)):
            break
    return mask


def _hide_block(mask: torch.Tensor, least: int, limit: int, generator: torch.Generator) -> bool:
    """Draw one rectangle; hide it if it lies inside and adds 1 to ``limit`` tokens."""
    share, slant, down, right = torch.rand(4, generator=generator).tolist()
    area, aspect = least + share * (limit - least), 0.3 ** (1 - 2 * slant)
    rows, columns = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
    height, width = mask.shape
    if rows >= height or columns >= width:
        return False
    top, start = int(down * (height - rows + 1)), int(right * (width - columns + 1))
    block = mask[top : top + rows, start : start + columns]
    added = block.numel() - int(block.sum())
    if not 0 < added <= limit:
        return False
    block.fill_(True)
    return True
