"""Augmented training images as batches of features of a frozen backbone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.embeddings import embed
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.data.loader import image_batches
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import ImageError, SettingsError
from ssl_bench.protocols.linear_head import Batch
from ssl_bench.protocols.linear_recipes import Recipe

ORDER = 1
Transform = Callable[[Image.Image], Image.Image]


class OneDrawCrop:
    """MAE's TensorFlow-style RandomResizedCrop (facebookresearch/mae util/crop.py): area and aspect are drawn once and
    the sides cut to the image's, where torchvision draws up to ten times until the crop fits."""

    def __init__(self, size: int, interpolation: InterpolationMode) -> None:
        self.size, self.interpolation = size, interpolation

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        area = width * height * float(torch.empty(1).uniform_(0.08, 1.0))
        aspect = math.exp(float(torch.empty(1).uniform_(math.log(3 / 4), math.log(4 / 3))))
        w, h = min(round(math.sqrt(area * aspect)), width), min(round(math.sqrt(area / aspect)), height)
        w, h = max(w, 1), max(h, 1)
        top, left = int(torch.randint(0, height - h + 1, ())), int(torch.randint(0, width - w + 1, ()))
        size = [self.size, self.size]
        cropped: Image.Image = F.resized_crop(image, top, left, h, w, size, self.interpolation)
        return cropped


def train_transform(recipe: Recipe, size: int) -> Transform:
    """Random crop to ``size`` pixels, then flip, as the recipe says."""
    interpolation = InterpolationMode(recipe.interpolation)
    crop = v2.RandomResizedCrop(size, interpolation=interpolation)
    first = OneDrawCrop(size, interpolation) if recipe.crop == "one_draw" else crop
    transform: Transform = v2.Compose([first, v2.RandomHorizontalFlip()])
    return transform


class Augmented(Split):
    """A split's images as they are seen in one epoch: what is drawn for an image depends on seed, epoch and image only."""

    def __init__(self, split: Split, recipe: Recipe, size: int, seed: int, epoch: int) -> None:
        self.split, self.seed, self.epoch = split, seed, epoch
        self.transform = train_transform(recipe, size)
        self.labels, self.classes, self.name = split.labels, split.classes, split.name

    def image(self, index: int) -> Image.Image:
        image = self.split.image(index).convert("RGB")
        state = np.random.SeedSequence([self.seed, self.epoch, index]).generate_state(1, np.uint64)[0]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(state) >> 1)
            return self.transform(image)

    def identity(self, index: int) -> str:
        return self.split.identity(index)


class FeatureBatches:
    """``recipe.batch_size`` features at a time (fewer if the split has fewer), from forwards of ``compute.batch_size`` images."""

    def __init__(self, backbone: Backbone, split: Split, recipe: Recipe, embedding: str, compute: Compute) -> None:
        self.backbone, self.split, self.recipe, self.embedding = backbone, split, recipe, embedding
        self.compute = compute
        if not isinstance(backbone.preprocess, Preprocess):
            raise SettingsError(
                f"Model {backbone.name} has a preprocess of its own, which cannot be combined with augmentation.",
                "Use linear_frozen.",
            )
        card = backbone.preprocess.card
        self.size = card.crop or min(split.image(0).size)
        self.prepare = Preprocess(card.model_copy(update={"resize": None, "crop": None}))
        self.batch_size = min(recipe.batch_size, len(split))
        self.skipped: set[str] = set()

    def __len__(self) -> int:
        """Steps an epoch."""
        whole, rest = divmod(len(self.split), self.batch_size)
        return whole + (rest > 0 and not self.recipe.drop_last)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """The features and labels of one pass, in an order of its own."""
        compute = self.compute
        order = torch.randperm(len(self.split), generator=compute.generator(ORDER, epoch))
        if self.recipe.drop_last:
            order = order[: len(self) * self.batch_size]
        images = image_batches(
            Augmented(self.split, self.recipe, self.size, compute.seed, epoch),
            self.prepare,
            order.numpy(),
            compute.batch_size or (64 if compute.device.type == "cpu" else 256),
            compute.workers,
            device=compute.device,
            on_broken=self._skip if compute.skip_broken else None,
        )
        waiting: list[Batch] = []
        for where, block in images:
            labels = torch.from_numpy(self.split.labels[where]).to(compute.device)
            waiting.append((self._embed(block), labels))
            while sum(len(y) for _, y in waiting) >= self.batch_size:
                x, y = _joined(waiting)
                yield x[: self.batch_size], y[: self.batch_size]
                rest = x[self.batch_size :], y[self.batch_size :]
                waiting = [rest] if len(rest[1]) else []
        if waiting and not self.recipe.drop_last:
            yield _joined(waiting)

    def _embed(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), self.compute.autocast():
            return embed(self.backbone, images, self.embedding).float()

    def _skip(self, index: int, error: ImageError) -> None:
        identity = str(self.split.file(index) or self.split.identity(index))
        if identity not in self.skipped:
            self.skipped.add(identity)
            self.compute.progress.note(f"Skipped: {error.message}")


def _joined(parts: list[Batch]) -> Batch:
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
