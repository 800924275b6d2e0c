"""Label maps and depth on disk: every layout, and what is said about broken ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.check import check_dataset
from ssl_bench.data.scene_checks import check_targets, depth_of, label_map_of
from ssl_bench.data.scenes import SceneSplit, scenes
from ssl_bench.errors import DataError, ImageError


def picture(path: Path, value: int | np.ndarray = 100, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, np.ndarray):
        Image.fromarray(value).save(path)
    else:
        Image.new(mode, size, (value,) * 3 if mode == "RGB" else value).save(path)


def values(*rows: list[int]) -> np.ndarray:
    return np.kron(np.array(rows, dtype=np.uint8), np.ones((3, 4), dtype=np.uint8))


def voc(root: Path, augmented: bool = True) -> None:
    year = root / "VOCdevkit/VOC2012"
    for name in ("a", "b", "c"):
        picture(year / f"JPEGImages/{name}.jpg")
    (year / "ImageSets/Segmentation").mkdir(parents=True)
    for name, images in {"train": "a\n", "val": "c\n", **({"trainaug": "a\nb\n"} if augmented else {})}.items():
        (year / f"ImageSets/Segmentation/{name}.txt").write_text(images)
    for name in ("a", "c"):
        palette = Image.fromarray(values([0, 255], [20, 1]), mode="L").convert("P")
        palette.putdata(values([0, 255], [20, 1]).ravel().tolist())
        (year / "SegmentationClass").mkdir(exist_ok=True)
        palette.save(year / f"SegmentationClass/{name}.png")
    if augmented:
        for name in ("a", "b"):
            picture(year / f"SegmentationClassAug/{name}.png", values([0, 255], [2, 1]))


def two_folders(root: Path, images: str, maps: str, map_values: np.ndarray) -> None:
    for name in ("x", "y"):
        picture(root / images / f"{name}.jpg")
        picture(root / maps / f"{name}.png", map_values)


def test_voc_with_and_without_the_augmented_maps(tmp_path: Path) -> None:
    voc(tmp_path / "whole")
    data = load_dataset("voc12", tmp_path / "whole")
    train, test = scenes(data, "label_map")["train"], scenes(data, "label_map")["test"]
    assert (len(train), len(test), len(data.classes)) == (2, 1, 21)
    assert train.label_map(0)[::3, ::4].tolist() == [[0, 255], [2, 1]]
    assert test.label_map(0)[::3, ::4].tolist() == [[0, 255], [20, 1]]
    voc(tmp_path / "official", augmented=False)
    assert len(load_dataset("voc12", tmp_path / "official").train) == 1


def test_ade20k_leaves_out_zero_and_shifts_the_rest(tmp_path: Path) -> None:
    for part in ("training", "validation"):
        two_folders(
            tmp_path / "ADEChallengeData2016", f"images/{part}", f"annotations/{part}", values([0, 1], [150, 2])
        )
    split = scenes(load_dataset("ade20k", tmp_path), "label_map")["test"]
    assert label_map_of(split, 0, (6, 8))[::3, ::4].tolist() == [[255, 0], [149, 1]]


@pytest.mark.parametrize("plain", [True, False])
def test_camvid_in_both_layouts(tmp_path: Path, plain: bool) -> None:
    for part in ("train", "val", "test"):
        names = (part, f"{part}annot") if plain else (f"{part}/images", f"{part}/labels")
        two_folders(tmp_path / "CamVid", *names, values([0, 10], [11, 3]))
    data = load_dataset("camvid", tmp_path)
    assert data.val is not None
    assert scenes(data, "label_map")["test"].label_map(1)[::3, ::4].tolist() == [[0, 10], [255, 3]]


def test_cityscapes(tmp_path: Path) -> None:
    for part in ("train", "val"):
        picture(tmp_path / f"cityscapes/leftImg8bit/{part}/ulm/ulm_0_leftImg8bit.png")
        ids = values([7, 33], [0, 29])
        picture(tmp_path / f"cityscapes/gtFine/{part}/ulm/ulm_0_gtFine_labelIds.png", ids)
    split = scenes(load_dataset("cityscapes", tmp_path), "label_map")["test"]
    assert split.label_map(0)[::3, ::4].tolist() == [[0, 18], [255, 255]]


def nyu(root: Path) -> None:
    for part in ("train", "test"):
        picture(root / f"nyuv2/{part}/rgb/data/0001.png")
        picture(root / f"nyuv2/{part}/semseg/data/0001.png", values([0, 1], [40, 2]))
        depth = np.full((6, 8), 13107, dtype=np.uint16)
        depth[0, 0] = 0
        picture(root / f"nyuv2/{part}/depth/data/0001.png", depth)


def test_nyuv2_has_both(tmp_path: Path) -> None:
    nyu(tmp_path)
    split = scenes(load_dataset("nyuv2", tmp_path), "label_map", "depth")["train"]
    assert split.label_map(0)[::3, ::4].tolist() == [[255, 0], [39, 1]]
    depth = depth_of(split, 0, (6, 8))
    assert depth[0, 0] == 0
    assert depth[1, 1] == pytest.approx(2.0, abs=1e-3)


def test_hypersim_scores_on_val_where_there_is_no_test(tmp_path: Path) -> None:
    for part in ("train", "val"):
        two_folders(tmp_path / "hypersim", f"{part}/rgb/ai_001", f"{part}/semseg/ai_001", values([0, 40]))
        for name in ("x", "y"):
            picture(tmp_path / f"hypersim/{part}/rgb/ai_001/{name}.jpg", size=(8, 3))
    data = load_dataset("hypersim", tmp_path)
    assert data.val is None
    check_targets(scenes(data, "label_map")["test"], 0)
    for name in ("x", "y"):
        picture(tmp_path / f"hypersim/test/rgb/ai_009/{name}.jpg")
        picture(tmp_path / f"hypersim/test/semseg/ai_009/{name}.png", values([1, 1]))
    assert load_dataset("hypersim", tmp_path).val is not None


def test_seven_scenes(shared_data: Path) -> None:
    data = load_dataset("depth_7scenes", shared_data)
    assert (len(data.train), len(data.test)) == (88, 24)
    depth = depth_of(scenes(data, "depth")["test"], 0, (480, 640))
    assert 0.3 < depth[depth > 0].min() < depth.max() < 10
    assert 0.02 < (depth == 0).mean() < 0.3


def test_camvid_here(shared_data: Path) -> None:
    data = load_dataset("camvid", shared_data)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 367, "val": 101, "test": 233}
    found = label_map_of(scenes(data, "label_map")["test"], 7, (360, 480))
    assert set(np.unique(found)) <= {*range(11), 255}
    report = check_dataset("camvid", shared_data)
    assert report.ok


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    nyu(tmp_path)
    return tmp_path / "nyuv2/train"


def first(root: Path) -> SceneSplit:
    return scenes(load_dataset("nyuv2", root), "label_map", "depth")["train"]


def test_a_map_of_another_size(broken: Path, tmp_path: Path) -> None:
    picture(broken / "semseg/data/0001.png", 1, (4, 4), "L")
    with pytest.raises(DataError, match="the image is 8 x 6 pixels, its target 4 x 4"):
        check_targets(first(tmp_path), 0)


def test_a_class_that_there_is_not(broken: Path, tmp_path: Path) -> None:
    picture(broken / "semseg/data/0001.png", 41, mode="L")
    with pytest.raises(DataError, match=r"0001.*has class 40, and nyuv2/train has 40 \(0 to 39\)"):
        check_targets(first(tmp_path), 0)


def test_a_coloured_map(broken: Path, tmp_path: Path) -> None:
    picture(broken / "semseg/data/0001.png", 41)
    with pytest.raises(DataError, match="is a picture with colours"):
        check_targets(first(tmp_path), 0)


def test_a_map_with_too_many_bits(broken: Path, tmp_path: Path) -> None:
    picture(broken / "semseg/data/0001.png", np.full((6, 8), 300, dtype=np.uint16))
    with pytest.raises(DataError, match="has the value 300; at most 255"):
        check_targets(first(tmp_path), 0)


@pytest.mark.parametrize("kind", ["rgb", "semseg", "depth"])
def test_an_empty_file(broken: Path, tmp_path: Path, kind: str) -> None:
    (broken / f"{kind}/data/0001.png").write_bytes(b"")
    with pytest.raises(ImageError, match=rf"{kind}/data/0001.png: cannot be read"):
        check_targets(first(tmp_path), 0)


def test_a_missing_map(broken: Path, tmp_path: Path) -> None:
    (broken / "depth/data/0001.png").unlink()
    with pytest.raises(
        DataError, match="There is no target .*depth/data/0001.png for the image train/rgb/data/0001.png"
    ):
        first(tmp_path)


@pytest.mark.parametrize("name", ["voc12", "ade20k", "camvid", "cityscapes", "nyuv2", "hypersim", "depth_7scenes"])
def test_an_absent_data_set_says_the_layout(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="There is no data set") as caught:
        load_dataset(name, tmp_path)
    assert "Expected: " in str(caught.value)
    assert not check_dataset(name, tmp_path).usable


def test_data_check_reads_the_maps_too(broken: Path, tmp_path: Path) -> None:
    assert [finding.kind for finding in check_dataset("nyuv2", tmp_path, decode=True).findings] == ["missing"] * 2
    picture(broken / "semseg/data/0001.png", 77, mode="L")
    findings = check_dataset("nyuv2", tmp_path, decode=True).findings
    assert any(finding.kind == "wrong" and "has class 76" in finding.what for finding in findings)


def test_a_changed_map_changes_the_fingerprint(broken: Path, tmp_path: Path) -> None:
    before = first(tmp_path).fingerprint
    picture(broken / "semseg/data/0001.png", np.arange(48, dtype=np.uint8).reshape(6, 8) % 40)
    assert first(tmp_path).fingerprint != before
