from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from data_common import imagenet_tree, random_split, sample_images
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from ssl_bench.data.builders import first_of_each_class, load_dataset
from ssl_bench.data.check import check_dataset, prepare_imagenet
from ssl_bench.data.dataset import Dataset
from ssl_bench.errors import DataError, SettingsError, StoreError, UnknownNameError
from ssl_bench.plugins import dataset as add_dataset


def test_digits_are_scikit_learns_scans() -> None:
    digits = load_dataset("digits")
    scans = load_digits()
    known = {image.astype(np.uint8).tobytes(): label for image, label in zip(scans.images, scans.target, strict=True)}
    for split in digits.splits.values():
        for index in range(len(split)):
            image = np.asarray(split.image(index))
            assert known[np.rint(image[..., 0] / 255 * 16).astype(np.uint8).tobytes()] == split.labels[index]
    assert (len(digits.train), len(digits.test)) == (1300, 497)


def test_placed_digits_are_deterministic_and_as_difficult_as_stated() -> None:
    first, second = load_dataset("placed_digits"), load_dataset("placed_digits")
    assert first.fingerprint == second.fingerprint
    train, test = first.train.array(), first.test.array()
    assert train is not None
    assert test is not None
    assert (train.shape, test.shape, train.dtype) == ((5200, 32, 32, 3), (497, 32, 32, 3), np.uint8)
    x, y = ((a[..., 0].reshape(len(a), -1) / 255 - 0.5) / 0.25 for a in (train, test))
    neighbours = KNeighborsClassifier(20, metric="cosine", weights=lambda d: np.exp((1 - d) / 0.07))
    accuracy = 100 * neighbours.fit(x, first.train.labels).score(y, first.test.labels)
    assert 70 < accuracy < 82


def test_train_and_test_digits_come_from_different_scans() -> None:
    digits = load_dataset("digits")
    identities = [{split.identity(i) for i in range(len(split))} for split in (digits.train, digits.test)]
    assert not identities[0] & identities[1]


def test_limit_takes_the_first_of_each_class() -> None:
    split = random_split(20, classes=3)
    small = first_of_each_class(Dataset("d", split, split), 2)
    assert small.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert small.train.fingerprint == split.subset([0, 1, 2, 3, 4, 5]).fingerprint
    assert len(load_dataset("digits", limit=3).test) == 30
    with pytest.raises(SettingsError, match="--limit 0"):
        load_dataset("digits", limit=0)


def test_imagenet_from_real_files(shared_data: Path, tmp_path: Path) -> None:
    wnids = imagenet_tree(shared_data, tmp_path)
    dataset = load_dataset("imagenet", tmp_path)
    assert dataset.classes == tuple(sorted(wnids))
    assert dataset.train.labels.tolist() == list(range(6))
    for index, path in enumerate(sample_images(shared_data, 6)):
        with Image.open(path) as image:
            np.testing.assert_array_equal(np.asarray(dataset.test.image(index)), np.asarray(image.convert("RGB")))
    assert (
        dataset.train.identity(0)
        == f"train/{wnids[0]}/{wnids[0]}_1.JPEG:{sample_images(shared_data, 1)[0].stat().st_size}"
    )


def devkit(root: Path, order: list[str], truth: list[str]) -> None:
    """The development kit numbers the classes in ``order`` from 1; inner nodes of WordNet have numbers too."""
    folder = root / "imagenet" / "ILSVRC2012_devkit_t12" / "data"
    folder.mkdir(parents=True)
    nodes = [*((number + 1, wnid, 0) for number, wnid in enumerate(order)), (len(order) + 1, "n00000001", 2)]
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")]
    table = np.array([(number, wnid, "words", children) for number, wnid, children in nodes], dtype=kinds)
    scipy.io.savemat(folder / "meta.mat", {"synsets": table.reshape(-1, 1)})
    (folder / "ILSVRC2012_validation_ground_truth.txt").write_text(
        "".join(f"{order.index(wnid) + 1}\n" for wnid in truth)
    )


