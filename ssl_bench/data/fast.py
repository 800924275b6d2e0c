"""The ``fast`` pipeline: only the pixels that the crop keeps are resampled."""

from __future__ import annotations

import numpy as np
from PIL import Image

from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.transforms import Preprocess

TOLERANCE = "at most 1/255 on at most 0.1 % of the pixel values"
"""How far ``fast`` may be from ``exact``; stated in the record."""
_FILTERS = {name: Image.Resampling[name.upper()] for name in ("bilinear", "bicubic", "lanczos", "box")}


class FastPreprocess(Preprocess):
    """Resizing to (W', H') and then cropping w x h at (left, top) equals resampling the source's box

        (left W / W', top H / H', (left + w) W / W', (top + h) H / H')

    to w x h: Pillow's resize places its filter at box_left + (x + 1/2) W / W' in both cases. What is left is the rounding
    of the box to float32.
    """

    def __init__(self, card: PreprocessCard) -> None:
        super().__init__(card)
        self.filter = _FILTERS.get(card.interpolation)

    def pixels(self, image: Image.Image) -> np.ndarray:
        crop, resize = self.card.crop, self.card.resize
        if crop is None or resize is None or self.filter is None:
            return super().pixels(image)
        width, height = image.size
        new_width, new_height = self._resized(width, height, resize)
        if min(new_width, new_height) < crop or (new_width, new_height) == (width, height):
            return super().pixels(image)
        image = image.convert("RGB") if image.mode != "RGB" else image
        left, top = round((new_width - crop) / 2.0), round((new_height - crop) / 2.0)
        across, down = width / new_width, height / new_height
        box = (left * across, top * down, (left + crop) * across, (top + crop) * down)
        return np.array(image.resize((crop, crop), self.filter, box=box))

    def _resized(self, width: int, height: int, resize: int) -> tuple[int, int]:
        """torchvision's size: the shorter side becomes ``resize``, the longer int(resize * longer / shorter)."""
        if self.card.squash:
            return resize, resize
        longer = int(resize * max(width, height) / min(width, height))
        return (resize, longer) if width <= height else (longer, resize)


def pipeline(preprocess: Preprocess, compute: Compute) -> Preprocess:
    """The transform as ``compute.pipeline`` wants it; a model's own callable stays as it is."""
    if compute.pipeline == "fast" and type(preprocess) is Preprocess:
        return FastPreprocess(preprocess.card)
    return preprocess
