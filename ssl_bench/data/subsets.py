"""Parts of a training split: few images a class, a percentage, and images held out for choosing hyper-parameters.

The official ImageNet lists are used where they lie in the data root:

    imagenet_subsets/{1percent,10percent}.txt                 SimCLR (google-research/simclr imagenet_subsets)
    imagenet_subsets/<draw>/{1,2,5}imgs_class.txt             MSN (facebookresearch/msn imagenet_subsets1..3)

MSN's folders may keep their own names (``imagenet_subsets<draw>/``), and the third draw's five-image list its wrong one
(``3imgs_class.txt``). Without a list the images are drawn here, and the note says so: the result depends on the draw.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ssl_bench.data.dataset import Split
from ssl_bench.errors import DataError, SettingsError

PERCENT_LISTS = {1: ("1percent.txt", "71e82a48ba782526"), 10: ("10percent.txt", "6d09de11e7bdaf5b")}
"""percent -> file, first 16 digits of its sha256."""
SHOT_LISTS = {
    (1, 1): "ffa4f960419ce754",
    (1, 2): "9b0c2d1957ad7a11",
    (1, 5): "f8daf7e637fafe92",
    (2, 1): "7f13beaba20a6e64",
    (2, 2): "35b93fb0d809b17a",
    (2, 5): "284603d071f36b29",
    (3, 1): "d77d56527da4842b",
    (3, 2): "400ae5a31e01bc1a",
    (3, 5): "eaab6e72d1ea83c3",
}
"""(draw, images a class) -> first 16 digits of the list's sha256."""


@dataclass(frozen=True)
class Selection:
    """``indices``: sorted positions in the training split. ``note``: why the images were drawn, for the record."""

    indices: np.ndarray
    source: Literal["official", "drawn"]
    note: str = ""


def per_class(labels: np.ndarray, n: int, seed: int) -> np.ndarray:
    """``n`` images of each class, sorted. For one seed the choice for n is part of the choice for any larger n."""
    chosen = []
    for label, members in _shuffled(labels, seed):
        if len(members) < n:
            raise SettingsError(f"{n} images a class are wanted, and class {label} has {len(members)}.")
        chosen.append(members[:n])
    return np.sort(np.concatenate(chosen))


def fraction(labels: np.ndarray, percent: float, seed: int) -> np.ndarray:
    """``percent`` (0 to 100] of each class, rounded, at least one image, sorted. Nested for one seed."""
    if not 0 < percent <= 100:
        raise SettingsError(f"{percent} % of the images: must be above 0 and at most 100.")
    return np.sort(
        np.concatenate(
            [members[: max(1, round(len(members) * percent / 100))] for _, members in _shuffled(labels, seed)]
        )
    )


def holdout(labels: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(kept, held out) positions, sorted; ``fraction`` of each class, rounded, is held out.

    A class keeps at least one image, and gives at least one where it has two or more.
    """
    if not 0 < fraction < 1:
        raise SettingsError(f"A held-out fraction of {fraction}: must be between 0 and 1.")
    held = []
    for _, members in _shuffled(labels, seed):
        held.append(members[: min(len(members) - 1, max(1, round(len(members) * fraction)))])
    held_out = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def held_out_images(labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(kept, held out) positions, sorted; exactly ``count`` images are held out, from each class in proportion (largest
    remainders). A class keeps at least one image."""
    groups = _shuffled(labels, seed)
    sizes = np.array([len(members) for _, members in groups])
    if not 0 < count <= (sizes - 1).sum():
        raise SettingsError(f"{count} images cannot be held out of {len(labels)} in {len(groups)} classes.")
    share = sizes * count / sizes.sum()
    taken = np.minimum(np.floor(share).astype(int), sizes - 1)
    for place in itertools.cycle(np.argsort(taken - share, kind="stable").tolist()):
        if taken.sum() == count:
            break
        taken[place] += taken[place] < sizes[place] - 1
    held_out = np.sort(np.concatenate([members[:n] for (_, members), n in zip(groups, taken, strict=True)]))
    return np.setdiff1d(np.arange(len(labels)), held_out), held_out


def low_shot(split: Split, n: int, draw: int, root: Path) -> Selection:
    """``n`` images a class of the training split of ImageNet: MSN's list number ``draw`` (1 to 3), else drawn."""
    if (draw, n) in SHOT_LISTS:
        names = [f"{n}imgs_class.txt"] + (["3imgs_class.txt"] if (draw, n) == (3, 5) else [])
        folders = (root / "imagenet_subsets" / str(draw), root / f"imagenet_subsets{draw}")
        found = _official([folder / name for folder in folders for name in names], SHOT_LISTS[draw, n], split)
    else:
        found = f"there is no official list of {n} images a class, draw {draw}"
    if isinstance(found, Selection):
        return found
    return Selection(per_class(split.labels, n, draw), "drawn", f"drawn here (seed {draw}): {found}")


def semi(split: Split, percent: float, root: Path, seed: int = 0) -> Selection:
    """1 or 10 percent of the training split of ImageNet: SimCLR's list, else drawn."""
    if percent in PERCENT_LISTS:
        name, sha256 = PERCENT_LISTS[int(percent)]
        found = _official([root / "imagenet_subsets" / name], sha256, split)
    else:
        found = f"there is no official list of {percent:g} %"
    if isinstance(found, Selection):
        return found
    return Selection(fraction(split.labels, percent, seed), "drawn", f"drawn here (seed {seed}): {found}")


def _official(places: list[Path], sha256: str, split: Split) -> Selection | str:
    """The list's images, or why it cannot be used; :class:`DataError` if the file is not the official one."""
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return f"the official list {places[0]} is not there"
    content = path.read_bytes()
    if not hashlib.sha256(content).hexdigest().startswith(sha256):
        raise DataError(
            f"{path}: is not the official list (its sha256 does not start with {sha256}).",
            "Fetch it again, or remove it: the images are then drawn at random.",
        )
    names = content.decode().split()
    position = {file.name: index for index in range(len(split)) if (file := split.file(index)) is not None}
    missing = [name for name in names if name not in position]
    if missing:
        return f"{len(missing)} of {len(names)} images of the official list are not in this training split"
    return Selection(np.sort([position[name] for name in names]), "official")


def _shuffled(labels: np.ndarray, seed: int) -> list[tuple[int, np.ndarray]]:
    """(class, its positions in random order); each class has its own stream, so that classes do not shift each other."""
    order = np.argsort(labels, kind="stable")
    classes, starts = np.unique(labels[order], return_index=True)
    members = np.split(order, starts[1:])
    return [
        (int(label), np.random.RandomState([seed, int(label)]).permutation(group))
        for label, group in zip(classes, members, strict=True)
    ]
