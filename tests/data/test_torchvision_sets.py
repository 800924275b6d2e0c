"""Each layout in miniature, as torchvision expects it; CIFAR-10 from its exact pixels."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets as tv

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.check import check_dataset
from ssl_bench.errors import DataError


def image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 5)).save(path)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def cifar_batches(root: Path, shared_data: Path) -> tuple[np.ndarray, np.ndarray]:
    """The exact subset in the layout of the official batches."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        with np.load(shared_data / "cifar10" / f"{split}_exact_subset.npz") as part:
            images, labels, index = part["images"], part["labels"], part["index"]
        for name, _ in tv.CIFAR10.train_list if split == "train" else tv.CIFAR10.test_list:
            inside = index // 10_000 == int(name[-1]) - 1 if split == "train" else np.ones(len(index), dtype=bool)
            rows = images[inside].transpose(0, 3, 1, 2).reshape(-1, 3072)
            (folder / name).write_bytes(pickle.dumps({"data": rows, "labels": labels[inside].tolist()}))
    names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}))
    return images, labels


def test_cifar10_from_its_exact_pixels(shared_data: Path, tmp_path: Path) -> None:
    images, labels = cifar_batches(tmp_path, shared_data)
    dataset = load_dataset("cifar10", tmp_path)
    assert (len(dataset.train), len(dataset.test)) == (5170, 1017)
    np.testing.assert_array_equal(dataset.test.array(), images)
    assert dataset.test.labels.tolist() == labels.tolist()
    assert np.bincount(dataset.train.labels).tolist() == [521, 534, 497, 505, 540, 484, 515, 524, 537, 513]
    assert dataset.classes[3] == "cat"
    report = check_dataset("cifar10", tmp_path)
    assert report.usable
    assert sum(finding.kind == "wrong" for finding in report.findings) == 7  # none has the published md5


def test_a_batch_that_would_run_code_is_refused(shared_data: Path, tmp_path: Path) -> None:
    cifar_batches(tmp_path, shared_data)

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(tmp_path / "harm"),)  # type: ignore[return-value]

    (tmp_path / "cifar-10-batches-py" / "test_batch").write_bytes(pickle.dumps({"data": Harm()}))
    with pytest.raises(DataError, match=r"test_batch: is not an intact batch file: it wants to run"):
        load_dataset("cifar10", tmp_path)
    assert not (tmp_path / "harm").exists()
    (tmp_path / "cifar-10-batches-py" / "test_batch").unlink()
    with pytest.raises(DataError, match="no file .*test_batch"):
        load_dataset("cifar10", tmp_path)


