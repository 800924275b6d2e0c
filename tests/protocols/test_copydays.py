"""Copy detection: descriptor and whitening against restatements, exact copies score 100, the layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from trained_backbone import trained_backbone

from ssl_bench.cards import DatasetCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.copydays import copydays
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import Features
from ssl_bench.errors import DataError
from ssl_bench.protocols.training_free.copydays import Copydays, CopydaysSettings, descriptor, whitening

CARD = DatasetCard(name="copydays", builder="copydays", title="")
SMALL = CopydaysSettings(side=64)


def test_exact_copies_are_found_and_edited_ones_above_chance(tmp_path: Path) -> None:
    data = load_dataset("shapes_copies")
    same = Dataset(data.name, data.train, data.train.subset(range(48)), data.val)
    compute = Compute(cache=tmp_path)
    for trained in (True, False):
        assert Copydays().evaluate(trained_backbone("vit", trained), same, SMALL, compute).metrics["map"] == 100
    found = Copydays().evaluate(trained_backbone("vit"), data, SMALL, compute)
    assert found.metrics["map"] > 5  # by chance 1 / 198 in each of 20 places: 0.9
    assert found.interval is not None
    assert found.interval.low < found.metrics["map"] < found.interval.high
    assert found.details["descriptor"] == 96
    without = Copydays().evaluate(trained_backbone("resnet"), data, SMALL, compute)
    assert without.details["descriptor"] == 64  # no class token: GeM alone


def test_descriptor_is_the_class_token_and_gem() -> None:
    model = trained_backbone("vit")
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        last, found = model.layers(images)[0], descriptor(model, images, 4)
        for i in range(2):
            patches = last.map[i].flatten(1)
            gem = [sum(max(float(v), 1e-6) ** 4 for v in row) / len(row) for row in patches]
            expected = torch.cat([last.cls[i], torch.tensor(gem) ** 0.25])
            torch.testing.assert_close(found[i], expected)


@pytest.mark.parametrize("centred", [False, True])
def test_whitening_makes_the_second_moments_equal(centred: bool) -> None:
    x = np.random.RandomState(0).normal(2, (0.5, 1, 3), (4000, 3)).astype(np.float32)
    learnt = whitening(Features.of(x, np.zeros(len(x), int)), CopydaysSettings(centred=centred))
    moved = x - x.mean(0)
    z = learnt.apply(x)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
    if centred:
        np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(3), atol=1e-3)
    else:  # the authors': eigenvectors of the uncentred moments, applied to centred vectors
        values, vectors = np.linalg.eigh(x.T @ x / len(x))
        order = np.argsort(values)[::-1]
        expected = moved @ (np.diag(values[order] ** -0.5) @ vectors[:, order].T).T
        np.testing.assert_allclose(np.abs(z), np.abs(expected), rtol=1e-3, atol=1e-4)
        assert not np.allclose(np.cov(z.T, bias=True), np.eye(3), atol=0.1)


def test_whitening_survives_directions_without_spread() -> None:
    x = np.random.RandomState(0).normal(size=(50, 4)).astype(np.float32)
    x[:, 3] = 0
    z = whitening(Features.of(x, np.zeros(50, int)), CopydaysSettings()).apply(x)
    assert np.isfinite(z).all()


def write_set(root: Path, parts: dict[str, list[str]]) -> Path:
    for part, names in parts.items():
        (root / "copydays" / part).mkdir(parents=True)
        for name in names:
            noise = np.random.RandomState(int(name[:4])).randint(0, 256, (40, 50, 3)).astype(np.uint8)
            Image.fromarray(noise).save(root / "copydays" / part / name, quality=60 if part == "strong" else 95)
    return root / "copydays"


ORIGINALS = ["200000.jpg", "200100.jpg", "200200.jpg"]


def test_layout_labels_and_missing_parts(tmp_path: Path) -> None:
    write_set(
        tmp_path,
        {
            "original": ORIGINALS,
            "strong": ["200001.jpg", "200002.jpg", "200203.jpg"],
            "distractors": ["9000.jpg", "9001.jpg"],
            "whitening": [f"{8000 + i}.jpg" for i in range(6)],
        },
    )
    data = copydays(tmp_path, CARD)
    assert data.train.labels.tolist() == [0, 1, 2, 3, 3]
    assert data.test.labels.tolist() == [0, 0, 2]
    assert len(data.val) == 6
    found = Copydays().evaluate(trained_backbone("vit"), data, SMALL, Compute(cache=tmp_path / "cache"))
    assert found.metrics["map"] > 60
    assert found.details["database"] == 5


def test_problems_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)no data set copydays.*whitening"):
        copydays(tmp_path, CARD)
    folder = write_set(tmp_path, {"original": ORIGINALS, "strong": ["200001.jpg"]})
    data = copydays(tmp_path, CARD)
    compute = Compute(cache=tmp_path / "cache")
    with pytest.raises(DataError, match=r"(?s)no images to learn the whitening on.*whitening=false"):
        Copydays().evaluate(trained_backbone("vit"), data, SMALL, compute)
    plain = CopydaysSettings(side=64, whitening=False)
    assert Copydays().evaluate(trained_backbone("vit"), data, plain, compute).metrics["map"] > 30
    (folder / "strong" / "777701.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match=r"777701.jpg: has no original"):
        copydays(tmp_path, CARD)
    (folder / "strong" / "777701.jpg").unlink()
    (folder / "strong" / "200001.jpg").unlink()
    with pytest.raises(DataError, match="no image in"):
        copydays(tmp_path, CARD)


def test_only_the_first_places_count(tmp_path: Path) -> None:
    data = load_dataset("shapes_copies")
    model, compute = trained_backbone("vit"), Compute(cache=tmp_path)
    scores = [
        Copydays().evaluate(model, data, CopydaysSettings(side=64, first=first), compute).metrics["map"]
        for first in (1, 20, 198)
    ]
    assert scores[0] < scores[1] < scores[2]
