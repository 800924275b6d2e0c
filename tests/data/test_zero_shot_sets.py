"""The data sets of the zero-shot suite: official splits, labels, the names that the prompts know, and what is wrong with a copy."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from data.test_torchvision_sets import idx, image, write

from ssl_bench.cards import DatasetCard
from ssl_bench.data.builders import builder_of, load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.errors import DataError, ImageError
from ssl_bench.protocols.zero_shot.prompts import find_prompts, sentences
from ssl_bench.registry import registry


def small(name: str, root: Path, **options: object) -> Dataset:
    """Built from the shipped card with other ``options`` (fewer images to draw)."""
    card = registry().dataset(name)
    assert isinstance(card, DatasetCard)
    card = card.model_copy(update={"options": {**card.options, **options}})
    return builder_of(card)(root, card)


def names(dataset: Dataset) -> list[str]:
    """What the sentences of each class say, in the data set's order."""
    return [" / ".join(found) for found in sentences(dataset.classes, dataset.name, find_prompts(dataset.name), ["{}"])]


def test_mnist(tmp_path: Path) -> None:
    for part in ("train", "t10k"):
        idx(tmp_path / "MNIST/raw" / f"{part}-images-idx3-ubyte", np.zeros((3, 28, 28)))
        idx(tmp_path / "MNIST/raw" / f"{part}-labels-idx1-ubyte", np.array([7, 0, 9]))
    dataset = small("mnist", tmp_path)
    assert dataset.test.labels.tolist() == [7, 0, 9]
    assert names(dataset) == list("0123456789")


def test_gtsrb(tmp_path: Path) -> None:
    folder = tmp_path / "gtsrb"
    for number in range(43):
        image(folder / f"GTSRB/Training/{number:05d}/00000_00000.ppm")
    image(folder / "GTSRB/Final_Test/Images/00000.ppm")
    write(folder / "GT-final_test.csv", "Filename;Width;ClassId\n00000.ppm;8;14\n")
    dataset = load_dataset("gtsrb", tmp_path)
    assert dataset.train.labels.tolist() == list(range(43))
    assert names(dataset)[int(dataset.test.labels[0])] == "stop"
    assert dataset.test.image(0).size == dataset.train.image(0).size