def test_cifar100_has_fine_labels(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-100-python"
    folder.mkdir()
    for name in ("train", "test"):
        batch = {"data": np.zeros((4, 3072), np.uint8), "fine_labels": [0, 1, 2, 1], "coarse_labels": [0, 0, 0, 0]}
        (folder / name).write_bytes(pickle.dumps(batch))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": ["a", "b", "c"]}))
    assert load_dataset("cifar100", tmp_path).train.labels.tolist() == [0, 1, 2, 1]


def idx(path: Path, array: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sizes = b"".join(side.to_bytes(4, "big") for side in array.shape)
    path.write_bytes(bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes())


def test_fashion_mnist(tmp_path: Path) -> None:
    pixels = np.random.RandomState(0).randint(0, 256, (5, 28, 28))
    for name in ("train", "t10k"):
        idx(tmp_path / "FashionMNIST/raw" / f"{name}-images-idx3-ubyte", pixels)
        idx(tmp_path / "FashionMNIST/raw" / f"{name}-labels-idx1-ubyte", np.array([3, 1, 4, 1, 5]))
    dataset = load_dataset("fashion_mnist", tmp_path)
    assert dataset.test.labels.tolist() == [3, 1, 4, 1, 5]
    np.testing.assert_array_equal(np.asarray(dataset.train.image(2))[..., 1], pixels[2])


def test_stl10_needs_only_the_labelled_files(tmp_path: Path) -> None:
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    stored = np.random.RandomState(0).randint(0, 256, (2, 3, 96, 96)).astype(np.uint8)  # column by column
    for split in ("train", "test"):
        stored.tofile(folder / f"{split}_X.bin")
        np.array([1, 10], np.uint8).tofile(folder / f"{split}_y.bin")
    write(folder / "class_names.txt", "\n".join(f"class {i}" for i in range(10)))
    (folder / "fold_indices.txt").write_text("")
    dataset = load_dataset("stl10", tmp_path)
    assert dataset.train.labels.tolist() == [0, 9]
    np.testing.assert_array_equal(np.asarray(dataset.test.image(1)), stored[1].transpose(2, 1, 0))


def test_flowers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "flowers-102"
    for number in range(1, 7):
        image(folder / "jpg" / f"image_{number:05d}.jpg")
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": [[1, 2, 1, 2, 2, 1]]})
    scipy.io.savemat(folder / "setid.mat", {"trnid": [[1, 2]], "valid": [[3, 4]], "tstid": [[5, 6]]})
    with pytest.raises(DataError, match="Data set flowers is not in"):  # the published label files have a known md5
        load_dataset("flowers", tmp_path)
    monkeypatch.setattr(tv.Flowers102, "_check_integrity", lambda self: True)
    dataset = load_dataset("flowers", tmp_path)
    assert dataset.val is not None
    assert [split.labels.tolist() for split in dataset.splits.values()] == [[0, 1], [0, 1], [1, 0]]
    assert dataset.test.identity(0).startswith("flowers-102/jpg/image_00005.jpg:")
    assert dataset.metric == "mean_per_class"


def test_pets(tmp_path: Path) -> None:
    folder = tmp_path / "oxford-iiit-pet"
    for name in ("Abyssinian_1", "beagle_1", "beagle_2"):
        image(folder / "images" / f"{name}.jpg")
    write(folder / "annotations/trainval.txt", "Abyssinian_1 1 1 1\nbeagle_1 2 2 1\n")
    write(folder / "annotations/test.txt", "Abyssinian_1 1 1 1\nbeagle_2 2 2 1\n")
    dataset = load_dataset("pets", tmp_path)
    assert dataset.classes == ("Abyssinian", "Beagle")
    assert dataset.test.file(1) == folder / "images/beagle_2.jpg"
    assert dataset.metric == "mean_per_class"


def test_food101(tmp_path: Path) -> None:
    folder = tmp_path / "food-101"
    for split in ("train", "test"):
        for name in ("pie", "ice_cream"):
            image(folder / "images" / name / f"{split}.jpg")
        write(folder / "meta" / f"{split}.json", json.dumps({n: [f"{n}/{split}"] for n in ("pie", "ice_cream")}))
    dataset = load_dataset("food101", tmp_path)
    assert dataset.classes == ("ice_cream", "pie")
    assert dataset.train.labels.tolist() == [1, 0]


def test_dtd(tmp_path: Path) -> None:
    folder = tmp_path / "dtd/dtd"
    for split in ("train", "val", "test"):
        for name in ("banded", "dotted"):
            image(folder / "images" / name / f"{name}_{split}.jpg")
        write(folder / "labels" / f"{split}1.txt", f"banded/banded_{split}.jpg\ndotted/dotted_{split}.jpg\n")
    dataset = load_dataset("dtd", tmp_path)
    assert dataset.val is not None
    assert dataset.val.file(1) == folder / "images/dotted/dotted_val.jpg"


def test_aircraft(tmp_path: Path) -> None:
    folder = tmp_path / "fgvc-aircraft-2013b/data"
    write(folder / "variants.txt", "707-320\nA340 500\n")
    for split in ("train", "val", "test"):
        image(folder / "images" / f"{split}1.jpg")
        image(folder / "images" / f"{split}2.jpg")
        write(folder / f"images_variant_{split}.txt", f"{split}1 A340 500\n{split}2 707-320\n")
    dataset = load_dataset("aircraft", tmp_path)
    assert dataset.classes == ("707-320", "A340 500")
    assert dataset.test.labels.tolist() == [1, 0]


def test_cars(tmp_path: Path) -> None:
    folder = tmp_path / "stanford_cars"
    kinds = [("fname", "O"), ("class", "O")]
    for split, place in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        for number in (1, 2):
            image(folder / f"cars_{split}" / f"{number}.jpg")
        table = np.array([("1.jpg", 2), ("2.jpg", 1)], dtype=kinds)
        (folder / "devkit").mkdir(exist_ok=True)
        scipy.io.savemat(folder / place, {"annotations": table})
    scipy.io.savemat(folder / "devkit/cars_meta.mat", {"class_names": np.array(["Audi", "BMW"], dtype=object)})
    dataset = load_dataset("cars", tmp_path)
    assert dataset.classes == ("Audi", "BMW")
    assert dataset.train.labels.tolist() == [1, 0]


@pytest.mark.parametrize("name", ["fashion_mnist", "stl10", "flowers", "pets", "food101", "dtd", "aircraft", "cars"])
def test_a_missing_data_set_says_where_it_should_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=rf"(?s)Data set {name} is not in .*Expected: .*under the data root"):
        load_dataset(name, tmp_path)
    assert not check_dataset(name, tmp_path).usable


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_a_missing_cifar_says_where_it_should_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"(?s)no folder .*cifar-.*Expected"):
        load_dataset(name, tmp_path)
