"""Training clips: one random transform for all frames of a clip (facebookresearch/mae_st util/kinetics.py ``_aug_frame``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field
from timm.data.auto_augment import rand_augment_transform
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from torchvision.transforms import v2

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute, rank
from ssl_bench.data.videos import VideoSplit
from ssl_bench.protocols.video.views import ClipNumbers, as_frames, frame_numbers, shorter_side, slack
from ssl_bench.settings import Settings
from ssl_bench.training.draws import drawn_from

CLIP, ERASE, MIX = 73, 74, 75


class AugmentNumbers(Settings):
    """In this order: shorter side ``train_side`` pixels, RandAugment with this timm string (None: none), a random crop of
    ``crop_scale`` of the area and aspect 3/4 to 4/3, a flip with probability 1/2 if ``flip``, erasing with probability
    ``erasing``; then mixup or cutmix (one of both, 1/2 each) of every ``mix_group`` clips, as many as one of the authors'
    GPUs had, with label ``smoothing``. ``repeats``: clips that are cut from a video each time it is decoded."""

    train_side: int = Field(256, ge=1)
    randaugment: str | None = "rand-m7-mstd0.5-inc1"
    crop_scale: tuple[float, float] = (0.08, 1.0)
    flip: bool = True
    erasing: float = Field(0.25, ge=0, le=1)
    mixup: float = Field(0.8, ge=0)
    cutmix: float = Field(1.0, ge=0)
    mix_group: int = Field(4, ge=2, multiple_of=2)
    smoothing: float = Field(0.1, ge=0, lt=1)
    repeats: int = Field(2, ge=1)


@dataclass(frozen=True)
class TrainClips:
    """(epoch, video) -> (repeats, T, 3, crop, crop) uint8 and the label; runs in a worker."""

    split: VideoSplit
    clip: ClipNumbers
    augment: AugmentNumbers
    seed: int

    def __call__(self, epoch: int, index: int) -> tuple[torch.Tensor, int]:
        with drawn_from(self.seed, CLIP, epoch, index):
            length = self.split.length(index)
            begins = np.random.uniform(0, slack(length, self.clip), self.augment.repeats)
            wanted = [frame_numbers(start, length, self.clip) for start in begins.tolist()]
            seeds = np.random.randint(1 << 31, size=self.augment.repeats).tolist()
        shrink = partial(shorter_side, side=self.augment.train_side)
        frames = as_frames(self.split.clip(index, np.concatenate(wanted), shrink))
        parts = torch.split(frames, self.clip.frames)
        clips = [self._changed(clip, seed) for clip, seed in zip(parts, seeds, strict=True)]
        return torch.stack(clips), int(self.split.labels[index])

    def _changed(self, clip: torch.Tensor, seed: int) -> torch.Tensor:
        if self.augment.randaugment is not None:
            clip = randaugment(clip, self.augment.randaugment, seed)
        crop = v2.RandomResizedCrop(self.clip.crop, self.augment.crop_scale, antialias=True)
        flip = v2.RandomHorizontalFlip(0.5 if self.augment.flip else 0.0)
        with drawn_from(seed, CLIP):
            changed: torch.Tensor = flip(crop(clip))
        return changed


def randaugment(clip: torch.Tensor, rule: str, seed: int) -> torch.Tensor:
    """(T, 3, H, W) uint8: the same draws for every frame, so that all are changed alike."""
    hints = {"translate_const": int(min(clip.shape[-2:]) * 0.45), "interpolation": Image.Resampling.BICUBIC}
    augment: Callable[[Image.Image], Image.Image] = rand_augment_transform(rule, hints)
    changed = []
    for frame in clip:
        image = Image.fromarray(frame.permute(1, 2, 0).numpy())
        with drawn_from(seed):
            changed.append(np.asarray(augment(image)))
    return as_frames(np.stack(changed))


@dataclass(frozen=True)
class Batch:
    """Finishes batches on the device: normalised, erased, mixed. Gives (B, T, 3, H, W) and (B, C) soft labels."""

    backbone: Backbone
    classes: int
    augment: AugmentNumbers
    compute: Compute

    def __call__(self, items: list[Any], epoch: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        clips = torch.cat([clips for clips, _ in items]).to(self.compute.device)
        labels = torch.tensor([label for _, label in items], device=clips.device)
        with drawn_from(self.compute.seed, ERASE, epoch, step, rank()):
            x = erased(self.backbone.preprocess.normalise(clips), self.augment.erasing)
            return mixed(x, labels.repeat_interleave(self.augment.repeats), self.classes, self.augment)


def erased(clips: torch.Tensor, probability: float) -> torch.Tensor:
    """(B, T, 3, H, W): of some clips one box, the same in all frames, becomes noise N(0, 1), another in each pixel."""
    erase: Any = RandomErasing(probability, mode="pixel", device=str(clips.device))  # type: ignore[no-untyped-call]
    return torch.stack([erase(clip.flatten(0, 1)).view_as(clip) for clip in clips])


def mixed(
    clips: torch.Tensor, labels: torch.Tensor, classes: int, numbers: AugmentNumbers
) -> tuple[torch.Tensor, torch.Tensor]:
    """Groups of ``mix_group`` clips, each with one draw; a last clip without a partner stays as it is, smoothed alike."""
    mix: Any = Mixup(numbers.mixup, numbers.cutmix, label_smoothing=numbers.smoothing, num_classes=classes)  # type: ignore[no-untyped-call]
    off = numbers.smoothing / classes
    plain = torch.full((len(labels), classes), off, device=clips.device)
    plain.scatter_(1, labels[:, None], 1.0 - numbers.smoothing + off)
    if numbers.mixup == 0 and numbers.cutmix == 0:
        return clips, plain
    parts = []
    for x, y, soft in zip(*(torch.split(t, numbers.mix_group) for t in (clips, labels, plain)), strict=True):
        even = len(x) // 2 * 2
        mixed_x, mixed_y = mix(x[:even].flatten(1, 2), y[:even]) if even else (x[:0].flatten(1, 2), soft[:0])
        parts.append((torch.cat([mixed_x.view_as(x[:even]), x[even:]]), torch.cat([mixed_y, soft[even:]])))
    return torch.cat([x for x, _ in parts]), torch.cat([y for _, y in parts])
