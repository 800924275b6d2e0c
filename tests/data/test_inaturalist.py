"""iNaturalist in the competition's layout and in torchvision's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.check import check_dataset
from ssl_bench.errors import DataError

CATEGORIES = [{"id": 7, "name": "Apis mellifera"}, {"id": 2, "name": "Bellis perennis"}]


def write(root: Path, year: int = 2018, folder: str = "inat2018", pictures: str = "train_val2018") -> Path:
    """Three training images of each category, one to validate with."""
    home = root / folder
    for part, copies in (("train", 3), ("val", 1)):
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for category, kind in ((7, "Insects"), (2, "Plantae")):
            for copy in range(copies):
                place = f"{kind}/{category}/{part}{copy}.jpg"
                file = home / pictures / place
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (8, 8), (category * 30,) * 3).save(file)
                number = 100 * category + copy + (50 if part == "val" else 0)
                images.append({"id": number, "file_name": f"train_val{year}/{place}"})
                annotations.insert(0, {"image_id": number, "category_id": category})
        content = {"images": images, "annotations": annotations, "categories": CATEGORIES}
        (home / f"{part}{year}.json").write_text(json.dumps(content))
    return home


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("name", "year", "folder", "pictures"),
    [
        ("inat18", 2018, "inat2018", "train_val2018"),
        ("inat18", 2018, "inat18", "2018"),
        ("inat18", 2018, "inaturalist", "2018"),
        ("inat19", 2019, ".", "2019"),
    ],
)
def test_layouts(name: str, year: int, folder: str, pictures: str, tmp_path: Path) -> None:
    write(tmp_path, year, folder, pictures)
    data = load_dataset(name, tmp_path)
    assert data.classes == ("Bellis perennis", "Apis mellifera")  # by id
    assert data.train.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert data.test.labels.tolist() == [1, 0]
    assert data.val is None
    assert data.test.image(0).getpixel((0, 0))[0] == pytest.approx(210, abs=2)


def test_names_that_are_not_unique_give_way_to_the_ids(tmp_path: Path) -> None:
    home = write(tmp_path)
    edit(home / "train2018.json", categories=[{"id": 7, "name": "x"}, {"id": 2, "name": "x"}])
    assert load_dataset("inat18", tmp_path).classes == ("0002", "0007")


def test_check_counts_what_is_missing(tmp_path: Path) -> None:
    home = write(tmp_path)
    (home / "train_val2018/Insects/7/train1.jpg").unlink()
    report = check_dataset("inat18", tmp_path)
    assert report.usable
    assert not report.ok
    assert report.expected == {"classes": 8142, "train": 437513, "test": 24426}
    assert any("train1.jpg" in finding.where for finding in report.findings)


def test_wrong_copies_have_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no train2018.json in .*inat2018"):
        load_dataset("inat18", tmp_path)
    home = write(tmp_path)
    val = home / "val2018.json"
    good = val.read_text()
    for content, message in (
        ("{", "not intact JSON"),
        ("[]", "no lists"),
        (json.dumps({**json.loads(good), "annotations": []}), "train_val2018/Insects/7/val0.jpg has no annotation"),
        (good.replace('"category_id": 7', '"category_id": 9'), "has category 9, which train does not list"),
    ):
        val.write_text(content)
        with pytest.raises(DataError, match=message):
            load_dataset("inat18", tmp_path)
    val.unlink()
    with pytest.raises(DataError, match=r"There is no file .*val2018.json"):
        load_dataset("inat18", tmp_path)
    val.write_text(good)
    edit(home / "train2018.json", categories=[])
    with pytest.raises(DataError, match="lists no categories"):
        load_dataset("inat18", tmp_path)


def test_lists_without_images(tmp_path: Path) -> None:
    home = write(tmp_path)
    (home / "train_val2018").rename(home / "somewhere")
    with pytest.raises(DataError, match="There is no folder .*train_val2018"):
        load_dataset("inat18", tmp_path)
