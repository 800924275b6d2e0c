"""Pictures: the right images at the right place, with the right frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.data.dataset import Dataset, Split
from ssl_bench.data.features import Features
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import FeatureError, SettingsError, StoreError
from ssl_bench.reporting import figures
from ssl_bench.reporting.figures import GAP, GREEN, RED, attention, heat, image_grid, neighbours


class Plain(Split):
    """Image i is a square of the grey level ``levels[i]``."""

    def __init__(self, levels: list[int], labels: list[int]) -> None:
        self.levels, self.labels, self.classes = levels, np.array(labels), ("zero", "one")

    def image(self, index: int) -> Image.Image:
        return Image.new("RGB", (8, 8), (self.levels[index],) * 3)

    def identity(self, index: int) -> str:
        return str(self.levels[index])


def pixel(path: Path, x: int, y: int) -> tuple[int, ...]:
    with Image.open(path) as image:
        return tuple(image.convert("RGB").getpixel((x, y)))  # type: ignore[arg-type]


def test_grid_places_images_in_rows(tmp_path: Path) -> None:
    red = np.zeros((4, 4, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    path = image_grid([[red, np.full((2, 6), 0.5)], [np.ones((3, 3, 3))]], tmp_path / "sub" / "grid.png", side=20)
    with Image.open(path) as image:
        assert image.size == (2 * (20 + GAP) + GAP, 2 * (20 + GAP) + GAP)
    assert pixel(path, GAP + 10, GAP + 10) == (255, 0, 0)
    assert pixel(path, 20 + 2 * GAP + 10, GAP + 10) == (128, 128, 128)
    assert pixel(path, 0, 0) == (255, 255, 255)


def test_few_pixels_are_not_blurred(tmp_path: Path) -> None:
    checks = np.indices((2, 2)).sum(0) % 2 * 1.0
    path = image_grid([[checks]], tmp_path / "grid.png", side=20)
    with Image.open(path) as image:
        drawn = np.asarray(image.convert("L"))[GAP : GAP + 20, GAP : GAP + 20]
    np.testing.assert_array_equal(drawn, np.kron(checks, np.full((10, 10), 255)))


def test_captions_and_frames(tmp_path: Path) -> None:
    blank = np.ones((4, 4))
    plain = image_grid([[blank]], tmp_path / "plain.png", side=30)
    framed = image_grid([[blank]], tmp_path / "framed.png", [["seven"]], [[GREEN]], side=30)
    assert pixel(framed, GAP - 1, GAP - 1) == GREEN
    assert pixel(plain, GAP - 1, GAP - 1) == (255, 255, 255)
    with Image.open(framed) as image:
        assert np.asarray(image.convert("L"))[GAP + 32 :].min() < 100


def test_nothing_to_draw_and_no_picture(tmp_path: Path) -> None:
    for rows in ([], [[]]):
        with pytest.raises(StoreError, match="no images"):
            image_grid(rows, tmp_path / "x.png")
    with pytest.raises(StoreError, match="not the name of a picture"):
        image_grid([[np.ones((2, 2))]], tmp_path / "x.txt")


def test_neighbours_are_those_of_scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    train_x, test_x = rng.normal(size=(30, 5)), rng.normal(size=(6, 5))
    train_y, test_y = np.arange(30) % 2, np.arange(6) % 2
    data = Dataset("plain", Plain([*range(0, 60, 2)], [*train_y]), Plain([*range(100, 106)], [*test_y]))
    drawn: list[object] = []
    monkeypatch.setattr(
        figures, "image_grid", lambda rows, out, captions, frames: drawn.extend([rows, captions, frames])
    )
    neighbours(
        Features.of(train_x, train_y), Features.of(test_x, test_y), data, tmp_path / "n.png", range(1, 99, 2), k=4
    )
    rows, captions, frames = drawn
    _, expected = NearestNeighbors(n_neighbors=4, metric="cosine").fit(train_x).kneighbors(test_x[1::2])
    levels = [[int(image[0, 0, 0]) for image in row] for row in rows]  # type: ignore[attr-defined]
    assert [row[0] for row in levels] == [101, 103, 105]
    assert [[level // 2 for level in row[1:]] for row in levels] == expected.tolist()
    assert frames == [[None, *(GREEN if train_y[j] == 1 else RED for j in row)] for row in expected]
    assert [row[0] for row in captions] == ["one"] * 3  # type: ignore[attr-defined]


def test_neighbours_need_features(tmp_path: Path) -> None:
    data = Dataset("plain", Plain([0], [0]), Plain([0], [0]))
    some, none = Features.of(np.ones((1, 2)), np.zeros(1)), Features.of(np.ones((0, 2)), np.zeros(0))
    for train, test, queries in ((none, some, [0]), (some, none, [0]), (some, some, [7])):
        with pytest.raises(FeatureError, match="no features"):
            neighbours(train, test, data, tmp_path / "n.png", queries)
    assert neighbours(some, some, data, tmp_path / "n.png").exists()


class Looking(Backbone):
    """Two heads that look at the top left and the bottom right quarter."""

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = Preprocess(PreprocessCard(resize=32, crop=32))
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        maps = torch.zeros(len(images), 2, 2, 2)
        maps[:, 0, 0, 0] = maps[:, 1, 1, 1] = 0.3
        return maps


def test_attention_shows_the_image_and_a_map_for_each_head(tmp_path: Path) -> None:
    path = attention(Looking(), [Image.new("RGB", (40, 60), (200, 100, 50))] * 2, tmp_path / "a.png")
    first, second, third = (GAP + place * (128 + GAP) for place in range(3))
    assert np.abs(np.subtract(pixel(path, first + 60, GAP + 60), (200, 100, 50))).max() <= 1
    assert (pixel(path, second + 10, GAP + 10), pixel(path, second + 118, GAP + 118)) == ((255,) * 3, (0,) * 3)
    assert (pixel(path, third + 10, GAP + 10), pixel(path, third + 118, GAP + 118)) == ((0,) * 3, (255,) * 3)
    with pytest.raises(StoreError, match="no images"):
        attention(Looking(), [], tmp_path / "a.png")


def test_a_model_without_attention_says_so(tmp_path: Path) -> None:
    class Blind(Looking):
        attention = Backbone.attention

    with pytest.raises(SettingsError, match="no class-token attention"):
        attention(Blind(), [Image.new("RGB", (32, 32))], tmp_path / "a.png")


def test_heat_runs_from_black_over_red_and_yellow_to_white() -> None:
    colours = heat(np.array([[0.0, 1.0, 2.0, 3.0]]))
    np.testing.assert_allclose(colours[0], [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    assert not heat(np.zeros((2, 2))).any()
