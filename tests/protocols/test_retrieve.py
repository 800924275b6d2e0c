"""Retrieval: the trapezoid rule against its golden value and a restatement, the levels of revisited sets, real files."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from trained_backbone import trained_backbone

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import DatasetCard, PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.revisited import DatabaseSplit, QuerySplit, revisited
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, ImageError
from ssl_bench.protocols.metrics.retrieval import precision_at, ranks_of, trapezoid_ap
from ssl_bench.protocols.training_free.retrieve import Retrieve, RetrieveSettings, sum_over_scales
from ssl_bench.protocols.training_free.views import Thumbnail

CARD = DatasetCard(name="oxford", builder="revisited", title="", options={"folder": "roxford5k"})


class Colour(Backbone):
    """The mean colour."""

    def __init__(self) -> None:
        super().__init__()
        self.name, self.embed_dim = "colour", 3
        self.preprocess = Preprocess(PreprocessCard(resize=None, crop=None, mean=(0, 0, 0), std=(1, 1, 1)))
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.sizes.append(tuple(images.shape))
        return images.mean((2, 3))


def test_golden_value() -> None:
    labels = np.array([1, 0, 1, 1, 0, 0, 1, 0, 0, 0], dtype=bool)
    ranks = ranks_of(np.arange(10), labels)
    assert ranks.tolist() == [0, 2, 3, 6]
    assert trapezoid_ap(ranks, 4) == pytest.approx(0.706845, abs=5e-7)


def in_plain_loops(
    order: list[int], positive: set[int], junk: set[int], ks: tuple[int, ...]
) -> tuple[float, list[float]]:
    ap, seen, hits, places = 0.0, 0, 0, []
    for item in order:
        if item in junk:
            continue
        if item in positive:
            before = 1.0 if seen == 0 else hits / seen
            hits += 1
            ap += (before + hits / (seen + 1)) / 2 / len(positive)
            places.append(seen + 1)
        seen += 1
    return ap, [sum(p <= min(max(places), k) for p in places) / min(max(places), k) for k in ks]


@settings(deadline=None, max_examples=80)
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_ap_and_precision_are_those_of_plain_loops(seed: int, n: int) -> None:
    random = np.random.RandomState(seed)
    order, kind = random.permutation(n), random.randint(0, 3, n)
    kind[random.randint(n)] = 1
    positive, junk = kind == 1, kind == 2
    ap, precisions = in_plain_loops(
        order.tolist(), set(np.flatnonzero(positive)), set(np.flatnonzero(junk)), (1, 5, 10)
    )
    ranks = ranks_of(order, positive, junk)
    assert trapezoid_ap(ranks, int(positive.sum())) == pytest.approx(ap)
    assert [precision_at(ranks, k) for k in (1, 5, 10)] == pytest.approx(precisions)


def test_nothing_to_find_is_not_zero() -> None:
    assert np.isnan(trapezoid_ap(np.array([], int), 0))
    assert np.isnan(precision_at(np.array([], int), 5))
    assert trapezoid_ap(np.array([], int), 3) == 0


# The database's angle to the query (pure red) grows with the position: it is found in the order 0, 1, 2, ...
LISTS = {"easy": [0, 3], "hard": [4], "junk": [1]}


def write_set(root: Path, gnd: list[dict[str, Any]] | None = None, end: str = "pkl", protocol: int = 2) -> Path:
    folder = root / "roxford5k"
    (folder / "jpg").mkdir(parents=True)
    for i in range(6):
        Image.new("RGB", (20 + 4 * i, 30), (200, 30 * i, 0)).save(folder / "jpg" / f"db_{i}.jpg", quality=100)
    Image.new("RGB", (300, 150), (200, 0, 0)).save(folder / "jpg" / "query_0.jpg", quality=100)
    gnd = gnd or [{**{key: np.array(value) for key, value in LISTS.items()}, "bbx": [0.0, 0.0, 9.5, 9.5]}]
    whole: dict[str, Any] = {"gnd": gnd, "imlist": [f"db_{i}" for i in range(6)], "qimlist": ["query_0"]}
    if end == "json":
        whole["gnd"] = [LISTS]
        (folder / "gnd_roxford5k.json").write_text(json.dumps(whole))
    else:
        (folder / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(whole, protocol=protocol))
    return folder


@pytest.mark.parametrize(("end", "protocol"), [("pkl", 2), ("pkl", 4), ("json", 0)])
def test_revisited_levels_and_junk(tmp_path: Path, end: str, protocol: int) -> None:
    write_set(tmp_path, end=end, protocol=protocol)
    data = revisited(tmp_path, CARD)
    found = Retrieve().evaluate(Colour(), data, RetrieveSettings(side=64), Compute(cache=tmp_path / "cache"))
    order = list(range(6))
    for level, positive, junk in (
        ("easy", {0, 3}, {1, 4}),
        ("medium", {0, 3, 4}, {1}),
        ("hard", {4}, {1, 0, 3}),
    ):
        ap, precisions = in_plain_loops(order, positive, junk, (1, 5, 10))
        assert found.metrics[f"map_{level}"] == pytest.approx(100 * ap)
        assert [found.metrics[f"mp{k}_{level}"] for k in (1, 5, 10)] == pytest.approx([100 * p for p in precisions])
    assert found.primary == "map_medium"
    assert found.interval is None  # one query


def test_images_keep_their_shape_and_are_never_enlarged(tmp_path: Path) -> None:
    write_set(tmp_path)
    model, data = Colour(), revisited(tmp_path, CARD)
    compute = Compute(cache=tmp_path / "cache")
    Retrieve().evaluate(model, data, RetrieveSettings(side=64), compute)
    assert model.sizes == [*[(1, 3, 30, 20 + 4 * i) for i in range(6)], (1, 3, 32, 64)]
    Retrieve().evaluate(model, data, RetrieveSettings(side=64), compute)
    assert len(model.sizes) == 7  # kept on the disk
    Retrieve().evaluate(model, data, RetrieveSettings(side=64, scales=(1, 0.5)), compute)
    assert model.sizes[7:9] == [(1, 3, 30, 20), (1, 3, 15, 10)]
    image = Image.effect_noise((301, 150), 80).convert("RGB")
    expected = image.copy()
    expected.thumbnail((64, 64), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(Thumbnail(model, 64).pixels(image).permute(1, 2, 0).numpy(), np.asarray(expected))
    assert image.size == (301, 150)


def test_scales_are_summed_as_the_official_script_averages_them() -> None:
    model, images = trained_backbone("vit"), torch.rand(1, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    total = None
    with torch.inference_mode():
        for s in (1, 2**-0.5, 0.5):
            resized = torch.nn.functional.interpolate(images, scale_factor=s, mode="bilinear", align_corners=False)
            total = model(images if s == 1 else resized) + (0 if total is None else total)
        official = total / 3 / (total / 3).norm()
        ours = sum_over_scales(model, images, (1, 2**-0.5, 0.5))
    torch.testing.assert_close(ours / ours.norm(), official)


def test_a_limited_database_keeps_the_ground_truth(tmp_path: Path) -> None:
    write_set(tmp_path)
    data = revisited(tmp_path, CARD)
    part = data.train.subset([5, 4, 0])
    assert isinstance(part, DatabaseSplit)
    assert part.places.tolist() == [5, 4, 0]
    assert isinstance(data.test.subset([0]), QuerySplit)
    small = type(data)("oxford", part, data.test.subset([0]))
    found = Retrieve().evaluate(Colour(), small, RetrieveSettings(side=64), Compute(cache=tmp_path / "cache"))
    assert found.metrics["map_easy"] == 100
    assert found.metrics["map_medium"] == 100
    gone = type(data)("oxford", data.train.subset([1, 5]), data.test)
    with pytest.raises(DataError, match="No query of oxford has an image to find"):
        Retrieve().evaluate(Colour(), gone, RetrieveSettings(side=64), Compute(cache=tmp_path / "cache"))


def test_ground_truth_enters_the_fingerprint(tmp_path: Path) -> None:
    write_set(tmp_path / "a")
    other = {key: np.array(value) for key, value in {**LISTS, "hard": [5]}.items()}
    write_set(tmp_path / "b", [other])
    a, b = (revisited(tmp_path / name, CARD) for name in "ab")
    assert a.train.fingerprint == b.train.fingerprint
    assert a.test.fingerprint != b.test.fingerprint


class Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return (open, ("ran", "w"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (pickle.dumps({"gnd": Runs()}), "asks to run"),
        (b"\x80\x04]", "is not read"),
        (pickle.dumps([1, 2]), "not a ground truth"),
        (pickle.dumps({"imlist": [], "qimlist": ["a"], "gnd": []}), "1 queries and ground truth for 0"),
        (
            pickle.dumps({"imlist": ["a"], "qimlist": ["q"], "gnd": [{"easy": [7], "hard": [], "junk": []}]}),
            "names image 7",
        ),
        (pickle.dumps({"imlist": ["a"], "qimlist": ["q"], "gnd": [{"easy": []}]}), "KeyError"),
    ],
)
def test_broken_ground_truth_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (write_set(tmp_path) / "gnd_roxford5k.pkl").write_bytes(content)
    with pytest.raises(DataError, match=says):
        revisited(tmp_path, CARD)
    assert not Path("ran").exists()


def test_missing_sets_and_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no data set oxford.*gnd_roxford5k.pkl"):
        revisited(tmp_path, CARD)
    folder = write_set(tmp_path)
    (folder / "jpg" / "db_3.jpg").write_bytes(b"")
    with pytest.raises(ImageError, match="db_3.jpg"):
        Retrieve().evaluate(Colour(), revisited(tmp_path, CARD), RetrieveSettings(), Compute(cache=tmp_path / "cache"))
    (folder / "jpg" / "db_3.jpg").unlink()
    with pytest.raises(DataError, match="db_3.jpg"):
        assert revisited(tmp_path, CARD).train.fingerprint


def test_a_trained_backbone_finds_more_of_its_kind(tmp_path: Path) -> None:
    data, small = load_dataset("shapes", limit=12), RetrieveSettings(side=64)
    scores = [
        Retrieve().evaluate(trained_backbone("resnet", trained), data, small, Compute(cache=tmp_path))
        for trained in (False, True)
    ]
    assert scores[1].metrics["map"] > scores[0].metrics["map"] + 20
    assert scores[0].interval.high < scores[1].interval.low
    assert 15 < scores[0].metrics["map"] < 40  # five kinds


def test_labelled_sets_take_the_training_images_of_the_class(tmp_path: Path) -> None:
    data = load_dataset("shapes", limit=3)
    model = Colour()
    found = Retrieve().evaluate(model, data, RetrieveSettings(side=64), Compute(cache=tmp_path))
    train, test = (
        torch.nn.functional.normalize(torch.from_numpy(split.array()).float().mean((1, 2)), dim=1)
        for split in (data.train, data.test)
    )
    aps = []
    for row, order in enumerate((-(test @ train.T)).argsort(dim=1, stable=True).tolist()):
        positive = set(np.flatnonzero(data.train.labels == data.test.labels[row]))
        aps.append(in_plain_loops(order, positive, set(), (1,))[0])
    assert found.metrics["map"] == pytest.approx(100 * np.mean(aps), abs=0.5)
    assert found.primary == "map"
