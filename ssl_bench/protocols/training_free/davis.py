"""Video object segmentation by label propagation (DINO, Table 5): the first frame's masks are given, J and F of the others.

Patch tokens of the last block after the norm; soft labels of the propagated frames go into the context as they are, before
they are brought to pixels. The first and the last frame are not scored, J and F are averaged over the frames of an
object, then over the objects of all videos. Source: facebookresearch/dino eval_video_segmentation.py,
davisvideochallenge/davis2017-evaluation.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import Field, PositiveFloat
from torch.nn import functional as F

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.feature_key import key_parts
from ssl_bench.data.features import evaluating
from ssl_bench.data.sequences import SequenceSplit, sequences
from ssl_bench.data.transforms import as_tensor
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.metrics.video_masks import boundary_accuracy, over_time, region_similarity
from ssl_bench.protocols.protocol import Outcome, Protocol
from ssl_bench.protocols.training_free.patches import patch_side
from ssl_bench.protocols.training_free.propagate import objects_of, propagate
from ssl_bench.results.parts import of_ratios
from ssl_bench.settings import Settings
from ssl_bench.training.saved import Saved

LONG_SIDE = 64
"""The longer side is cut down to a multiple of this."""
Scores = dict[str, list[float]]


class DavisSettings(Settings):
    """``side``: pixels of the shorter side; ``last``: how many frames before a frame are its context beside the first;
    ``reach``, ``top``, ``temperature``: see ``propagate``. ``frames``: of each video only so many (None: all)."""

    side: int = Field(480, ge=8)
    last: int = Field(7, ge=0)
    reach: int = Field(12, ge=0)
    top: int = Field(5, ge=1)
    temperature: PositiveFloat = 0.1
    frames: int | None = Field(None, ge=3)


class Davis(Protocol):
    """Metrics in percent: ``jf_mean``, and ``j_`` and ``f_`` each with ``mean``, ``recall`` (frames above 50 %) and ``decay``
    (first quarter of the frames minus the last). ``details`` has J and F of every object. An interval from drawing the
    videos again."""

    name = "davis"
    summary = "Video object segmentation by propagating the first frame's masks, J and F (DINO)"
    settings = DavisSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: DavisSettings, compute: Compute) -> Outcome:
        split = sequences(dataset)
        parts = key_parts(backbone, split, compute, "davis") | {"settings": settings.model_dump(mode="json")}
        saved = Saved(compute, "davis", parts)
        done: dict[str, dict[str, Scores]] = saved.load() or {}
        backbone = accept_any_size(backbone, settings.side)
        with evaluating(backbone, compute), compute.progress.bar("propagating masks", len(split)) as advance:
            for index in range(len(split)):
                if str(index) not in done:
                    done[str(index)] = video_scores(backbone, split, index, settings, compute)
                    saved.save(done)
                advance(status=split.title(index))
        outcome = summary([done[str(index)] for index in range(len(split))], split)
        saved.remove()
        return outcome


def video_scores(
    backbone: Backbone, split: SequenceSplit, index: int, settings: DavisSettings, compute: Compute
) -> dict[str, Scores]:
    """Object -> ``j`` and ``f`` of every scored frame, in [0, 1]."""
    name = f"{split.name}, {split.title(index)}"
    count = min(int(split.lengths[index]), settings.frames or int(split.lengths[index]))
    if count < 3:
        raise DataError(f"{name}: has {count} frames; the first and the last are not scored.", "Take it off the list.")
    first = _mask(split, index, 0, split.frame(index, 0))
    objects = int(first.max())
    if not objects:
        raise DataError(f"{name}: there is no object in its first frame.", "Take it off the list.")
    scores: dict[str, Scores] = {str(number): {"j": [], "f": []} for number in range(1, objects + 1)}
    for time, found in enumerate(tracked(backbone, split, index, count - 1, settings, compute), start=1):
        truth = _mask(split, index, time, found)
        for number in range(1, objects + 1):
            scores[str(number)]["j"].append(region_similarity(found == number, truth == number))
            scores[str(number)]["f"].append(boundary_accuracy(found == number, truth == number))
    return scores


def tracked(
    backbone: Backbone, split: SequenceSplit, index: int, stop: int, settings: DavisSettings, compute: Compute
) -> list[np.ndarray]:
    """(H, W) uint8 objects of the frames 1 to ``stop`` - 1, from the first frame's mask."""
    first = split.frame(index, 0)
    shape, patch = (first.height, first.width), patch_side(backbone)
    size = frame_size(*shape, settings.side, patch)
    features = frame_features(backbone, first, size, compute)
    labels = one_hot(split.mask(index, 0), (features.shape[1], features.shape[2])).to(features)
    context: deque[tuple[torch.Tensor, torch.Tensor]] = deque(maxlen=settings.last)
    found = []
    for time in range(1, stop):
        target = frame_features(backbone, split.frame(index, time), size, compute)
        sources, known = zip((features, labels), *context, strict=True)
        soft = propagate(target, sources, known, settings.top, settings.reach, settings.temperature)
        context.append((target, soft))
        found.append(objects_of(soft, size, shape))
    return found


