"""From an image to a view: with PIL one image at a time, as the authors do it, or vectorised over a batch of tensors.

Both give values in [0, 1]; the training loop normalises. All randomness comes from the given generator.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ssl_bench.methods.parts import colour
from ssl_bench.methods.parts.draws import Draws, draw
from ssl_bench.methods.parts.resample import blur_matrix, crop_matrix, resample
from ssl_bench.methods.parts.views import ViewSpec

CHUNK = 128
"""Images at a time: their temporaries stay in a CPU's cache (measured: 15 ms for 256 SimCLR views, 20 ms in one go)."""
PIL_JITTER = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


def pil_view(spec: ViewSpec) -> Callable[[Image.Image, torch.Generator], torch.Tensor]:
    """A function (RGB image, generator) -> (3, size, size) float32 in [0, 1], by torchvision's operations on PIL images."""

    def view(image: Image.Image, generator: torch.Generator) -> torch.Tensor:
        return apply_pil(image, draw(spec, 1, image.height, image.width, generator), spec)

    return view


def apply_pil(image: Image.Image, draws: Draws, spec: ViewSpec) -> torch.Tensor:
    """The view of one RGB image that ``draws`` (of one image) describes -> (3, size, size) in [0, 1]."""
    box = draws.box[0].tolist()
    image = F.resized_crop(image, *box, [spec.size, spec.size], InterpolationMode(spec.interpolation))
    if draws.flip:
        image = F.horizontal_flip(image)
    if draws.jitter:
        for operation in draws.order[0].tolist():
            image = PIL_JITTER[operation](image, draws.factors[0, operation].item())
    if draws.gray:
        image = F.rgb_to_grayscale(image, num_output_channels=3)
    if draws.blur:
        image = F.gaussian_blur(image, [blur_kernel(spec)] * 2, [draws.sigma.item()] * 2)
    if draws.solarize:
        image = F.solarize(image, 255 * spec.solarize_threshold)
    tensor: torch.Tensor = F.to_dtype(F.pil_to_tensor(image), torch.float32, scale=True)
    return tensor


def batched_view(images: torch.Tensor, spec: ViewSpec, generator: torch.Generator) -> torch.Tensor:
    """(B, 3, H, W) float in [0, 1] -> (B, 3, size, size) in [0, 1]: the operations of :func:`pil_view`, each image with
    its own parameters. Meant for small images (CIFAR size), where calling PIL costs more than the training step."""
    draws = draw(spec, len(images), images.shape[2], images.shape[3], generator)
    parts = range(0, len(images), CHUNK)
    return torch.cat([apply_batched(images[i : i + CHUNK], draws.part(i, i + CHUNK), spec) for i in parts])


def apply_batched(images: torch.Tensor, draws: Draws, spec: ViewSpec) -> torch.Tensor:
    """The views that ``draws`` describes: (B, 3, H, W) in [0, 1] -> (B, 3, size, size) in [0, 1]."""
    device, size = images.device, spec.size
    top, left, height, width = draws.box.to(device).unbind(dim=1)
    rows = crop_matrix(top, height, images.shape[2], size, spec.interpolation, None)
    flip = draws.flip.to(device) if spec.flip else None
    columns = crop_matrix(left, width, images.shape[3], size, spec.interpolation, flip)
    views = resample(images, rows, columns)
    if draws.jitter.any():
        factors, order, active = draws.factors.to(device), draws.order.to(device), draws.jitter.to(device)
        views = colour.jitter(views, factors, order, active, tuple(strength > 0 for strength in spec.jitter))
    if draws.gray.any():
        chosen = draws.gray.nonzero().squeeze(1).to(device)
        views[chosen] = colour.grayscale(views[chosen]).expand(-1, 3, -1, -1)
    if draws.blur.any():
        chosen = draws.blur.nonzero().squeeze(1).to(device)
        matrix = blur_matrix(draws.sigma.to(device)[chosen], size, blur_kernel(spec))
        views[chosen] = resample(views[chosen], matrix, matrix)
    if draws.solarize.any():
        chosen = draws.solarize.nonzero().squeeze(1).to(device)
        picked = views[chosen]
        views[chosen] = torch.where(picked >= spec.solarize_threshold, 1 - picked, picked)
    return views


def blur_kernel(spec: ViewSpec) -> int:
    """Odd side of the blur kernel in pixels; without an explicit one, SimCLR's: 2 * (size // 10 // 2) + 1."""
    return spec.blur_kernel or 2 * (spec.size // 10 // 2) + 1
