"""VOC's and COCO's files: what is read from them, and what is said of wrong ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from voc_files import annotation, write_voc

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.coco import drawn
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import SceneSplit, scenes
from ssl_bench.data.shapes import ShapesSplit
from ssl_bench.errors import DataError


def voc07(root: Path) -> dict[str, SceneSplit]:
    return scenes(load_dataset("voc07", root), "instances", "present")


@pytest.fixture
def voc_root(tmp_path: Path) -> Path:
    write_voc(tmp_path, "VOC2007", {"trainval": 6, "test": 4}, difficult={"car"})
    write_voc(tmp_path, "VOC2012", {"trainval": 3}, start=100)
    return tmp_path


def test_voc_boxes_are_edges_counted_from_zero(voc_root: Path) -> None:
    split, scene = voc07(voc_root)["train"], ShapesSplit("shapes", 5, 0, 6)
    for index in range(6):
        found, truth = split.instances(index), scene.instances(index)
        np.testing.assert_array_equal(found.boxes, truth.boxes)
        assert [split.classes[label] for label in found.labels] == [
            ("bottle", "car", "cat", "dog", "person")[label - 1] for label in truth.labels
        ]
        assert found.masks is None
        np.testing.assert_array_equal(found.difficult, found.labels == split.classes.index("car"))


def test_both_years_are_joined(voc_root: Path) -> None:
    data = load_dataset("voc0712", voc_root)
    assert (len(data.train), len(data.test)) == (9, 4)
    assert data.train.identity(0).startswith("VOC2007/")
    assert data.train.identity(8).startswith("VOC2012/")


def test_only_difficult_objects_are_neither_present_nor_absent(voc_root: Path) -> None:
    split = voc07(voc_root)["train"]
    present, car = split.present(), split.classes.index("car")
    has_car = np.array([car in split.instances(index).labels for index in range(len(split))])
    assert has_car.any()
    assert not has_car.all()
    np.testing.assert_array_equal(present[:, car], np.where(has_car, -1, 0))
    for index in range(len(split)):
        others = set(split.instances(index).labels) - {car}
        assert set(np.flatnonzero(present[index] == 1)) == others


def test_the_annotation_is_part_of_the_fingerprint(voc_root: Path) -> None:
    before = voc07(voc_root)["train"].fingerprint
    path = voc_root / "VOCdevkit/VOC2007/Annotations/000000.xml"
    path.write_text(path.read_text() + "\n")
    assert voc07(voc_root)["train"].fingerprint != before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "There is no annotation .*000000.xml"),
        ("", "000000.xml: cannot be read as an annotation"),
        (
            annotation([("car", [10, 10, 90, 30])], set()),
            r"box \(10, 10, 90, 30\) does not lie in the image of 64 x 64",
        ),
        (annotation([("car", [10, 10, 5, 30])], set()), r"box \(10, 10, 5, 30\) does not lie in the image"),
        (annotation([("car", [1, 1, 5, 5])], set()).replace("car", "unicorn"), "no class 'unicorn'"),
        (annotation([("car", [1, 1, 5, 5])], set()).replace(">5<", ">five<"), "is not as VOC's annotations are"),
        ("<annotation></annotation>", "has no <size/width>"),
    ],
)
def test_wrong_annotations_of_voc_are_named(voc_root: Path, content: str | None, message: str) -> None:
    path = voc_root / "VOCdevkit/VOC2007/Annotations/000000.xml"
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(DataError, match=message):
        voc07(voc_root)["train"].instances(0)


def test_a_box_a_little_outside_is_cut_off(voc_root: Path) -> None:
    path = voc_root / "VOCdevkit/VOC2007/Annotations/000000.xml"
    path.write_text(annotation([("car", [-1, 10, 66, 30])], set()))
    np.testing.assert_array_equal(voc07(voc_root)["train"].instances(0).boxes, [[0, 10, 64, 30]])


def test_missing_and_empty_files_of_voc_are_named(voc_root: Path, tmp_path: Path) -> None:
    image = voc_root / "VOCdevkit/VOC2007/JPEGImages/000000.jpg"
    image.write_bytes(b"")
    with pytest.raises(DataError, match="000000.jpg.*empty"):
        voc07(voc_root)["train"].image(0)
    image.unlink()
    with pytest.raises(DataError, match="000000.jpg"):
        voc07(voc_root)["train"].image(0)
    (voc_root / "VOCdevkit/VOC2007/ImageSets/Main/test.txt").unlink()
    with pytest.raises(DataError, match="no list .*test.txt"):
        load_dataset("voc07", voc_root)
    with pytest.raises(DataError, match="There is no data set voc07"):
        load_dataset("voc07", tmp_path / "nowhere")


def write_coco(root: Path, change: Callable[[dict[str, Any]], None] = lambda whole: None) -> Path:
    """Two images; category ids with a gap; a polygon, a run length and a crowd."""
    whole: dict[str, Any] = {
        "images": [
            {"id": 7, "file_name": "a.jpg", "width": 40, "height": 30},
            {"id": 3, "file_name": "b.jpg", "width": 20, "height": 20},
        ],
        "categories": [{"id": 9, "name": "nine"}, {"id": 2, "name": "two"}],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 9, "bbox": [2, 3, 4, 5], "area": 20.0, "iscrowd": 0}
            | {"segmentation": [[2, 3, 6, 3, 6, 8, 2, 8]]},
            {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 1, 30], "area": 30.0, "iscrowd": 1}
            | {"segmentation": {"size": [30, 40], "counts": [0, 30, 1170]}},
            {"id": 4, "image_id": 7, "category_id": 9, "bbox": [5, 5, 0, 4], "area": 0.0, "iscrowd": 0}
            | {"segmentation": []},
        ],
    }
    change(whole)
    (root / "coco/annotations").mkdir(parents=True, exist_ok=True)
    for name in ("train2017", "val2017"):
        (root / "coco/annotations" / f"instances_{name}.json").write_text(json.dumps(whole))
    return root


def coco(root: Path) -> SceneSplit:
    return scenes(load_dataset("coco", root), "instances", "present")["train"]


def test_objects_of_coco(tmp_path: Path) -> None:
    split = coco(write_coco(tmp_path))
    assert split.classes == ("two", "nine")
    first, second = split.instances(0), split.instances(1)
    # The box of width 0 is left out.
    np.testing.assert_array_equal(first.boxes, [[0, 0, 1, 30]])
    assert first.crowd.tolist() == [True]
    assert first.labels.tolist() == [0]
    assert first.areas.tolist() == [30]
    np.testing.assert_array_equal(second.boxes, [[2, 3, 6, 8]])
    assert first.masks is not None
    assert second.masks is not None
    assert first.masks.shape == (1, 30, 40)
    assert first.masks[0, :, 0].all()
    assert first.masks.sum() == 30
    assert second.masks[0, 3:8, 2:6].all()
    assert second.masks.sum() == 20
    assert split.instances(1, masks=False).masks is None
    np.testing.assert_array_equal(split.present(), [[1, 1], [0, 1]])


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda whole: whole["annotations"][0].update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("category_id", 5), r"annotation 1 has category 5, and there are \[2, 9\]"),
        (_set("image_id", 5), "annotation 1 is of image 5, which is not listed"),
        (_set("bbox", [2, 3, 40, 5]), "annotation 1, image 3: the box .* does not lie in the image of 20 x 20"),
        (_set("bbox", [2, 3, -4, 5]), "annotation 1, image 3: the box"),
        (_set("bbox", [2, 3, 4]), "is not in COCO's format"),
        (lambda whole: whole.pop("categories"), "is not in COCO's format .KeyError: 'categories'"),
    ],
)
def test_wrong_annotations_of_coco_are_named(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        coco(write_coco(tmp_path, change))


@pytest.mark.parametrize(
    ("outline", "message"),
    [
        ({"size": [30, 30], "counts": [900]}, "b.jpg: .* mask of 30 x 30"),
        ({"size": [20, 20], "counts": [100]}, "b.jpg: .* runs have 100 pixels"),
    ],
)
def test_a_mask_of_another_size_is_named(tmp_path: Path, outline: Any, message: str) -> None:
    split = coco(write_coco(tmp_path, _set("segmentation", outline)))
    with pytest.raises(DataError, match=message):
        split.instances(1)


def test_coco_without_its_files(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no data set coco"):
        load_dataset("coco", tmp_path)
    write_coco(tmp_path)
    (tmp_path / "coco/annotations/instances_val2017.json").unlink()
    with pytest.raises(DataError, match="no annotation file .*instances_val2017.json"):
        load_dataset("coco", tmp_path)
    (tmp_path / "coco/annotations/instances_train2017.json").write_text("{")
    with pytest.raises(DataError, match="instances_train2017.json: is no JSON"):
        load_dataset("coco", tmp_path)


def test_a_line_is_no_polygon() -> None:
    assert not drawn([[1, 1, 5, 5]], 10, 10, "image").any()


@pytest.fixture(scope="module")
def coco_mini(shared_data: Path) -> Dataset:
    return load_dataset("coco_mini", shared_data)


def test_coco_mini_is_read_whole(coco_mini: Dataset) -> None:
    splits = scenes(coco_mini, "instances", "present")
    assert {
        name: sum(len(split.instances(i, masks=False)) for i in range(len(split))) for name, split in splits.items()
    } == {
        "train": 739,
        "test": 624,
    }
    assert len(coco_mini.classes) == 80
    assert coco_mini.classes[0] == "person"
    near = []
    for split in splits.values():
        for index in range(0, len(split), 8):
            found = split.instances(index)
            assert found.masks is not None
            assert split.image(index).size == found.masks.shape[:0:-1]
            for mask, box in zip(found.masks, found.boxes, strict=True):
                rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
                edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
                near.append(abs(edges - box).max() < 1.5)
    # Tips thinner than a pixel are not drawn.
    assert np.mean(near) > 0.9
