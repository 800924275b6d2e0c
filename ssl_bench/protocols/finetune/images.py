"""Augmented training images and their targets, in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from timm.data.transforms_factory import create_transform
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from ssl_bench.compute import Compute, rank
from ssl_bench.data.dataset import Split
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, ImageError, SslBenchError
from ssl_bench.protocols.finetune.plan import Plan
from ssl_bench.protocols.finetune.recipe import Recipe
from ssl_bench.training.batches import leave_signals_to_parent
from ssl_bench.training.draws import drawn_from

ORDER, AUGMENT, MIX = 41, 42, 43
Batch = tuple[torch.Tensor, torch.Tensor]
Key = tuple[int, int, int]
"""Epoch, image, and which of the image's copies in this epoch."""


class TrainTransform:
    """PIL image -> (3, size, size) float32: random crop, flip, RandAugment, the model's normalisation, random erasing with
    normal noise; in this order, as timm, and so DeiT, BEiT and MAE, do it."""

    def __init__(self, recipe: Recipe, preprocess: Preprocess, size: int) -> None:
        self.normalise = preprocess.normalise
        card = preprocess.card
        self.pixels: Callable[[Image.Image], torch.Tensor] = create_transform(
            size,
            is_training=True,
            scale=recipe.crop_scale,
            hflip=0.5 if recipe.flip else 0.0,
            color_jitter=None,  # type: ignore[arg-type]
            auto_augment=recipe.randaugment or None,
            interpolation=recipe.interpolation,
            mean=card.mean if card.colour == "rgb" else (0.5, 0.5, 0.5),
            std=card.std,
            normalize=False,
        )
        for step in self.pixels.transforms:
            for operation in getattr(step, "ops", ()):
                if operation.name.startswith("Posterize"):
                    operation.aug_fn = posterize
        self.erase = RandomErasing(recipe.erasing, mode="pixel", max_count=1, device="cpu")  # type: ignore[no-untyped-call]

    def __call__(self, image: Image.Image) -> torch.Tensor:
        erased: torch.Tensor = self.erase(self.normalise(self.pixels(image)))
        return erased


def posterize(image: Image.Image, bits: int, **unused: Any) -> Image.Image:
    """The highest ``bits`` bits of every channel, as timm's operation. With noise on its strength RandAugment asks for 0
    bits at times: that was a black image when the recipes were written, and newer versions of Pillow refuse it."""
    return image.point(lambda value: value & ~((1 << (8 - bits)) - 1)) if bits < 8 else image


