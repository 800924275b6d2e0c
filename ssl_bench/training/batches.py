"""Batches of views. What a step sees depends on (seed, epoch, step) alone, so a resumed run needs no saved generators."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler

from ssl_bench.cards import RecipeCard
from ssl_bench.compute import Compute, rank
from ssl_bench.data.dataset import Split
from ssl_bench.errors import DataError, SslBenchError, TrainingError
from ssl_bench.methods.parts.augment import batched_view, pil_view
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.training.plan import Plan

Views = list[torch.Tensor]
"""One (B, 3, size, size) tensor a view."""


def generator(purpose: str, *numbers: int) -> torch.Generator:
    """A CPU generator that depends on these only; one for another ``purpose`` is independent of it."""
    entropy = [zlib.crc32(purpose.encode()), *numbers]
    state = np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state) >> 1)


@lru_cache(maxsize=2)
def order(images: int, seed: int, epoch: int) -> np.ndarray:
    """(images,) order of the training images in this epoch."""
    return torch.randperm(images, generator=generator("order", seed, epoch)).numpy()


def indices(plan: Plan, step: int, process: int) -> np.ndarray:
    """(accumulate, batch_size) images of this process in this step.

    Micro-batch a of all processes together holds the images that a single process with a batch of batch_size x processes
    would take, so that the number of processes does not change what a step sees.
    """
    epoch, at = divmod(step, plan.steps_per_epoch)
    chosen = order(plan.images, plan.recipe.seed, epoch)[at * plan.batch : (at + 1) * plan.batch]
    return chosen.reshape(plan.recipe.accumulate, plan.processes, plan.recipe.batch_size)[:, process]


def batches(plan: Plan, split: Split, specs: Sequence[ViewSpec], compute: Compute, start: int = 0) -> Iterator[Views]:
    """Normalised views on the device: ``accumulate`` micro-batches for every step from ``start`` to the last."""
    mean, std = (
        torch.tensor(values, device=compute.device).view(1, 3, 1, 1)
        for values in (plan.recipe.preprocess.mean, plan.recipe.preprocess.std)
    )
    source = from_tensor if plan.recipe.augment == "batched" else from_files
    for views in source(plan, split, specs, compute, start):
        yield [(view.to(compute.device, non_blocking=True) - mean) / std for view in views]


def from_tensor(plan: Plan, split: Split, specs: Sequence[ViewSpec], compute: Compute, start: int) -> Iterator[Views]:
    """``augment: batched``: the whole split in the device's memory, views of a batch in one go."""
    pixels = pixels_of(split, plan.recipe).to(compute.device)
    for step in range(start, plan.total_steps):
        for micro, chosen in enumerate(indices(plan, step, rank())):
            images = pixels[torch.from_numpy(chosen).to(compute.device)].float() / 255
            draws = generator("batch", plan.recipe.seed, step, micro, rank())
            yield [batched_view(images, spec, draws) for spec in specs]


def pixels_of(split: Split, recipe: RecipeCard) -> torch.Tensor:
    """(N, 3, H, W) uint8: all images of the split, which must have one size."""
    whole = split.array()
    if whole is None:
        images = [np.asarray(split.image(0).convert("RGB"))]
        for index in range(1, len(split)):
            images.append(np.asarray(split.image(index).convert("RGB")))
            if images[-1].shape != images[0].shape:
                raise TrainingError(
                    f"Recipe {recipe.name} has `augment: batched`, and the images of {recipe.dataset} differ in size.",
                    "Use `augment: pil`.",
                )
        whole = np.stack(images)
    return torch.from_numpy(whole.transpose(0, 3, 1, 2).copy())


def from_files(plan: Plan, split: Split, specs: Sequence[ViewSpec], compute: Compute, start: int) -> Iterator[Views]:
    """``augment: pil``: one image at a time, in ``compute.workers`` processes; each image's views have a generator of
    their own, so they depend neither on the batch nor on the worker."""
    loader = DataLoader(
        _ViewsOfImages(split, specs, plan.recipe.seed, compute.skip_broken),
        batch_sampler=_Keys(plan, start),
        num_workers=compute.workers,
        collate_fn=_collate,
        pin_memory=compute.device.type == "cuda",
        worker_init_fn=leave_signals_to_parent,
        generator=torch.Generator().manual_seed(0),
    )
    named: set[str] = set()
    for views, broken in loader:
        if isinstance(views, SslBenchError):
            raise views
        for message in set(broken) - named:
            compute.progress.note(f"Skipped: {message}")
        named |= set(broken)
        yield views


class _Keys(Sampler[list[tuple[int, int]]]):
    """(epoch, image) pairs of every micro-batch of this process, from step ``start`` to the last."""

    def __init__(self, plan: Plan, start: int) -> None:
        self.plan, self.start, self.process = plan, start, rank()

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.plan.total_steps):
            for chosen in indices(self.plan, step, self.process):
                yield [(step // self.plan.steps_per_epoch, int(index)) for index in chosen]


class _ViewsOfImages(Dataset[Any]):
    """(epoch, index) -> the views of one image, and messages about broken images; or the error instead of views."""

    def __init__(self, split: Split, specs: Sequence[ViewSpec], seed: int, skip_broken: bool) -> None:
        self.split, self.specs, self.seed, self.skip_broken = split, specs, seed, skip_broken

    def __getitem__(self, key: tuple[int, int]) -> tuple[Views | SslBenchError, list[str]]:
        epoch, index = key
        try:
            image, broken = self._image(index)
        except SslBenchError as error:  # handed over as a value: the loader would bury it in a worker's traceback
            return error, []
        draws = generator("image", self.seed, epoch, index)
        return [pil_view(spec)(image, draws) for spec in self.specs], broken

    def _image(self, index: int) -> tuple[Image.Image, list[str]]:
        """The image; with ``skip_broken`` the next readable one in its place."""
        broken: list[str] = []
        for offset in range(len(self.split)):
            try:
                return self.split.image((index + offset) % len(self.split)).convert("RGB"), broken
            except DataError as error:
                if not self.skip_broken:
                    raise
                broken.append(error.message)
        raise DataError("No image of the training split can be read.")


def _collate(samples: list[Any]) -> tuple[Views | SslBenchError, list[str]]:
    errors = [views for views, _ in samples if isinstance(views, SslBenchError)]
    if errors:
        return errors[0], []
    views = [torch.stack(view) for view in zip(*(views for views, _ in samples), strict=True)]
    return views, [message for _, broken in samples for message in broken]


def leave_signals_to_parent(worker: int) -> None:
    """Ctrl-C reaches the workers too; they must live until the parent has finished its step and saved."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