def test_official_folders_in_the_order_of_country_codes(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        for code in ("NO", "AD", "ZW"):
            image(tmp_path / "country211" / part / code / "1.jpg")
    dataset = load_dataset("country211", tmp_path)
    assert names(dataset) == ["Andorra", "Norway", "Zimbabwe"]
    assert dataset.val is not None
    with pytest.raises(DataError, match="rendered-sst2/"):
        load_dataset("rendered_sst2", tmp_path)


def test_drawn_folders(tmp_path: Path) -> None:
    for name in ("SeaLake", "AnnualCrop"):
        for number in range(6):
            image(tmp_path / "eurosat/2750" / name / f"{name}_{number}.jpg")
    dataset = small("eurosat", tmp_path, train=3, test=2)
    assert names(dataset) == ["annual crop land", "lake or sea"]
    assert [np.bincount(part.labels).tolist() for part in (dataset.train, dataset.test)] == [[3, 3], [2, 2]]
    paths = [{part.identity(i) for i in range(len(part))} for part in (dataset.train, dataset.test)]
    assert not paths[0] & paths[1]
    again = small("eurosat", tmp_path, train=3, test=2)
    assert again.fingerprint == dataset.fingerprint != small("eurosat", tmp_path, train=3, test=2, seed=1).fingerprint
    with pytest.raises(DataError, match="7 images a class are wanted, and class 0 has 6"):
        small("eurosat", tmp_path, train=5, test=2)


def test_cub200(tmp_path: Path) -> None:
    folder = tmp_path / "CUB_200_2011"
    write(folder / "classes.txt", "1 001.Black_footed_Albatross\n2 022.Chuck_will_Widow\n")
    write(
        folder / "images.txt",
        "1 001.Black_footed_Albatross/a.jpg\n2 022.Chuck_will_Widow/b.jpg\n3 022.Chuck_will_Widow/c.jpg\n",
    )
    write(folder / "image_class_labels.txt", "1 1\n2 2\n3 2\n")
    write(folder / "train_test_split.txt", "1 1\n2 1\n3 0\n")
    image(folder / "images/022.Chuck_will_Widow/c.jpg")
    dataset = small("cub200", tmp_path)
    assert dataset.train.labels.tolist() == [0, 1]
    assert names(dataset) == ["Black footed Albatross", "Chuck will Widow"]
    dataset.test.image(0)
    write(folder / "image_class_labels.txt", "1 1\n2 2\n3 7\n")
    with pytest.raises(DataError, match="do not name the same images and classes"):
        small("cub200", tmp_path)


def faces(path: Path, rows: list[tuple[int, str, int]], header: str = "emotion, Usage, pixels") -> None:
    lines = [f"{label},{usage},{' '.join([str(grey)] * 48 * 48)}" for label, usage, grey in rows]
    write(path, "\n".join([header, *lines]) + "\n")


def test_fer2013(tmp_path: Path) -> None:
    path = tmp_path / "fer2013/icml_face_data.csv"
    faces(path, [(3, "Training", 9), (0, "PublicTest", 1), (6, "PrivateTest", 200)])
    dataset = small("fer2013", tmp_path)
    assert [part.labels.tolist() for part in (dataset.train, dataset.test)] == [[3], [0, 6]]
    assert names(dataset)[3] == "happy / smiling"
    assert np.asarray(dataset.test.image(1)).tolist() == np.full((48, 48, 3), 200).tolist()
    faces(path, [(3, "Training", 9), (7, "PublicTest", 1)])
    with pytest.raises(DataError, match=r"icml_face_data.csv:3: is no row"):
        small("fer2013", tmp_path)
    faces(path, [(3, "Training", 9)])
    with pytest.raises(DataError, match="has no test rows"):
        small("fer2013", tmp_path)


def test_clevr_counts_in_the_order_of_numbers(tmp_path: Path) -> None:
    folder = tmp_path / "clevr/CLEVR_v1.0"
    for part, counts in (("train", (10, 3)), ("val", (4,))):
        scenes = [{"image_filename": f"{i}.png", "objects": [{}] * count} for i, count in enumerate(counts)]
        write(folder / f"scenes/CLEVR_{part}_scenes.json", json.dumps({"scenes": scenes}))
        image(folder / f"images/{part}/0.png")
    dataset = small("clevr_counts", tmp_path)
    assert [names(dataset)[label] for label in dataset.train.labels] == ["10", "3"]
    assert names(dataset) == [str(count) for count in range(3, 11)]
    write(folder / "scenes/CLEVR_val_scenes.json", '{"scenes": [{"image_filename": "0.png", "objects": [{}]}]}')
    with pytest.raises(DataError, match="fewer than 3"):
        small("clevr_counts", tmp_path)
    write(folder / "scenes/CLEVR_val_scenes.json", "[")
    with pytest.raises(DataError, match="is not JSON"):
        small("clevr_counts", tmp_path)


def test_hateful_memes(tmp_path: Path) -> None:
    folder = tmp_path / "hateful_memes"
    write(
        folder / "train.jsonl", '{"id": 1, "img": "img/1.png", "label": 1}\n{"id": 2, "img": "img/2.png", "label": 0}\n'
    )
    write(folder / "dev_seen.jsonl", '{"id": 3, "img": "img/3.png", "label": 1}\n')
    image(folder / "img/3.png")
    dataset = small("hateful_memes", tmp_path)
    assert dataset.train.labels.tolist() == [1, 0]
    assert names(dataset) == ["meme", "hatespeech meme"]
    assert dataset.test.identity(0).startswith("img/3.png:")
    write(folder / "dev.jsonl", '{"id": 3, "img": "img/3.png"}\n')
    with pytest.raises(DataError, match=r"dev.jsonl:1: is no row with an image and a label"):
        small("hateful_memes", tmp_path)


def kitti_line(kind: str, z: float) -> str:
    return f"{kind} 0.00 0 -0.20 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 {z} 0.01"


def test_kitti_distance(tmp_path: Path) -> None:
    """The nearest vehicle counts, not the nearest object; 8 and 20 metres belong to the nearer class."""
    folder = tmp_path / "Kitti/raw/training"
    objects = [
        [("Pedestrian", 3), ("Car", 8.0), ("Van", 30)],
        [("Truck", 8.41), ("Cyclist", 2)],
        [("Car", 20.5), ("DontCare", -1000)],
        [("Pedestrian", 4)],
        [],
    ]
    for number, some in enumerate(objects):
        write(folder / f"label_2/{number:06d}.txt", "\n".join(kitti_line(kind, z) for kind, z in some))
        image(folder / f"image_2/{number:06d}.png")
    dataset = small("kitti_distance", tmp_path, test=2)
    found = {
        part.identity(i).split(":")[0]: int(part.labels[i])
        for part in (dataset.train, dataset.test)
        for i in range(len(part))
    }
    assert [found[f"image_2/{number:06d}.png"] for number in range(5)] == [0, 1, 2, 3, 3]
    assert len(dataset.test) == 2
    assert "car in the distance" in names(dataset)[2]
    write(folder / "label_2/000000.txt", "Car 0.0\n")
    with pytest.raises(DataError, match="000000.txt: is no list of KITTI's objects"):
        small("kitti_distance", tmp_path, test=2)


def test_ucf101_and_its_middle_frames(tmp_path: Path, shared_data: Path) -> None:
    pytest.importorskip("av")
    film = tmp_path / "UCF-101/HandstandPushups/v_HandStandPushups_g01_c01.avi"
    film.parent.mkdir(parents=True)
    film.symlink_to(shared_data / "video_clips" / "nasa_13013.mp4")
    lists = tmp_path / "ucfTrainTestlist"
    write(lists / "classInd.txt", "1 ApplyEyeMakeup\n2 HandstandPushups\n")
    write(lists / "trainlist01.txt", "ApplyEyeMakeup/v_a.avi 1\nHandstandPushups/v_b.avi 2\n")
    write(lists / "testlist01.txt", f"HandstandPushups/{film.name}\n")
    dataset = small("ucf101_frames", tmp_path)
    assert dataset.test.labels.tolist() == [1]
    assert names(dataset) == ["Apply Eye Makeup", "Hand Stand Pushups"]
    middle = dataset.test.clip(0, [dataset.test.length(0).frames // 2])[0]  # type: ignore[attr-defined]
    assert np.array_equal(np.asarray(dataset.test.image(0)), middle)
    write(lists / "testlist01.txt", "Flying/v_c.avi\n")
    with pytest.raises(DataError, match="is in no class"):
        small("ucf101_frames", tmp_path)


def test_pcam(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    pixels = np.random.RandomState(0).randint(0, 256, (3, 96, 96, 3)).astype(np.uint8)
    folder = tmp_path / "pcam"
    folder.mkdir()
    for part in ("train", "valid", "test"):
        for kind, array in (("x", pixels), ("y", np.array([0, 1, 1]).reshape(3, 1, 1, 1))):
            with h5py.File(folder / f"camelyonpatch_level_2_split_{part}_{kind}.h5", "w") as file:
                file[kind] = array
    dataset = small("pcam", tmp_path)
    assert dataset.test.labels.tolist() == [0, 1, 1]
    assert np.array_equal(np.asarray(dataset.test.image(2)), pixels[2])
    assert names(dataset) == ["lymph node", "lymph node containing metastatic tumor tissue"]
    (folder / "camelyonpatch_level_2_split_test_x.h5").write_bytes(b"damaged")
    with pytest.raises(ImageError, match="image 2: cannot be read"):
        dataset.test.image(2)
    with pytest.raises(DataError, match="test files cannot be read"):
        small("pcam", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "mnist",
        "gtsrb",
        "country211",
        "eurosat",
        "resisc45",
        "cub200",
        "fer2013",
        "clevr_counts",
        "hateful_memes",
        "kitti_distance",
        "ucf101_frames",
        "pcam",
        "rendered_sst2",
        "kinetics700_frames",
    ],
)
def test_a_missing_data_set_says_where_it_should_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=str(tmp_path)) as caught:
        load_dataset(name, tmp_path)
    assert "Expected" in str(caught.value)
