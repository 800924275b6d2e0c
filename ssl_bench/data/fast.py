"""The ``fast`` pipeline: a faster JPEG decoder, and bicubic resampling of only the pixels that the crop keeps."""

from __future__ import annotations

import simplejpeg
import torch
from PIL import Image

from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.data.images import open_rgb
from ssl_bench.data.resample import KERNELS, Axis, resample
from ssl_bench.data.transforms import Preprocess, as_tensor

TOLERANCE = "at most 1/255 on at most 0.1 % of the pixel values"
"""How far ``fast`` may be from ``exact``; stated in the record."""

TALL = 1.9
"""Height / width from which on images are left to Pillow; it changes its order of passes at 2."""


class FastPreprocess(Preprocess):
    """As :class:`Preprocess` within ``TOLERANCE``."""

    def load(self, split: Split, index: int) -> torch.Tensor:
        file = split.file(index)
        jpeg = None if file is None else _decode_jpeg(file.read_bytes() if file.is_file() else b"")
        if jpeg is not None:
            return self._prepare(jpeg)
        return self.pixels(split.image(index) if file is None else open_rgb(file))

    def pixels(self, image: Image.Image) -> torch.Tensor:
        if self._axes(image.width, image.height) is None:
            return super().pixels(image)
        return self._prepare(as_tensor(image))

    def _prepare(self, pixels: torch.Tensor) -> torch.Tensor:
        """(3, H, W) uint8 -> the same, resized and cropped."""
        axes = self._axes(pixels.shape[2], pixels.shape[1])
        if axes is None:
            return super().pixels(Image.fromarray(pixels.permute(1, 2, 0).numpy()))
        width, height = axes
        if width.size == width.resized and height.size == height.resized:
            rows, columns = (slice(axis.start, axis.start + axis.length) for axis in (height, width))
            return pixels[:, rows, columns]
        return resample(pixels, width, height, self.card.interpolation)

    def _axes(self, width: int, height: int) -> tuple[Axis, Axis] | None:
        """torchvision's sizes: the shorter side becomes ``resize``, the longer int(resize * longer / shorter); the crop
        begins at round((side - crop) / 2). None: the exact pipeline must do it (padding, other kernels, squashing,
        ``crop_first``, and tall images, which Pillow 13 resizes along the height first)."""
        card = self.card
        if (
            card.resize is None
            or card.interpolation not in KERNELS
            or card.squash
            or card.crop_first
            or height > TALL * width
        ):
            return None
        longer = int(card.resize * max(width, height) / min(width, height))
        resized = (card.resize, longer) if width <= height else (longer, card.resize)
        if card.crop is not None and min(resized) < card.crop:
            return None
        lengths = [card.crop or side for side in resized]
        starts = [round((side - length) / 2.0) for side, length in zip(resized, lengths, strict=True)]
        return Axis(width, resized[0], starts[0], lengths[0]), Axis(height, resized[1], starts[1], lengths[1])


def _decode_jpeg(content: bytes) -> torch.Tensor | None:
    """(3, H, W) uint8, or None for what Pillow must judge: other formats, CMYK, damaged files.

    simplejpeg and Pillow both bring libjpeg-turbo, so the pixels are the same.
    """
    if not content.startswith(b"\xff\xd8\xff"):
        return None
    try:
        if simplejpeg.decode_jpeg_header(content)[2] not in {"YCbCr", "RGB", "Gray"}:
            return None
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError:
        return None
    return torch.from_numpy(pixels).permute(2, 0, 1)


def pipeline(preprocess: Preprocess, compute: Compute) -> Preprocess:
    """The transform as ``compute.pipeline`` wants it; a model's own callable stays as it is."""
    if compute.pipeline == "fast" and type(preprocess) is Preprocess:
        return FastPreprocess(preprocess.card)
    return preprocess
