"""Detection's AP: VOC's rules against a restatement of the official script's loop, COCO's against faster-coco-eval."""

from __future__ import annotations

import numpy as np
import pytest

from ssl_bench.data.scenes import Instances
from ssl_bench.protocols.metrics.coco_detection import CocoScore, run_lengths
from ssl_bench.protocols.metrics.detection import THRESHOLDS, Detections, overlaps
from ssl_bench.protocols.metrics.voc_detection import VocRule, VocScore
from ssl_bench.results.bootstrap import bootstrap

CLASSES = 3
Image = tuple[Instances, Detections]


def boxes_of(rng: np.random.Generator, count: int, side: int = 200) -> np.ndarray:
    corner = rng.uniform(0, side - 20, (count, 2))
    return np.concatenate([corner, np.minimum(corner + rng.uniform(5, 120, (count, 2)), side)], axis=1)


def random_images(seed: int, count: int = 12, crowds: bool = False) -> list[Image]:
    """Objects, and detections near them (some twice), elsewhere and of the wrong class; images without either."""
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        n = int(rng.integers(0, 5))
        boxes = np.round(boxes_of(rng, n)).astype(np.float32)
        flags = rng.random(n) < 0.3
        truth = Instances(
            boxes,
            rng.integers(0, CLASSES, n),
            difficult=flags & (not crowds),
            crowd=flags & crowds,
        )
        near = np.repeat(boxes, 2, axis=0) + rng.normal(0, 4, (2 * n, 4))
        found = np.concatenate([near, boxes_of(rng, 3)])
        found[:, 2:] = np.maximum(found[:, 2:], found[:, :2] + 1)
        labels = np.concatenate([np.repeat(truth.labels, 2), rng.integers(0, CLASSES, 3)])
        labels = np.where(rng.random(len(labels)) < 0.1, (labels + 1) % CLASSES, labels)
        scores = rng.permutation(len(labels)) / len(labels) * 0.9 + rng.uniform(0, 0.05)
        order = np.argsort(-scores)
        images.append((truth, Detections(found[order], labels[order], scores[order])))
    return images


def official_voc(images: list[Image], label: int, threshold: float, eleven: bool) -> float:
    """AP of one class as the VOC development kit goes about it: all detections in one list, one by one."""
    lines = [
        (round(float(score), 3), image, [round(float(v), 1) for v in box + np.array([1, 1, 0, 0])])
        for image, (_, found) in enumerate(images)
        for box, kind, score in zip(found.boxes, found.labels, found.scores, strict=True)
        if kind == label
    ]
    lines.sort(key=lambda line: -line[0])
    used: set[tuple[int, int]] = set()
    positives = sum(int(((t.labels == label) & ~t.difficult).sum()) for t, _ in images)
    tp, fp, recall, precision = 0, 0, [], []
    for _, image, (x1, y1, x2, y2) in lines:
        truth, best, which = images[image][0], -1.0, -1
        for i in np.flatnonzero(truth.labels == label):
            a1, b1, a2, b2 = (float(v) for v in truth.boxes[i] + np.array([1, 1, 0, 0]))
            w, h = min(x2, a2) - max(x1, a1) + 1, min(y2, b2) - max(y1, b1) + 1
            inside = max(w, 0) * max(h, 0)
            iou = inside / ((x2 - x1 + 1) * (y2 - y1 + 1) + (a2 - a1 + 1) * (b2 - b1 + 1) - inside)
            if iou > best:
                best, which = iou, int(i)
        if best > threshold and truth.difficult[which]:
            continue
        hit = best > threshold and (image, which) not in used
        used |= {(image, which)} if hit else set()
        tp, fp = tp + hit, fp + (not hit)
        recall.append(tp / positives)
        precision.append(tp / (tp + fp))
    if eleven:
        return float(
            np.mean(
                [
                    max([p for p, r in zip(precision, recall, strict=True) if r >= t - 1e-9], default=0.0)
                    for t in np.arange(11) / 10
                ]
            )
        )
    area, last = 0.0, 0.0
    for i, r in enumerate(recall):
        area += (r - last) * max(precision[i:])
        last = r
    return area


