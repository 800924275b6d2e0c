"""What happens to an image before a method sees it, said once and declaratively."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ssl_bench.cards import Card


class ViewSpec(Card):
    """One random view of an image. Operations are applied in the order of the fields; probabilities are 0 to 1.

    ``crop_scale`` and ``crop_ratio``: area and aspect of the random resized crop. ``jitter``: strengths of brightness,
    contrast, saturation and hue. ``blur_sigma``: range in pixels. ``solarize_threshold``: in [0, 1].
    """

    size: int = Field(ge=1)
    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    flip: float = Field(0.5, ge=0, le=1)
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)
    jitter_probability: float = Field(0.8, ge=0, le=1)
    gray: float = Field(0.2, ge=0, le=1)
    blur: float = Field(0.5, ge=0, le=1)
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    blur_kernel: int | None = None
    """Odd side of the kernel in pixels; None: a tenth of the view's side, as SimCLR."""
    solarize: float = Field(0.0, ge=0, le=1)
    solarize_threshold: float = Field(0.5, ge=0, le=1)
