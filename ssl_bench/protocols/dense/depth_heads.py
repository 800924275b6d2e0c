"""Heads of depth estimation: lists of maps of features -> (B, 1, h, w)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from ssl_bench.protocols.dense.heads import Joined, LastOnly, conv_block

BINS = 256


class Bins(nn.Module):
    """Depth as a mean of ``BINS`` uniform depths from ``low`` to ``high`` metres (DINOv2's linear depth, after AdaBins)::

        w = (relu(s) + 0.1) / sum(relu(s) + 0.1)       d = sum w_i c_i

    s: 1 x 1 convolution of all maps, joined and made 4 times finer (bilinear). Making the scores finer in place of the maps
    gives the same for less: bilinear weights sum to 1, so the two linear steps can be exchanged.
    """

    def __init__(self, channels: Sequence[int], low: float, high: float) -> None:
        super().__init__()
        finer = nn.Upsample(scale_factor=4, mode="bilinear")
        self.scores = Joined(nn.Conv2d(sum(channels), BINS, 1), finer)
        self.register_buffer("centres", torch.linspace(low, high, BINS).view(1, -1, 1, 1), persistent=False)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        weights = self.scores(maps).float().relu() + 0.1
        depth: torch.Tensor = (weights * self.centres).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
        return depth


class UpProjection(nn.Module):
    """Twice as fine (Laina et al. 2016): pixels are set apart with zeros between them, then
    relu(3 x 3(relu(5 x 5)) + 5 x 5), each convolution with BatchNorm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.long = nn.Sequential(*conv_block(inputs, outputs, kernel=5), *conv_block(outputs, outputs)[:-1])
        self.short = nn.Sequential(*conv_block(inputs, outputs, kernel=5)[:-1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        apart = torch.zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3], dtype=x.dtype, device=x.device)
        apart[..., ::2, ::2] = x
        return F.relu(self.long(apart) + self.short(apart))


def up_projection_head(channels: Sequence[int], widths: Sequence[int] = (512, 256, 128, 64)) -> nn.Module:
    """BYOL's: four up-projections of the last map, then a 3 x 3 convolution."""
    sizes = (channels[-1], *widths)
    blocks = [UpProjection(a, b) for a, b in pairwise(sizes)]
    return LastOnly(*blocks, nn.Conv2d(sizes[-1], 1, 3, padding=1))


class DPT(nn.Module):
    """A DPT of our own size (Ranftl et al. 2021; without BatchNorm, as EPFL-VILAB/MultiMAE's adapter): four maps -> (B, 1, h, w)
    at twice the size of the finest level.

    A ViT's maps come to strides 4, 8, 16, 32 by a 1 x 1 convolution and a transposed or strided one; networks with stages
    keep theirs. Every level gets ``width`` channels by 3 x 3; from coarse to fine each is joined with what came
    from below, refined by residual units, and doubled.
    """

    WIDTHS = (96, 192, 384, 768)

    def __init__(self, channels: Sequence[int], strides: Sequence[int], staged: bool, width: int = 256) -> None:
        super().__init__()
        steps = [1.0] * 4 if staged else [s / (4 * 2**i) for i, s in enumerate(strides)]
        sized = zip(channels, self.WIDTHS, steps, strict=True)
        self.assemble = nn.ModuleList(_assemble(c, min(w, 3 * c), step) for c, w, step in sized)
        inner = [min(w, 3 * c) for c, w in zip(channels, self.WIDTHS, strict=True)]
        self.project = nn.ModuleList(nn.Conv2d(w, width, 3, padding=1, bias=False) for w in inner)
        self.before = nn.ModuleList(Residual(width) for _ in range(3))
        self.after = nn.ModuleList(Residual(width) for _ in range(4))
        self.mix = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(4))
        self.first = nn.Conv2d(width, width // 2, 3, padding=1)
        self.last = nn.Sequential(nn.Conv2d(width // 2, 32, 3, padding=1), nn.ReLU(inplace=True), nn.Conv2d(32, 1, 1))

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        levels = [p(a(m)) for p, a, m in zip(self.project, self.assemble, maps, strict=True)]
        x = levels[3]
        for i in (3, 2, 1, 0):
            if i < 3:
                x = x + self.before[i](levels[i])
            x = self.after[i](x)
            size = levels[i - 1].shape[-2:] if i else (2 * x.shape[-2], 2 * x.shape[-1])
            x = self.mix[i](F.interpolate(x, size, mode="bilinear"))
        depth: torch.Tensor = self.last(self.first(x))
        return depth


class Residual(nn.Module):
    """x + 3 x 3(relu(3 x 3(relu(x))))."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x
        for conv in self.convs:
            y = conv(F.relu(y))
        return x + y


def _assemble(inputs: int, width: int, step: float) -> nn.Module:
    """1 x 1 to ``width`` channels, then ``step`` times finer (2, 4, 8: transposed) or coarser (1/2 and less: strided)."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, width, 1)]
    whole = round(step if step >= 1 else 1 / step)
    if whole not in (step, 1 / step):
        layers.append(nn.Upsample(scale_factor=step, mode="bilinear"))
    elif step > 1:
        layers.append(nn.ConvTranspose2d(width, width, whole, whole))
    elif step < 1:
        layers.append(nn.Conv2d(width, width, 3, stride=whole, padding=1))
    return nn.Sequential(*layers)


class Metres(nn.Module):
    """Standardised depth -> metres: mean + std x."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.mean + self.std * x.float()
