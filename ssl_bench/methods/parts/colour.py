"""Colour operations on a batch of RGB images (B, 3, H, W) in [0, 1], each image with its own factor (B,).

The definitions are torchvision's (``adjust_brightness``, ``adjust_contrast``, ``adjust_saturation``, ``adjust_hue``,
``rgb_to_grayscale``), where the factor is one number for all images.
"""

from __future__ import annotations

import torch

LUMA = (0.2989, 0.587, 0.114)


def grayscale(images: torch.Tensor) -> torch.Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    red, green, blue = images.unbind(dim=1)
    return (LUMA[0] * red).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def brightness(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """factor * x."""
    return (images * factor.view(-1, 1, 1, 1)).clamp_(0, 1)


def contrast(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with the image's mean grey."""
    return _blend(images, grayscale(images).mean(dim=(2, 3), keepdim=True), factor)


def saturation(images: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with the grey image."""
    return _blend(images, grayscale(images), factor)


def hue(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Turn the hue of the HSV colour by ``turns`` of a full circle."""
    value, lowest = images.amax(dim=1), images.amin(dim=1)
    chroma = value - lowest
    red, green, blue = images.unbind(dim=1)
    scale = torch.where(chroma > 0, chroma, 1)
    sector = torch.where(
        value == red,
        (green - blue) / scale,
        torch.where(value == green, 2 + (blue - red) / scale, 4 + (red - green) / scale),
    )
    sector = sector + 6 * turns.view(-1, 1, 1)
    channels = []
    for shift in (5, 3, 1):
        place = (sector + shift) % 6
        channels.append(value - chroma * torch.minimum(place, 4 - place).clamp(0, 1))
    return torch.stack(channels, dim=1).clamp_(0, 1)


def _blend(images: torch.Tensor, other: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """factor * images + (1 - factor) * other."""
    return torch.lerp(other.expand_as(images), images, factor.view(-1, 1, 1, 1)).clamp_(0, 1)


OPERATIONS = (brightness, contrast, saturation, hue)


def jitter(
    images: torch.Tensor, factors: torch.Tensor, order: torch.Tensor, active: torch.Tensor, used: tuple[bool, ...]
) -> torch.Tensor:
    """Colour jitter of the ``active`` (B,) images: the four operations in each image's own ``order`` (B, 4).

    ``used``: operations whose strength is not zero; the others change nothing and are left out.
    """
    images = images.clone()
    for slot in range(4):
        for index, operation in enumerate(OPERATIONS):
            if used[index]:
                chosen = (active & (order[:, slot] == index)).nonzero().squeeze(1)
                if len(chosen):
                    images[chosen] = operation(images[chosen], factors[chosen, index])
    return images
