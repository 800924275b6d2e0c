"""Colour spaces other than RGB in which some methods take their images, as the libraries of their authors compute them.

All computations are in float32 or in whole numbers, on the device of the pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch

_XYZ = ((0.412453, 0.357580, 0.180423), (0.212671, 0.715160, 0.072169), (0.019334, 0.119193, 0.950227))
"""From linear sRGB to XYZ, rounded as scikit-image and OpenCV have it."""


def convert(pixels: torch.Tensor, colour: str) -> torch.Tensor:
    """(..., 3, H, W) uint8 RGB -> the same shape in float32, in a space of ``SPACES``."""
    return SPACES[colour](pixels)


def lab(pixels: torch.Tensor) -> torch.Tensor:
    """CIE L* in [0, 100], a*, b*, under D65 and 2 degrees: ``skimage.color.rgb2lab`` (in float32: within 1e-3)."""
    white = torch.tensor((0.95047, 1.0, 1.08883), device=pixels.device).view(3, 1, 1)
    xyz = _mix(_linear(pixels.device)[pixels.int()], _XYZ) / white
    f = torch.where(xyz > 0.008856, xyz.pow(1 / 3), 7.787 * xyz + 16 / 116)
    x, y, z = f.unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def lab_opencv(pixels: torch.Tensor) -> torch.Tensor:
    """L - 50 in [-50, 50] and a, b in [-128, 127]: OpenCV's 8-bit ``COLOR_RGB2LAB`` with L * 100 / 255 - 50 and
    a, b - 128, as VISSL scales it (``img_pil_to_lab_tensor.py``).

    Every one of the 2^24 colours gives OpenCV's own whole numbers (``RGB2Lab_b``, ``color_lab.cpp``): the gamma as a
    table with 3 bits more than a pixel, f(t) as a table with 15 bits, sums of whole numbers rounded by a shift.
    """
    gamma, cube_root = _opencv_tables(pixels.device)
    white = (0.950456, 1.0, 1.088754)
    mixing = [[round(4096 * part / w) for part in row] for row, w in zip(_XYZ, white, strict=True)]
    red, green, blue = gamma[pixels.int()].unbind(-3)
    x, y, z = (cube_root[_shift(red * r + green * g + blue * b, 12)] for r, g, b in mixing)
    light = _shift(((116 * 255 + 50) // 100) * y - (16 * 255 * 32768 + 50) // 100, 15)
    a, b = _shift(500 * (x - y) + 128 * 32768, 15), _shift(200 * (y - z) + 128 * 32768, 15)
    eight_bit = torch.stack([light, a, b], dim=-3).clamp_(0, 255).float()
    scale = torch.tensor((100 / 255, 1.0, 1.0), device=pixels.device).view(3, 1, 1)
    zero = torch.tensor((50.0, 128.0, 128.0), device=pixels.device).view(3, 1, 1)
    return eight_bit.mul_(scale).sub_(zero)


def ycbcr(pixels: torch.Tensor) -> torch.Tensor:
    """Y in [16, 235], Cb and Cr in [16, 240]: ``skimage.color.rgb2ycbcr``."""
    mixing = ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
    return _mix(pixels / 255, mixing) + torch.tensor((16.0, 128.0, 128.0), device=pixels.device).view(3, 1, 1)


def ydbdr(pixels: torch.Tensor) -> torch.Tensor:
    """Y in [0, 1], Db and Dr in [-1.333, 1.333]: ``skimage.color.rgb2ydbdr``."""
    return _mix(pixels / 255, ((0.299, 0.587, 0.114), (-0.45, -0.883, 1.333), (-1.333, 1.116, 0.217)))


SPACES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "lab": lab,
    "lab_opencv": lab_opencv,
    "ycbcr": ycbcr,
    "ydbdr": ydbdr,
}


def _mix(pixels: torch.Tensor, rows: tuple[tuple[float, float, float], ...]) -> torch.Tensor:
    """Each output channel is a weighted sum of the three channels; no matrix product, whose precision devices lower."""
    channels = pixels.unbind(-3)
    return torch.stack([sum(w * c for w, c in zip(row, channels, strict=True)) for row in rows], dim=-3)  # type: ignore[misc]


def _shift(values: torch.Tensor, bits: int) -> torch.Tensor:
    """Divided by 2^bits, to the nearest whole number (a half is rounded up)."""
    return (values + (1 << (bits - 1))) >> bits


def _gamma(value: float) -> float:
    """sRGB in [0, 1] -> linear."""
    return ((value + 0.055) / 1.055) ** 2.4 if value > 0.04045 else value / 12.92


@lru_cache
def _linear(device: torch.device) -> torch.Tensor:
    return torch.tensor([_gamma(value / 255) for value in range(256)], device=device)


@lru_cache
def _opencv_tables(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixel -> linear light of 11 bits; linear light -> f(t) of 15 bits."""
    gamma = [round(2040 * _gamma(value / 255)) for value in range(256)]
    light = torch.arange(3072.0, dtype=torch.float64) / 2040
    roots = torch.where(light < 216 / 24389, light * (841 / 108) + 16 / 116, light.pow(1 / 3))
    cube_root = (32768 * roots).round().int()
    cube_root[49], cube_root[628] = 9454, 22126  # 9454.5001 and 22125.499995: OpenCV rounds its float32 the other way
    return torch.tensor(gamma, device=device).int(), cube_root.to(device)
