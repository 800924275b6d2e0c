"""The targets of one scene, checked against its image: what every protocol and ``data check`` read them through."""

from __future__ import annotations

import numpy as np

from ssl_bench.data.scenes import IGNORE, Instances, SceneSplit
from ssl_bench.errors import DataError


def label_map_of(split: SceneSplit, index: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 with ``size`` = (H, W) and only classes that there are; else a :class:`DataError` that names the image."""
    label_map = split.label_map(index)
    _same_size(split, index, size, label_map.shape)
    highest = int(label_map.max(initial=0, where=label_map != IGNORE))
    if highest >= len(split.classes):
        raise DataError(
            f"{split.identity(index)}: the label map has class {highest}, and {split.name} has {len(split.classes)} "
            f"(0 to {len(split.classes) - 1}).",
            "Label maps hold classes from 0, and 255 for pixels to ignore.",
        )
    return label_map


def depth_of(split: SceneSplit, index: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 metres with ``size`` = (H, W), finite and not negative; else a :class:`DataError` that names the image."""
    depth = split.depth(index)
    _same_size(split, index, size, depth.shape)
    if not np.isfinite(depth).all() or (depth < 0).any():
        raise DataError(
            f"{split.identity(index)}: the depth map has values that are negative or no numbers.",
            "Depth is in metres, 0 where it was not measured.",
        )
    return depth


def instances_of(split: SceneSplit, index: int, size: tuple[int, int], masks: bool) -> Instances:
    """The objects, with boxes and ``masks`` (if wanted; then there must be some) within ``size`` = (H, W) and only classes
    that there are; else a :class:`DataError` that names the image."""
    found = split.instances(index, masks)
    if masks and found.masks is None:
        raise DataError(f"Data set {split.name} has no outlines of objects.", "Choose a task without masks.")
    if found.masks is not None:
        _same_size(split, index, size, found.masks.shape[1:])
    if len(found) and (found.boxes.min() < 0 or (found.boxes.max(0) > [size[1], size[0]] * 2).any()):
        raise DataError(
            f"{split.identity(index)}: a box does not lie in the image of {size[1]} x {size[0]} pixels.",
            "Boxes are x1 y1 x2 y2 in pixels of the image file: was it resized after it was annotated?",
        )
    if len(found) and not 0 <= found.labels.min() <= found.labels.max() < len(split.classes):
        raise DataError(
            f"{split.identity(index)}: an object has class {found.labels.max()}, and {split.name} has "
            f"{len(split.classes)} (0 to {len(split.classes) - 1})."
        )
    return found


def check_targets(split: SceneSplit, index: int) -> None:
    """Read an image and all its maps; raises the first :class:`DataError`."""
    width, height = split.image(index).size
    if "label_map" in split.targets:
        label_map_of(split, index, (height, width))
    if "depth" in split.targets:
        depth_of(split, index, (height, width))
    if "instances" in split.targets:
        has_masks = split.instances(index).masks is not None
        instances_of(split, index, (height, width), has_masks)


def _same_size(split: SceneSplit, index: int, size: tuple[int, int], found: tuple[int, ...]) -> None:
    if found != size:
        raise DataError(
            f"{split.identity(index)}: the image is {size[1]} x {size[0]} pixels, its target "
            f"{' x '.join(map(str, found[::-1]))}.",
            "Both must have the same size: prepare the data set again.",
        )