@pytest.mark.parametrize("rule", ["voc2007", "voc2012"])
@pytest.mark.parametrize("seed", range(4))
def test_voc_is_the_official_loop(rule: VocRule, seed: int) -> None:
    images = random_images(seed)
    metric = VocScore(CLASSES, rule)
    for truth, found in images:
        metric.add(truth, found)
    expected = [[official_voc(images, c, float(t), rule == "voc2007") for t in THRESHOLDS] for c in range(CLASSES)]
    np.testing.assert_allclose(metric.table().ap(), expected, atol=1e-12)
    scores = metric.scores()
    assert scores["ap"] == pytest.approx(100 * np.mean(expected))
    assert scores["ap50"] == pytest.approx(100 * np.mean(expected, axis=0)[0])
    assert scores["ap75"] == pytest.approx(100 * np.mean(expected, axis=0)[5])


def one(truth: Instances, *found: tuple[float, float, float, float], rule: VocRule = "voc2012") -> VocScore:
    metric = VocScore(1, rule)
    metric.add(
        truth, Detections(np.array(found, dtype=float), np.zeros(len(found), int), np.linspace(0.9, 0.1, len(found)))
    )
    return metric


def box(*edges: float, difficult: bool = False) -> Instances:
    return Instances(np.array([edges], np.float32), np.zeros(1, np.int64), difficult=np.array([difficult]))


def test_a_match_needs_more_than_the_threshold() -> None:
    """10 x 10 pixels in 10 x 20 are an overlap of exactly one half."""
    assert one(box(0, 0, 10, 20), (0, 0, 10, 10)).scores()["ap50"] == 0
    assert one(box(0, 0, 10, 20), (0, 0, 10, 11)).scores()["ap50"] == 100


def test_boxes_count_their_last_pixel() -> None:
    """Edges 0 to 10 are pixels 1 to 10; as edges or with one pixel more, the overlap would be another."""
    assert overlaps(np.array([[1, 1, 10, 10.0]]), np.array([[1, 1, 10, 20.0]]), pixel=1.0).item() == 0.5


def test_boxes_are_rounded_as_they_are_written() -> None:
    """0 to 10.04 is written as 1 to 10.0: exactly one half, and no match."""
    assert one(box(0, 0, 10, 20), (0, 0, 10, 10.04)).scores()["ap50"] == 0
    assert one(box(0, 0, 10, 20), (0, 0, 10, 10.06)).scores()["ap50"] == 100


def test_difficult_objects_are_neither() -> None:
    both = Instances(
        np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32),
        np.zeros(2, np.int64),
        difficult=np.array([False, True]),
    )
    # Two detections of the difficult one, better than the hit, and no error.
    assert one(both, (50, 50, 60, 60), (50, 50, 60, 60), (0, 0, 10, 10)).scores()["ap"] == 100
    assert np.isnan(one(box(0, 0, 10, 10, difficult=True), (0, 0, 10, 10)).scores()["ap"])


def test_the_second_of_an_object_is_an_error() -> None:
    two = Instances(np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32), np.zeros(2, np.int64))
    found = one(two, (0, 0, 10, 10), (0, 0, 10, 10), (50, 50, 60, 60)).table().ap()[0, 0]
    assert found == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_eleven_points_are_not_the_area() -> None:
    """One of two objects found: the area is 0.5, eleven points give 6 / 11."""
    two = Instances(np.array([[0, 0, 10, 10], [50, 50, 60, 60]], np.float32), np.zeros(2, np.int64))
    assert one(two, (0, 0, 10, 10)).scores()["ap"] == pytest.approx(50)
    assert one(two, (0, 0, 10, 10), rule="voc2007").scores()["ap"] == pytest.approx(600 / 11)