def flat_imagenet(root: Path) -> list[str]:
    """Three classes whose kit numbers are not in the order of their ids; five validation images. Returns their classes."""
    wnids = ["n01", "n02", "n03"]
    for wnid in wnids:
        (root / "imagenet" / "train" / wnid).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(root / "imagenet" / "train" / wnid / f"{wnid}_1.JPEG")
    truth = ["n03", "n01", "n01", "n02", "n03"]
    (root / "imagenet" / "val").mkdir()
    for number in range(1, 6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(root / "imagenet" / "val" / f"ILSVRC2012_val_{number:08d}.JPEG")
    devkit(root, ["n02", "n03", "n01"], truth)
    return truth


def test_a_flat_val_folder_is_labelled_by_the_kit(tmp_path: Path) -> None:
    truth = flat_imagenet(tmp_path)
    dataset = load_dataset("imagenet", tmp_path)
    assert [dataset.classes[label] for label in dataset.test.labels] == truth
    (tmp_path / "imagenet" / "val" / "ILSVRC2012_val_00000001.JPEG").unlink()
    assert [dataset.classes[i] for i in load_dataset("imagenet", tmp_path).test.labels] == truth[1:]


def test_prepare_sorts_the_flat_folder_and_goes_on_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = flat_imagenet(tmp_path)
    before = load_dataset("imagenet", tmp_path).test
    contents = sorted(path.read_bytes() for path in (tmp_path / "imagenet" / "val").iterdir())
    rename, moved = Path.rename, []

    def stop_after_two(self: Path, target: Path) -> Path:
        if len(moved) == 2:
            raise OSError(5, "Input/output error")
        moved.append(target)
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", stop_after_two)
        with pytest.raises(StoreError, match="cannot be sorted"):
            prepare_imagenet(tmp_path)
    with pytest.raises(DataError, match="the sorting was interrupted"):
        load_dataset("imagenet", tmp_path)
    assert prepare_imagenet(tmp_path) == 3
    assert prepare_imagenet(tmp_path) == 0
    val = tmp_path / "imagenet" / "val"
    assert sorted(path.read_bytes() for path in val.glob("*/*")) == contents
    for number, wnid in enumerate(truth, 1):
        assert (val / wnid / f"ILSVRC2012_val_{number:08d}.JPEG").is_file()
    after = load_dataset("imagenet", tmp_path).test
    assert sorted(after.labels) == sorted(before.labels)


def test_prepare_refuses_when_the_kit_and_the_files_disagree(tmp_path: Path) -> None:
    flat_imagenet(tmp_path)
    (tmp_path / "imagenet" / "val" / "ILSVRC2012_val_00000005.JPEG").unlink()
    with pytest.raises(DataError, match="there are 4 images, and the ground truth has 5 lines"):
        prepare_imagenet(tmp_path)
    assert len(list((tmp_path / "imagenet" / "val").glob("*.JPEG"))) == 4


def test_a_flat_folder_without_the_kit_says_what_to_do(tmp_path: Path) -> None:
    flat_imagenet(tmp_path)
    shutil.rmtree(tmp_path / "imagenet" / "ILSVRC2012_devkit_t12")
    with pytest.raises(DataError, match=r"meta\.mat and ILSVRC2012_validation_ground_truth\.txt"):
        load_dataset("imagenet", tmp_path)


def folder(root: Path, *files: str) -> None:
    for file in files:
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(path)


def test_imagefolder_names_its_splits(tmp_path: Path) -> None:
    folder(tmp_path, "mine/train/cat/1.png", "mine/train/dog/1.PNG", "mine/val/dog/1.png", "mine/val/cat/.hidden.png")
    folder(tmp_path, "mine/val/cat/2.png")
    (tmp_path / "mine/train/cat/notes.txt").write_text("")
    dataset = load_dataset("imagefolder:mine", tmp_path)
    assert dataset.classes == ("cat", "dog")
    assert (len(dataset.train), len(dataset.test)) == (2, 2)
    folder(tmp_path, "mine/test/dog/1.png")
    assert len(load_dataset("imagefolder:mine", tmp_path).test) == 1


def test_what_is_wrong_with_a_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no folder .*mine/train.*Expected: mine/\{train,val\|test\}"):
        load_dataset("imagefolder:mine", tmp_path)
    folder(tmp_path, "mine/train/cat/1.png", "mine/train/dog/1.png")
    with pytest.raises(DataError, match=r"no folder .*mine/test"):
        load_dataset("imagefolder:mine", tmp_path)
    folder(tmp_path, "mine/test/cow/1.png")
    with pytest.raises(DataError, match="not in the training split: cow"):
        load_dataset("imagefolder:mine", tmp_path)
    shutil.rmtree(tmp_path / "mine/test/cow")
    with pytest.raises(DataError, match="no class folders"):
        load_dataset("imagefolder:mine", tmp_path)
    (tmp_path / "mine/test/cat").mkdir()
    with pytest.raises(DataError, match=r"test/cat: the class folder holds no image"):
        load_dataset("imagefolder:mine", tmp_path)


def test_an_unknown_data_set_answers_with_close_names() -> None:
    with pytest.raises(UnknownNameError, match="cifar10"):
        load_dataset("cifar11")


@pytest.mark.usefixtures("fresh_registry")
def test_a_plugins_data_set_is_checked(tmp_path: Path) -> None:
    train, test = random_split(classes=3), random_split(classes=3)

    @add_dataset("mine")
    def mine(root: Path) -> Dataset:
        return Dataset("mine", train, test)

    assert load_dataset("mine", tmp_path).train.name == "mine/train"
    test.labels = np.full(20, 7)
    with pytest.raises(DataError, match="has label 7, and there are 3 classes"):
        load_dataset("mine", tmp_path)
    test.labels = np.full(20, 2)
    train.labels = np.zeros(20, dtype=np.int64)
    with pytest.raises(DataError, match=r"have no training image \(class 2\)"):
        load_dataset("mine", tmp_path)


def test_check_counts_and_finds(tmp_path: Path) -> None:
    assert check_dataset("placed_digits", tmp_path).ok
    missing = check_dataset("imagenet", tmp_path)
    assert not missing.usable
    assert missing.findings[0].kind == "missing"
    flat_imagenet(tmp_path)
    prepare_imagenet(tmp_path)
    val = tmp_path / "imagenet" / "val"
    (val / "n01" / "notes.txt").write_text("")
    (val / "n02" / "ILSVRC2012_val_00000004.JPEG").write_bytes(b"")
    (tmp_path / "imagenet" / "train" / "list.txt").write_text("")
    (tmp_path / "imagenet" / "train" / "n03" / "n03_1.JPEG").write_bytes(b"no image")
    report = check_dataset("imagenet", tmp_path, decode=True)
    assert report.usable
    assert not report.ok
    assert report.found == {"classes": 3, "train": 3, "test": 5}
    found = {(finding.kind, Path(finding.where).name) for finding in report.findings}
    assert found == {
        ("missing", "classes"),
        ("missing", "train"),
        ("missing", "test"),
        ("extra", "notes.txt"),
        ("extra", "list.txt"),
        ("wrong", "ILSVRC2012_val_00000004.JPEG"),
        ("wrong", "n03_1.JPEG"),
    }
    assert any("test: 5 of 50,000" in line for line in report.lines())
    assert report.as_dict()["found"]["test"] == 5
