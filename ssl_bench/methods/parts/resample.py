"""Resizing and blurring of a batch, each image with its own parameters, as two batched matrix products.

A separable resampling is ``rows @ image @ columns.T``. The matrices hold PIL's own kernel weights, antialiasing
included, so the result is PIL's up to its rounding to 8 bits. The matrices are dense: meant for small images.
"""

from __future__ import annotations

import torch


def crop_matrix(
    start: torch.Tensor, length: torch.Tensor, source: int, target: int, interpolation: str, flip: torch.Tensor | None
) -> torch.Tensor:
    """(B, target, source): weights that resize pixels ``start .. start + length`` of a line to ``target`` pixels.

    ``flip``: (B,) bool, lines to be reversed.
    """
    start, length = start.view(-1, 1, 1), length.view(-1, 1, 1)
    pixel = torch.arange(source, device=start.device)
    step = length / target
    centre = start + (torch.arange(target, device=start.device).view(1, -1, 1) + 0.5) * step
    if flip is not None:
        centre = torch.where(flip.view(-1, 1, 1), 2 * start + length - centre, centre)
    distance = (pixel + 0.5 - centre).div_(step.clamp(min=1)).abs_()
    weights = _cubic(distance) if interpolation == "bicubic" else (1 - distance).clamp_(min=0)
    weights *= (pixel >= start) & (pixel < start + length)
    return weights.div_(weights.sum(dim=2, keepdim=True))


def _cubic(distance: torch.Tensor) -> torch.Tensor:
    """Keys' cubic convolution kernel with a = -0.5, as PIL."""
    x = distance.clamp_(max=2)
    near = ((1.5 * x - 2.5) * x).mul_(x).add_(1)
    far = ((2.5 - 0.5 * x) * x).sub_(4).mul_(x).add_(2)
    return torch.where(x < 1, near, far)


def blur_matrix(sigma: torch.Tensor, size: int, kernel: int) -> torch.Tensor:
    """(B, size, size): Gaussian of ``sigma`` (B,) pixels cut to ``kernel`` (odd) pixels, border reflected (as torchvision)."""
    radius = kernel // 2
    offset = torch.arange(-radius, radius + 1, device=sigma.device)
    weights = torch.exp(-0.5 * (offset / sigma.view(-1, 1)) ** 2)
    weights = weights / weights.sum(dim=1, keepdim=True)
    source = torch.arange(size, device=sigma.device).view(-1, 1) + offset
    source = (size - 1 - (size - 1 - source.abs()).abs()).expand(len(sigma), -1, -1)
    matrix = torch.zeros(len(sigma), size, size, device=sigma.device)
    return matrix.scatter_add_(2, source, weights.unsqueeze(1).expand_as(source))


def resample(images: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """``columns`` (B, w, W), then ``rows`` (B, h, H) applied to images (B, C, H, W) in [0, 1] -> (B, C, h, w) in [0, 1].

    What a cubic kernel overshoots is cut off after each of the two passes, as in PIL.
    """
    batch, channels, height, width = images.shape
    lines = torch.bmm(images.reshape(batch, channels * height, width), columns.transpose(1, 2))
    lines = lines.clamp_(0, 1).view(batch, channels, height, -1).transpose(1, 2).reshape(batch, height, -1)
    out = torch.bmm(rows, lines).clamp_(0, 1)
    return out.view(batch, rows.shape[1], channels, -1).transpose(1, 2).contiguous()
