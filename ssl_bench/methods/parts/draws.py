"""The random numbers of a view, apart from what is done with them.

Every number is drawn whether it is needed or not, so that changing one probability leaves all other draws as they were.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch

from ssl_bench.methods.parts.views import ViewSpec

ATTEMPTS = 10


@dataclass(frozen=True)
class Draws:
    """Parameters of one view of B images.

    ``box``: (B, 4) int64 top, left, height, width of the crop in pixels. ``factors``: (B, 4) brightness, contrast,
    saturation (factors, 1 = unchanged) and hue (turns, 0 = unchanged); ``order``: (B, 4) the order in which they are
    applied. ``sigma``: (B,) pixels. ``flip``, ``jitter``, ``gray``, ``blur``, ``solarize``: (B,) bool, whether at all.
    """

    box: torch.Tensor
    flip: torch.Tensor
    jitter: torch.Tensor
    order: torch.Tensor
    factors: torch.Tensor
    gray: torch.Tensor
    blur: torch.Tensor
    sigma: torch.Tensor
    solarize: torch.Tensor

    def part(self, start: int, stop: int) -> Draws:
        """The parameters of images ``start`` to ``stop``."""
        return Draws(**{field.name: getattr(self, field.name)[start:stop] for field in fields(self)})


def draw(spec: ViewSpec, batch: int, height: int, width: int, generator: torch.Generator) -> Draws:
    """Draw the parameters of one view of each of ``batch`` images of ``height`` x ``width`` pixels (on the CPU)."""
    return Draws(
        box=_boxes(spec, batch, height, width, generator),
        flip=_chance(spec.flip, batch, generator),
        jitter=_chance(spec.jitter_probability if any(spec.jitter) else 0.0, batch, generator),
        order=torch.rand(batch, 4, generator=generator).argsort(dim=1),
        factors=_factors(spec, batch, generator),
        gray=_chance(spec.gray, batch, generator),
        blur=_chance(spec.blur, batch, generator),
        sigma=_uniform(*spec.blur_sigma, (batch,), generator),
        solarize=_chance(spec.solarize, batch, generator),
    )


def _uniform(low: float, high: float, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    return torch.rand(shape, generator=generator) * (high - low) + low


def _chance(probability: float, batch: int, generator: torch.Generator) -> torch.Tensor:
    return torch.rand(batch, generator=generator) < probability


def _factors(spec: ViewSpec, batch: int, generator: torch.Generator) -> torch.Tensor:
    """U(max(0, 1 - s), 1 + s) for brightness, contrast and saturation; U(-s, s) for hue."""
    strength = torch.tensor(spec.jitter)
    low = torch.cat([(1 - strength[:3]).clamp(min=0), -strength[3:]])
    high = torch.cat([1 + strength[:3], strength[3:]])
    return torch.rand(batch, 4, generator=generator) * (high - low) + low


def _boxes(spec: ViewSpec, batch: int, height: int, width: int, generator: torch.Generator) -> torch.Tensor:
    """Random resized crop: area fraction ~ U(scale), log aspect ~ U(log ratio); the first of ten draws that fits inside
    the image, else the largest central box of an allowed aspect (as torchvision)."""
    low, high = spec.crop_ratio
    area = height * width * _uniform(*spec.crop_scale, (batch, ATTEMPTS), generator)
    aspect = _uniform(math.log(low), math.log(high), (batch, ATTEMPTS), generator).exp()
    place = torch.rand(batch, 2, generator=generator)
    w, h = (area * aspect).sqrt().round(), (area / aspect).sqrt().round()
    fits = (w >= 1) & (w <= width) & (h >= 1) & (h <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    size = torch.stack([h.gather(1, first), w.gather(1, first)], dim=-1)[:, 0]
    room = torch.tensor([height, width]) - size + 1
    corner = torch.minimum((place * room).floor(), room - 1)
    central_h, central_w = min(height, round(width / low)), min(width, round(height * high))
    central = torch.tensor([(height - central_h) // 2, (width - central_w) // 2, central_h, central_w])
    return torch.where(fits.any(dim=1, keepdim=True), torch.cat([corner, size], dim=1), central).long()