@pytest.mark.parametrize("seed", range(3))
def test_coco_matching_is_faster_coco_evals(seed: int) -> None:
    metric = CocoScore(CLASSES, masks=False)
    for truth, found in random_images(seed, crowds=True):
        metric.add(truth, found, (200, 200))
    scores, table = metric.scores(), metric.table()
    assert 5 < scores["ap"] < 95
    assert table.mean() == pytest.approx(scores["ap"], abs=1e-6)
    assert table.mean(slice(0, 1)) == pytest.approx(scores["ap50"], abs=1e-6)
    assert table.mean(slice(5, 6)) == pytest.approx(scores["ap75"], abs=1e-6)


def test_areas_decide_small_and_large() -> None:
    """Objects of 10^2, 50^2 and 150^2 pixels; only the middle one is found."""
    truth = Instances(
        np.array([[0, 0, 10, 10], [20, 20, 70, 70], [30, 30, 180, 180]], np.float32), np.zeros(3, np.int64)
    )
    metric = CocoScore(1, masks=False)
    metric.add(truth, Detections(np.array([[20, 20, 70, 70.0]]), np.zeros(1, int), np.array([0.9])), (200, 200))
    scores = metric.scores()
    assert (scores["ap_small"], scores["ap_medium"], scores["ap_large"]) == (0, pytest.approx(100), 0)


def test_masks_are_scored_by_their_own_overlap() -> None:
    """The same box; the mask covers half of the object."""
    mask = np.zeros((1, 40, 40), bool)
    mask[0, 10:30, 10:30] = True
    half = mask.copy()
    half[0, 20:] = False
    truth = Instances(np.array([[10, 10, 30, 30]], np.float32), np.zeros(1, np.int64), mask)
    metric = CocoScore(1, masks=True)
    metric.add(truth, Detections(truth.boxes.astype(float), np.zeros(1, int), np.array([0.9]), half), (40, 40))
    scores = metric.scores()
    assert scores["ap"] == pytest.approx(100)
    assert scores["mask_ap50"] == pytest.approx(100)  # exactly one half is enough for COCO
    assert scores["mask_ap75"] == 0
    assert scores["mask_ap"] == pytest.approx(10)


def test_run_lengths_go_down_the_columns() -> None:
    from faster_coco_eval.core import mask as coco_mask

    mask = np.arange(12).reshape(3, 4) % 5 == 0
    np.testing.assert_array_equal(coco_mask.decode(run_lengths(mask)).astype(bool), mask)


def test_no_objects_and_no_detections() -> None:
    empty = Instances(np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    nothing = Detections(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0))
    for metric in (VocScore(2, "voc2007"), CocoScore(2, masks=False)):
        metric.add(empty, nothing, *([(9, 9)] if isinstance(metric, CocoScore) else []))  # type: ignore[call-arg]
        assert np.isnan(metric.scores()["ap"])
        metric.add(box(0, 0, 5, 5), nothing, *([(9, 9)] if isinstance(metric, CocoScore) else []))  # type: ignore[call-arg]
        assert metric.scores()["ap"] == 0


def test_a_draw_of_the_images_is_the_score_of_the_drawn_ones() -> None:
    images = random_images(9)
    counts = np.random.default_rng(0).integers(0, 3, len(images))
    whole, drawn = VocScore(CLASSES, "voc2012"), VocScore(CLASSES, "voc2012")
    for (truth, found), count in zip(images, counts, strict=True):
        whole.add(truth, found)
        for _ in range(count):
            drawn.add(truth, found)
    assert whole.table().mean(counts=counts) == pytest.approx(drawn.scores()["ap"], abs=0.5)
    interval = bootstrap(len(images), lambda c: whole.table().mean(slice(0, 1), c), resamples=50)
    assert interval is not None
    assert interval.low < whole.scores()["ap50"] < interval.high
