"""Evaluation transforms: exactly what the authors apply."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import functional as F
from torchvision.transforms.functional import InterpolationMode

from ssl_bench.cards import PreprocessCard
from ssl_bench.data import colours
from ssl_bench.data.dataset import Split


class Preprocess:
    """PIL image -> (3, H, W) float32, exactly the authors' evaluation transform (PIL resize, central crop, normalise).

    Two halves, so that the loader's workers hand over bytes and a whole batch is normalised at once, on the device:
    :meth:`pixels` and :meth:`normalise`. Called as a whole it gives the same numbers, bit by bit.
    """

    def __init__(self, card: PreprocessCard) -> None:
        self.card = card
        self.interpolation = InterpolationMode(card.interpolation)

    def __call__(self, image: Image.Image) -> torch.Tensor:
        return self.normalise(self.pixels(image))

    def load(self, split: Split, index: int) -> torch.Tensor:
        """One image of a split as :meth:`pixels` gives it."""
        return self.pixels(split.image(index))

    def pixels(self, image: Image.Image) -> torch.Tensor:
        """Any image -> (3, H, W) uint8, resized and cropped; not contiguous."""
        image = image.convert("RGB") if image.mode != "RGB" else image
        if box := self._square(*image.size):
            return as_tensor(F.resize(image.crop(box), [self.card.crop] * 2, self.interpolation))
        if self.card.resize is not None:
            # torchvision: the longer side becomes int(resize * longer / shorter)
            size = [self.card.resize] * 2 if self.card.squash else [self.card.resize]
            image = F.resize(image, size, self.interpolation)
        if self.card.crop is not None:
            # torchvision: offsets round((side - crop) / 2); a smaller image is padded with black
            image = F.center_crop(image, [self.card.crop])
        return as_tensor(image)

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """(..., 3, H, W) uint8 -> the same in float32: (x / 255 - mean) / std, in this order of operations, where x / 255
        stands for the card's other colour space if it has one."""
        if self.card.colour == "rgb":
            x = pixels.to(torch.float32, memory_format=torch.contiguous_format)
            # A tensor, not a number: CUDA multiplies by the reciprocal of a number, and the last bit would differ.
            x.div_(torch.full((), 255.0, device=x.device))
        else:
            x = colours.convert(pixels, self.card.colour)
        return x.sub_(_channels(self.card.mean, x)).div_(_channels(self.card.std, x))

    def keeps(self, height: int, width: int) -> bool:
        """Whether images of this size pass :meth:`pixels` unchanged."""
        card = self.card
        sides = {height, width} if card.squash else {min(height, width)}
        return (
            not self._square(width, height)
            and (card.resize is None or sides == {card.resize})
            and card.crop in (None, height)
            and card.crop in (None, width)
        )

    def _square(self, width: int, height: int) -> tuple[int, int, int, int] | None:
        """Left, top, right, bottom of what the card's ``crop_first`` keeps; None: resizing comes first, or no size is given."""
        card = self.card
        if not (card.crop_first and card.resize and card.crop):
            return None
        exact = card.crop * min(width, height) / card.resize  # one division of whole numbers: a half is exactly a half
        side = max(1, round(exact) if card.crop_first == "nearest" else int(exact))
        left, top = (width - side + 1) // 2, (height - side + 1) // 2
        return left, top, left + side, top + side


def as_tensor(image: Image.Image) -> torch.Tensor:
    """RGB image -> (3, H, W) uint8, a view of (H, W, 3)."""
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _channels(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)
