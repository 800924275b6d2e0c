"""The shipped prompts: as many templates and classes as the papers have, under the names that the data sets give."""

from pathlib import Path

import open_clip
import pytest
import timm

from ssl_bench.data import shapes, voc
from ssl_bench.errors import CardError, DataError
from ssl_bench.protocols.zero_shot.prompts import FOLDER, find_prompts, plain, sentences, shipped

COUNTS = {
    "imagenet": (1000, 80),
    "food101": (101, 1),
    "cifar10": (10, 18),
    "cifar100": (100, 18),
    "birdsnap": (500, 1),
    "sun397": (397, 2),
    "cars": (196, 8),
    "aircraft": (100, 2),
    "voc07": (20, 1),
    "dtd": (47, 8),
    "pets": (37, 1),
    "caltech101": (102, 34),
    "flowers": (102, 1),
    "mnist": (10, 1),
    "fer2013": (7, 6),
    "stl10": (10, 2),
    "eurosat": (10, 3),
    "resisc45": (45, 18),
    "gtsrb": (43, 3),
    "kitti_distance": (4, 1),
    "country211": (211, 5),
    "pcam": (2, 1),
    "ucf101_frames": (101, 48),
    "kinetics700_frames": (700, 28),
    "clevr_counts": (8, 1),
    "hateful_memes": (2, 1),
    "rendered_sst2": (2, 1),
    "cub200": (200, 1),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts_of_the_paper(name):
    prompts = find_prompts(name)
    assert (len(prompts.names()), len(prompts.templates)) == COUNTS[name]
    assert len(set(prompts.templates)) == len(prompts.templates)


def test_every_file_is_counted_and_names_its_source_and_licence():
    files = {path.stem for path in FOLDER.glob("*.yaml")}
    assert files - set(COUNTS) == {"shapes"}
    for name in COUNTS:
        assert find_prompts(name).licence == "MIT"
        assert "Licence: MIT, Copyright (c)" in (FOLDER / f"{name}.yaml").read_text().splitlines()[0]
    assert "Copyright (c) 2021 OpenAI" in (FOLDER / "LICENSE").read_text()
    assert {"digits", "placed_digits"} <= set(shipped())


def test_imagenet_agrees_with_open_clip():
    """Names in the order of the sorted WordNet ids, 80 templates, and the seven."""
    prompts = find_prompts("imagenet")
    wnids = (Path(timm.__file__).parent / "data" / "_info" / "imagenet_synsets.txt").read_text().split()
    assert [plain(key) for key in prompts.classes] == wnids == sorted(wnids)
    assert [name for names in prompts.names().values() for name in names] == list(open_clip.IMAGENET_CLASSNAMES)
    lists = (open_clip.OPENAI_IMAGENET_TEMPLATES, open_clip.SIMPLE_IMAGENET_TEMPLATES)
    theirs = [[template("X") for template in some] for some in lists]
    assert [t.replace("{}", "X") for t in prompts.templates] == theirs[0]
    assert [t.replace("{}", "X") for t in prompts.subsets["seven"]] == theirs[1]
    assert set(prompts.subsets["seven"]) < set(prompts.templates)


@pytest.mark.parametrize(("name", "classes"), [("voc07", voc.CLASSES), ("shapes", shapes.CLASSES)])
def test_the_data_sets_order_counts(name, classes):
    """VOC's published list has the dining table after the sofa; the data set has its classes in alphabetical order."""
    prompts = find_prompts(name)
    found = sentences(classes, name, prompts, ["{}"])
    assert [plain(one) for (one,) in found] == [plain(one) for one in classes]
    if name == "voc07":
        assert list(prompts.classes) != list(classes)


def test_some_names_of_each_kind():
    """Folders, torchvision's names and file names that differ from the published ones."""
    for dataset, key, name in (
        ("eurosat", "AnnualCrop", "annual crop land"),
        ("caltech101", "BACKGROUND_Google", "background"),
        ("country211", "NO", "Norway"),
        ("flowers", "ball moss", "air plant"),
        ("gtsrb", "00014", "stop"),
        ("food101", "apple_pie", "apple pie"),
        ("sun397", "car_interior/backseat", "car interior backseat"),
        ("birdsnap", "Allen's Hummingbird", "Allens Hummingbird"),
        ("clevr_counts", "10", "10"),
        ("pets", "American Bulldog", "american bulldog"),
        ("imagenet", "n01440764", "tench"),
    ):
        assert sentences([key], dataset, find_prompts(dataset), ["{}"]) == [[name]]


def test_several_names_a_class_are_all_filled_in():
    found = sentences(["happy"], "fer2013", find_prompts("fer2013"), ["they look {}.", "{}"])
    assert sorted(found[0]) == ["happy", "smiling", "they look happy.", "they look smiling."]


def test_a_data_set_without_prompts_has_its_own_names():
    assert sentences(["blue_jay", "a/b"], "mine", find_prompts("mine"), ["{}!"]) == [["blue jay!"], ["a b!"]]


def test_a_class_that_the_prompts_lack_is_named():
    with pytest.raises(DataError, match=r"no class zeppelin \(1 of 2 are missing\)"):
        sentences(["cat", "zeppelin"], "cifar10", find_prompts("cifar10"), ["{}"])


def test_prompts_of_your_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text('source: me\nlicence: mine\ntemplates: ["my {}"]\nclasses: {cat: [kitten, tomcat]}\n')
    prompts = find_prompts("cifar10", str(path))
    assert sentences(["cat"], "cifar10", prompts, prompts.templates) == [["my kitten", "my tomcat"]]
    path.write_text('source: me\nlicence: mine\ntemplates: ["my cat"]\nclasses: [cat]\n')
    with pytest.raises(CardError, match="where the class name goes"):
        find_prompts("cifar10", str(path))
