"""An image with its targets as torchvision's tensors, so that one transform moves both; and batches of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torchvision import tv_tensors

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute, rank, world_size
from ssl_bench.data.scene_checks import depth_of, label_map_of
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.data.transforms import as_tensor
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.media import samples as media

Sample = dict[str, Any]
"""``image``: tv_tensors.Image (3, H, W) uint8, and its targets."""
Make = Callable[[SceneSplit, int], Sample]
ORDER, AUGMENT = 31, 32


class DepthMap(tv_tensors.Mask):  # type: ignore[misc]
    """(H, W) float32 metres. Moves with the image as a mask does: to the nearest pixel, since a mean of near and far is
    neither."""


def label_map_sample(split: SceneSplit, index: int) -> Sample:
    """``image`` and ``target``: Mask (H, W) int64."""
    image = _image(split, index)
    label_map = label_map_of(split, index, _size(image))
    return {"image": image, "target": tv_tensors.Mask(torch.from_numpy(label_map.astype(np.int64)))}


def depth_sample(split: SceneSplit, index: int) -> Sample:
    """``image`` and ``target``: DepthMap (H, W) float32."""
    image = _image(split, index)
    depth = depth_of(split, index, _size(image))
    return {"image": image, "target": DepthMap(torch.from_numpy(depth.astype(np.float32)))}


def _image(split: SceneSplit, index: int) -> tv_tensors.Image:
    return tv_tensors.Image(as_tensor(split.image(index)).contiguous())


def _size(image: torch.Tensor) -> tuple[int, int]:
    return int(image.shape[-2]), int(image.shape[-1])


@dataclass(frozen=True)
class SceneBatches:
    """Training batches for :func:`ssl_bench.training.supervised.fit`. ``transform``: of a sample, drawn anew for every image
    and epoch from (seed, epoch, image) alone. An update takes ``batch_size`` images (all there are, if fewer) in
    ``accumulate`` forwards, shared by all processes; those of an epoch that do not fill an update are left out.
    ``stack``: images and targets have one size and become tensors; else lists (detection)."""

    split: SceneSplit
    make: Make
    transform: Callable[[Sample], Sample]
    batch_size: int
    backbone: Backbone
    compute: Compute
    stack: bool = True
    accumulate: int = 1

    def __post_init__(self) -> None:
        if not self.size:
            raise SettingsError(
                f"{min(self.batch_size, len(self.split))} images for an update cannot be shared by {self.accumulate} "
                f"forwards in {world_size()} processes.",
                "Use a larger batch_size, or fewer processes.",
            )

    def __len__(self) -> int:
        """Forwards an epoch, in each process."""
        return len(self.split) // (self.size * self.accumulate * world_size()) * self.accumulate

    @property
    def size(self) -> int:
        """Images of a forward in one process."""
        return min(self.batch_size, len(self.split)) // (self.accumulate * world_size())

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Any]]:
        """(B, 3, H, W) normalised images and their targets, on the device; lists of them without ``stack``."""
        order = torch.randperm(len(self.split), generator=self.compute.generator(ORDER, epoch)).numpy()
        together = self.size * world_size()
        order = order[start * together : len(self) * together].reshape(-1, world_size(), self.size)[:, rank()].ravel()
        augment = partial(_augmented, self.transform, self.compute.seed, epoch)
        device = self.compute.device
        for items in loaded(self.split, self.make, order, self.size, self.compute, augment):
            images = [self.backbone.preprocess.normalise(item["image"].to(device)) for item in items]
            targets = [_moved(item["target"], device) for item in items]
            yield (torch.stack(images), torch.stack(targets)) if self.stack else (images, targets)


def loaded(
    split: SceneSplit,
    make: Make,
    indices: np.ndarray,
    batch_size: int,
    compute: Compute,
    transform: Callable[[int, Sample], Sample] | None = None,
) -> Iterator[list[Sample]]:
    """Samples in the order of ``indices``, ``batch_size`` at a time, by ``compute.workers`` processes. An error of the data
    reaches the caller as it was raised."""
    made = _Made(split, make, transform)
    # A broken image of a dense task always stops: it would take its targets with it.
    return media.loaded(made, indices, batch_size, compute.with_(skip_broken=False))


@dataclass(frozen=True)
class _Made:
    """Makes and transforms one sample, in a worker."""

    split: SceneSplit
    make: Make
    transform: Callable[[int, Sample], Sample] | None

    def __call__(self, index: int) -> Sample:
        sample = {**self.make(self.split, index), "index": index}
        return self.transform(index, sample) if self.transform else sample


def _augmented(transform: Callable[[Sample], Sample], seed: int, epoch: int, index: int, sample: Sample) -> Sample:
    state = np.random.SeedSequence([seed, AUGMENT, epoch, index]).generate_state(1, np.uint64)[0]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(state) >> 1)
        return transform(sample)


def _moved(target: Any, device: torch.device) -> Any:
    if isinstance(target, dict):
        return {name: _moved(part, device) for name, part in target.items()}
    return target.as_subclass(torch.Tensor).to(device) if isinstance(target, torch.Tensor) else target