def frame_size(height: int, width: int, side: int, patch: int) -> tuple[int, int]:
    """(H, W): the shorter side ``side`` pixels, the longer one in proportion, cut down to a multiple of 64; then both cut
    down to multiples of the patch."""
    longer = max(LONG_SIDE, int(side * max(height, width) / min(height, width)) // LONG_SIDE * LONG_SIDE)
    size = (longer, side) if height > width else (side, longer)
    if side < patch:
        raise SettingsError(f"side = {side} is less than a patch: {patch} pixels.")
    return size[0] // patch * patch, size[1] // patch * patch


def frame_features(backbone: Backbone, frame: Image.Image, size: tuple[int, int], compute: Compute) -> torch.Tensor:
    """(D, h, w) of a frame resized to ``size`` (bilinear without anti-aliasing, as OpenCV)."""
    pixels = as_tensor(frame)[None].to(compute.device).float()
    pixels = F.interpolate(pixels, size, mode="bilinear").round().to(torch.uint8)
    with compute.autocast():
        last = backbone.layers(backbone.preprocess.normalise(pixels))[-1]
    return last.map[0].float()


def one_hot(mask: np.ndarray, size: tuple[int, int]) -> torch.Tensor:
    """(H, W) objects -> (1 + objects, h, w), by the nearest pixel."""
    small = np.asarray(Image.fromarray(mask).resize((size[1], size[0]), Image.Resampling.NEAREST))
    return F.one_hot(torch.from_numpy(small.astype(np.int64)), int(mask.max()) + 1).permute(2, 0, 1)


def summary(videos: list[dict[str, Scores]], split: SequenceSplit) -> Outcome:
    """Means over the objects of all videos."""
    rows = [(index, number, scores) for index, video in enumerate(videos) for number, scores in video.items()]
    owner = np.array([index for index, _, _ in rows])
    metrics: dict[str, float] = {}
    means = {}
    for kind in ("j", "f"):
        found = 100 * np.array([over_time(np.array(scores[kind])) for _, _, scores in rows])
        means[kind] = found[:, 0]
        metrics |= {
            f"{kind}_{what}": float(v) for what, v in zip(("mean", "recall", "decay"), found.mean(0), strict=True)
        }
    both = (means["j"] + means["f"]) / 2
    each: dict[str, Any] = {
        f"{split.title(index)} {number}": {kind: round(float(means[kind][row]), 4) for kind in ("j", "f")}
        for row, (index, number, _) in enumerate(rows)
    }
    objects = np.bincount(owner, minlength=len(videos))
    parts = of_ratios(np.bincount(owner, weights=both, minlength=len(videos)) / 100, objects)
    interval = parts.interval()
    return Outcome(
        {"jf_mean": (metrics["j_mean"] + metrics["f_mean"]) / 2, **metrics},
        primary="jf_mean",
        interval=interval and replace(interval, kind="bootstrap over videos"),
        details={"objects": each},
        parts=parts,
    )


def _mask(split: SequenceSplit, index: int, time: int, like: Image.Image | np.ndarray) -> np.ndarray:
    """The mask, which must have the size of the frame."""
    mask = split.mask(index, time)
    shape = like.shape if isinstance(like, np.ndarray) else (like.height, like.width)
    if mask.shape != shape:
        raise DataError(
            f"{split.name}, {split.title(index)}, frame {time}: the mask is {mask.shape[1]} x {mask.shape[0]} pixels, the "
            f"frame {shape[1]} x {shape[0]}.",
            "Both must have the same size: unpack the archive again.",
        )
    return mask
