"""Charts: which points, where labels go, and files that are pictures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from results_factory import make_record

from ssl_bench.errors import StoreError
from ssl_bench.reporting.charts import bar_chart, bars, scatter, scatter_chart
from ssl_bench.reporting.points import Frame, Point, place_labels, points
from ssl_bench.results.record import Record, WeightsFacts

SIZES = {"a_x": 11_000_000, "b_x": 22_000_000, "raw_pixels": 0}


def some_records() -> list[Record]:
    return [
        make_record(
            model,
            task,
            value,
            method=model,
            weights=WeightsFacts(source="", sha256="0", matched=1, total=1, parameters=size),
        )
        for (model, size), value in zip(SIZES.items(), (90.0, 80.0, 70.0), strict=True)
        for task in ("knn_digits", "linear_digits")
    ]


def test_points_have_value_interval_and_size() -> None:
    shown = points(some_records())
    assert [(p.model, p.task) for p in shown[:3]] == [(model, "knn_digits · top1") for model in SIZES]
    assert [p.parameters_m for p in shown[:3]] == [11.0, 22.0, 0.0]
    assert all(p.low < p.value < p.high for p in shown)
    assert shown[0].text == "90.0"


def test_size_comes_from_the_card_where_the_record_has_none() -> None:
    weights = WeightsFacts(source="", sha256="0", matched=1, total=1)
    assert points([make_record("dino_vitb16", weights=weights)])[0].parameters_m == 85.8
    assert points([make_record("unknown", weights=weights)])[0].parameters_m is None


def test_a_task_of_one_model_is_left_out_where_others_compare_several() -> None:
    lonely = make_record("a_x", "knn_other")
    assert {p.task for p in points([*some_records(), lonely])} == {"knn_digits · top1", "linear_digits · top1"}
    assert len(points([lonely])) == 1


def test_numbers_that_are_not_finite_are_not_drawn() -> None:
    with pytest.raises(StoreError, match="no results to draw"):
        points([make_record(metrics={"top1": math.nan}, interval=None)])
    with pytest.raises(StoreError, match="no results to draw"):
        points([])


def test_raw_pixels_have_no_size_to_draw() -> None:
    drawn = json.dumps(scatter_chart(points(some_records())).to_dict())
    assert "a_x" in drawn
    assert "raw_pixels" not in drawn
    assert "raw_pixels" in json.dumps(bar_chart(points(some_records())).to_dict())
    with pytest.raises(StoreError, match="how many million parameters"):
        scatter_chart([p for p in points(some_records()) if p.model == "raw_pixels"])


@pytest.mark.parametrize("draw", [bars, scatter])
def test_png_and_svg(tmp_path: Path, draw: object) -> None:
    assert callable(draw)
    png = draw(some_records(), tmp_path / "new" / "chart.png")
    with Image.open(png) as image:
        assert image.width > 400
        # White paper, and colours on it.
        assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert len(image.convert("RGB").resize((200, 100)).getcolors(20000) or []) > 10
    svg = draw(some_records(), tmp_path / "chart.svg")
    texts = {node.text for node in ElementTree.parse(svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {"a_x", "b_x", "knn_digits · top1", "linear_digits · top1"} <= texts


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"\.png or \.svg"):
        bars(some_records(), tmp_path / "chart.pdf")


sizes = st.floats(0.5, 500)
values = st.floats(1, 99)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(sizes, values), min_size=1, max_size=8))
def test_labels_do_not_cover_each_other_or_a_point(places: list[tuple[float, float]]) -> None:
    shown = [Point(f"m{i}", "m", "t", y, y - 0.5, y + 0.5, "", x) for i, (x, y) in enumerate(places)]
    frame = Frame.around(shown, 600, 600)
    labels = place_labels(shown, frame)
    assert max(shown, key=lambda point: point.value) in [label.point for label in labels]
    assert all(abs(label.top - frame.pixel(label.point)[1]) <= 12 for label in labels)
    boxes = []
    for label in labels:
        x, _ = frame.pixel(label.point)
        left = x + 8 if label.side > 0 else x - 8 - 5.6 * 2
        boxes.append((left, left + 5.6 * 2, label.top - 6, label.top + 6))
    for i, one in enumerate(boxes):
        assert one[0] >= 0
        assert one[1] <= frame.width
        for point in shown:
            x, y = frame.pixel(point)
            assert not (one[0] < x < one[1] and one[2] + 1 < y < one[3] - 1)
        for other in boxes[:i]:
            assert not (one[0] < other[1] and other[0] < one[1] and one[2] < other[3] - 1 and other[2] < one[3] - 1)


def test_pixels_of_a_frame() -> None:
    shown = [Point("a", "m", "t", 10, 10, 10, "", 1.0), Point("b", "m", "t", 20, 20, 20, "", 100.0)]
    frame = Frame((1.0, 100.0), (10.0, 20.0), 200, 50)
    assert [frame.pixel(point) for point in shown] == [(0.0, 50.0), (200.0, 0.0)]
    assert frame.pixel(Point("c", "m", "t", 15, 15, 15, "", 10.0)) == (pytest.approx(100), pytest.approx(25))
    assert frame.value_at(25) == 15
    assert frame.ticks() == [1, 2, 5, 10, 20, 50, 100]
