"""The data sets of the transfer suite in miniature, in the layouts that their authors' archives leave."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data.test_torchvision_sets import image, write

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.check import check_dataset
from ssl_bench.data.subsets import held_out_images
from ssl_bench.errors import DataError, SettingsError


def birdsnap(root: Path) -> Path:
    folder = root / "birdsnap"
    write(folder / "species.txt", "id\tcommon\tscientific\tdir\n1\tAcadian Flycatcher\tE v\tA\n7\tBlue Jay\tC c\tB\n")
    names = [("A/1.jpg", 1), ("A/2.jpg", 1), ("B/3.jpg", 7), ("B/4.jpg", 7), ("B/gone.jpg", 7)]
    rows = "".join(f"http://x\tmd5\t{name}\t{species}\t0\n" for name, species in names)
    write(folder / "images.txt", f"url\tmd5\tpath\tspecies_id\tbb_x1\n{rows}")
    write(folder / "test_images.txt", "path\nA/2.jpg\nB/3.jpg\n")
    for name, _ in names[:-1]:
        image(folder / "download/images" / name)
    return folder


def test_birdsnap_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    folder = birdsnap(tmp_path)
    dataset = load_dataset("birdsnap", tmp_path)
    assert dataset.classes == ("Acadian Flycatcher", "Blue Jay")
    assert dataset.train.labels.tolist() == [0, 1]
    assert [dataset.test.file(i) for i in range(2)] == [folder / "download/images" / n for n in ("A/2.jpg", "B/3.jpg")]
    report = check_dataset("birdsnap", tmp_path)
    assert report.usable
    assert any(f.kind == "missing" and f.where == "train" and "expected 47,386" in f.what for f in report.findings)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("test_images.txt", None, "There is no file .*test_images.txt"),
        ("species.txt", "id\tname\n", "species.txt: has no column 'common'"),
        ("images.txt", "path\tspecies_id\nA/1.jpg\t99\n", "A/1.jpg has species 99, which is not listed"),
        ("images.txt", "path\tspecies_id\n", "train split has no images"),
    ],
)
def test_birdsnap_with_a_wrong_file(tmp_path: Path, file: str, text: str | None, message: str) -> None:
    folder = birdsnap(tmp_path)
    (folder / file).unlink()
    if text is not None:
        write(folder / file, text)
    with pytest.raises(DataError, match=message):
        load_dataset("birdsnap", tmp_path)


@pytest.mark.parametrize("lists", ["SUN397", "SUN397/Partitions", "Partitions"])
def test_sun397_has_the_first_partition(tmp_path: Path, lists: str) -> None:
    """torchvision's reader would mix both splits; a scene may have a folder below (outdoor, indoor)."""
    folder = tmp_path / "SUN397"
    scenes = ("/a/abbey", "/a/apse/indoor")
    for scene in scenes:
        for name in ("sun_1", "sun_2", "sun_unlisted"):
            image(folder / scene[1:] / f"{name}.jpg")
    write(tmp_path / lists / "ClassName.txt", "\n".join(scenes) + "\n")
    for name, number in (("Training", 1), ("Testing", 2)):
        write(tmp_path / lists / f"{name}_01.txt", "".join(f"{scene}/sun_{number}.jpg\n" for scene in scenes))
    dataset = load_dataset("sun397", tmp_path)
    assert dataset.classes == ("abbey", "apse/indoor")
    assert [split.labels.tolist() for split in (dataset.train, dataset.test)] == [[0, 1], [0, 1]]
    assert dataset.test.file(1) == folder / "a/apse/indoor/sun_2.jpg"
    assert dataset.train.image(0).size == (6, 5)
    write(tmp_path / lists / "Testing_01.txt", "/z/zoo/sun_2.jpg\n")
    with pytest.raises(DataError, match="/z/zoo/sun_2.jpg is in no class"):
        load_dataset("sun397", tmp_path)


def test_sun397_without_its_lists_says_where_they_are(tmp_path: Path) -> None:
    image(tmp_path / "SUN397/a/abbey/sun_1.jpg")
    with pytest.raises(DataError, match=r"(?s)no file .*ClassName.txt.*Partitions.zip"):
        load_dataset("sun397", tmp_path)


def caltech(root: Path, images: int = 33) -> Path:
    folder = root / "caltech101/101_ObjectCategories"
    for name in ("BACKGROUND_Google", "accordion", "wild_cat"):
        for number in range(images):
            image(folder / name / f"image_{number:04d}.jpg")
    return folder


def test_caltech101_has_30_training_images_a_class_and_no_image_in_both(tmp_path: Path) -> None:
    caltech(tmp_path)
    dataset = load_dataset("caltech101", tmp_path)
    assert dataset.classes == ("BACKGROUND_Google", "accordion", "wild_cat")
    assert np.bincount(dataset.train.labels).tolist() == [30, 30, 30]
    assert np.bincount(dataset.test.labels).tolist() == [3, 3, 3]
    files = {split.file(i) for split in (dataset.train, dataset.test) for i in range(len(split))}
    assert len(files) == 99
    assert dataset.metric == "mean_per_class"
    assert load_dataset("caltech101", tmp_path).fingerprint == dataset.fingerprint


def test_caltech101_with_too_few_images_is_named(tmp_path: Path) -> None:
    caltech(tmp_path, images=20)
    with pytest.raises(DataError, match="30 images a class are wanted, and class 0 has 20"):
        load_dataset("caltech101", tmp_path)


@pytest.mark.parametrize("name", ["birdsnap", "sun397", "caltech101"])
def test_a_missing_data_set_says_where_it_should_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)no data set {name} in .*Expected: .*under the data root"):
        load_dataset(name, tmp_path)
    assert not check_dataset(name, tmp_path).usable


@pytest.mark.parametrize(("classes", "each", "count"), [(100, 500, 5067), (37, 100, 740), (5, 7, 3), (4, 3, 8)])
def test_an_exact_number_is_held_out_in_proportion(classes: int, each: int, count: int) -> None:
    labels = np.arange(classes * each) % classes
    kept, out = held_out_images(labels, count, seed=0)
    assert len(out) == count
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, out])), np.arange(len(labels)))
    counts = np.bincount(labels[out], minlength=classes)
    assert counts.max() - counts.min() <= 1
    assert np.bincount(labels[kept], minlength=classes).min() >= 1
    assert not np.array_equal(out, held_out_images(labels, count, seed=1)[1])


def test_classes_give_in_proportion_to_their_size() -> None:
    """Birdsnap's and Cars' classes differ in size; a class of one image keeps it."""
    labels = np.repeat([0, 1, 2, 3], [100, 50, 10, 1])
    _, out = held_out_images(labels, 32, seed=0)
    assert np.bincount(labels[out], minlength=4).tolist() == [20, 10, 2, 0]
    with pytest.raises(SettingsError, match="158 images cannot be held out of 161 in 4 classes"):
        held_out_images(labels, 158, seed=0)
