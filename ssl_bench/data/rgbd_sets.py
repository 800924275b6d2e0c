"""Indoor data sets with depth, classes or both, in documented layouts; nothing is downloaded.

NYUv2 and Hypersim: one folder a kind of map, with the same names in each, as EPFL-VILAB/MultiMAE's ``SETUP.md`` lays them out
and its ``tools/prepare_nyuv2.py`` writes them.
"""

from __future__ import annotations

from pathlib import Path

from ssl_bench.cards import DatasetCard
from ssl_bench.data.class_names import NYU40
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scene_files import SHIFTED, DepthFiles, LabelFiles, SceneFiles
from ssl_bench.data.segmentation_sets import found, image_paths, target_path
from ssl_bench.errors import DataError


def nyuv2(root: Path, card: DatasetCard) -> Dataset:
    """795 training and 654 test images with depth and 40 classes (file value 0 is ignored). ``options``: ``units`` of a
    depth file a metre; ``prepare_nyuv2.py`` writes 2^16 / 10, and what other tools write is often 1000."""
    folder = found(root, card, ("nyuv2", "nyu_v2"), "nyuv2/{train,test}/{rgb,depth,semseg}/data/*.png")
    train, test = (_rgbd(folder, part, float(card.options["units"])) for part in ("train", "test"))
    return Dataset(card.name, train, test, metric=card.metric)


def hypersim(root: Path, card: DatasetCard) -> Dataset:
    """40 classes (file value 0 is ignored); the test split is ``test`` where there is one, and then ``val`` is the third."""
    folder = found(root, card, ("hypersim",), "hypersim/{train,val,test}/{rgb,semseg}/<scene>/*.{jpg,png}")
    parts = {part: _rgbd(folder, part, None) for part in ("train", "val", "test") if (folder / part).is_dir()}
    if "train" not in parts or len(parts) == 1:
        raise DataError(f"{folder} needs train, and val or test; it has {', '.join(parts) or 'none of them'}.")
    test = parts.get("test", parts.get("val"))
    assert test is not None
    return Dataset(card.name, parts["train"], test, parts.get("val") if "test" in parts else None, metric=card.metric)


def seven_scenes(root: Path, card: DatasetCard) -> Dataset:
    """A part of one 7-Scenes sequence: ``{train,test}/frame-<n>.{color.jpg,depth.png}``, depth in millimetres, 0 and 65535
    where it was not measured."""
    folder = found(root, card, ("depth_7scenes",), "depth_7scenes/{train,test}/frame-<n>.{color.jpg,depth.png}")
    train, test = (_kinect(folder, part) for part in ("train", "test"))
    return Dataset(card.name, train, test, metric=card.metric)


def _kinect(folder: Path, part: str) -> SceneFiles:
    images = image_paths(folder, part, ".color.jpg")
    depths = tuple(target_path(folder, path, part, part, (".color.jpg", ".depth.png")) for path in images)
    return SceneFiles(folder, images, ("scene",), depths=DepthFiles(depths, 1000.0, (65535,)))


def _rgbd(folder: Path, part: str, units: float | None) -> SceneFiles:
    """``units``: None if the depth files are of no use here."""
    images = image_paths(folder, f"{part}/rgb")

    def of(kind: str) -> tuple[str, ...]:
        return tuple(target_path(folder, path, f"{part}/rgb", f"{part}/{kind}") for path in images)

    depths = None if units is None else DepthFiles(of("depth"), units)
    return SceneFiles(folder, images, NYU40, LabelFiles(of("semseg"), SHIFTED), depths)