class ImageBatches:
    """``plan.forward`` images of this process at a time, normalised and mixed, for :func:`ssl_bench.training.supervised.fit`.

    What an update sees depends on (seed, epoch, step) alone: neither on the number of processes nor, where
    ``plan.forward`` is a multiple of ``mix_group``, on how they are divided into forwards.
    """

    def __init__(self, split: Split, plan: Plan, preprocess: Preprocess, size: int, compute: Compute) -> None:
        self.split, self.plan, self.compute = split, plan, compute
        self.transform = TrainTransform(plan.recipe, preprocess, size)
        self.mixup = mixup(plan.recipe, len(split.classes)) if plan.recipe.mixes else None
        self.skipped: set[str] = set()

    def __len__(self) -> int:
        return self.plan.steps_per_epoch * self.plan.accumulate

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """(B, 3, size, size) and labels (B,), or where images are mixed the classes' shares (B, C); on the device."""
        parts = self.keys(epoch)[start:]
        loader = DataLoader(
            _Augmented(self.split, self.transform, self.compute),
            batch_sampler=parts,
            num_workers=min(self.compute.workers, len(parts)),
            collate_fn=_collate,
            pin_memory=self.compute.device.type == "cuda",
            worker_init_fn=leave_signals_to_parent,
            generator=torch.Generator().manual_seed(0),
        )
        for position, (images, labels, broken) in enumerate(loader, start):
            if isinstance(images, SslBenchError):
                raise images
            self._note(broken)
            images, labels = (part.to(self.compute.device, non_blocking=True) for part in (images, labels))
            yield (images, labels) if self.mixup is None else self._mixed(images, labels, epoch, position)

    def keys(self, epoch: int) -> list[list[Key]]:
        """The images of each forward of this process in one epoch."""
        plan = self.plan
        order = torch.randperm(len(self.split), generator=self.compute.generator(ORDER, epoch)).numpy()
        repeats = plan.recipe.repeats
        shown = np.arange(plan.steps_per_epoch * plan.batch)
        keys = np.stack([np.full_like(shown, epoch), order[shown // repeats], shown % repeats], axis=1)
        updates = keys.reshape(plan.steps_per_epoch, plan.batch, 3)
        if repeats > 1:  # as on DeiT's GPUs, copies of one image are not mixed with each other
            groups = max(1, plan.batch // plan.recipe.mix_group)
            updates = np.concatenate([updates[:, first::groups] for first in range(groups)], axis=1)
        mine = updates.reshape(plan.steps_per_epoch * plan.accumulate, plan.processes, plan.forward, 3)[:, rank()]
        return [[(int(a), int(b), int(c)) for a, b, c in part] for part in mine]

    def _mixed(self, images: torch.Tensor, labels: torch.Tensor, epoch: int, position: int) -> Batch:
        """Group by group; the draws of a group follow from its place in the epoch."""
        assert self.mixup is not None
        plan, parts = self.plan, []
        first = (position * plan.processes + rank()) * plan.forward
        for at in range(0, len(images), plan.recipe.mix_group):
            part = slice(at, at + plan.recipe.mix_group)
            with drawn_from(self.compute.seed, MIX, epoch, first + at):
                parts.append(self.mixup(images[part], labels[part]))
        return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])

    def _note(self, broken: list[tuple[str, str]]) -> None:
        for identity, message in broken:
            if identity not in self.skipped:
                self.skipped.add(identity)
                self.compute.progress.note(f"Skipped: {message}")


def mixup(recipe: Recipe, classes: int) -> Mixup:
    """In every group either mixup or cutmix, each with probability 1/2 if both are on; the shares are smoothed."""
    return Mixup(  # type: ignore[no-untyped-call]
        recipe.mixup, recipe.cutmix, label_smoothing=recipe.smoothing, num_classes=classes
    )


class _Augmented(TorchDataset[Any]):
    """An error is an item, not an exception: DataLoader would wrap it and lose its message."""

    def __init__(self, split: Split, transform: TrainTransform, compute: Compute) -> None:
        self.split, self.transform = split, transform
        self.seed, self.skip_broken = compute.seed, compute.skip_broken

    def __getitem__(self, key: Key) -> Any:
        try:
            index, image, broken = self._readable(key[1])
        except SslBenchError as error:
            return error
        with drawn_from(self.seed, AUGMENT, *key):
            return self.transform(image), int(self.split.labels[index]), broken

    def _readable(self, first: int) -> tuple[int, Image.Image, list[tuple[str, str]]]:
        """The image; with ``--skip-broken`` the next readable one in its place."""
        broken: list[tuple[str, str]] = []
        for offset in range(len(self.split)):
            index = (first + offset) % len(self.split)
            try:
                return index, self.split.image(index).convert("RGB"), broken
            except ImageError as error:
                if not self.skip_broken:
                    raise
                broken.append((str(self.split.file(index) or self.split.identity(index)), error.message))
        raise DataError(f"No image of {self.split.name} can be read.")


def _collate(items: list[Any]) -> tuple[Any, Any, list[tuple[str, str]]]:
    errors = [item for item in items if isinstance(item, SslBenchError)]
    if errors:
        return errors[0], None, []
    images, labels, broken = zip(*items, strict=True)
    return torch.stack(images), torch.tensor(labels), [entry for part in broken for entry in part]
