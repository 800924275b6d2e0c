"""Detection by COCO's rules: faster-coco-eval's scores, and the same matching in NumPy for their interval.

101 points of recall at the overlaps 0.50, 0.55 ... 0.95, at most 100 detections an image; objects smaller than 32^2 pixels
are small, smaller than 96^2 medium. A detection takes the free object with which it overlaps most, if by at least the
threshold; what lies in a crowd is neither hit nor error.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from ssl_bench.data.scenes import Instances
from ssl_bench.protocols.metrics.detection import THRESHOLDS, Detections, Matches, Table, overlaps

MOST = 100
NAMES = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
Kind = Literal["bbox", "segm"]


class CocoScore:
    """``add`` every test image once, then ``scores``. Masks are kept as run lengths."""

    def __init__(self, classes: int, masks: bool) -> None:
        self.masks = masks
        self.matches = Matches(classes, "points101")
        self.images: list[dict[str, Any]] = []
        self.objects: list[dict[str, Any]] = []
        self.found: dict[Kind, list[dict[str, Any]]] = {"bbox": [], "segm": []}

    def add(self, truth: Instances, found: Detections, size: tuple[int, int]) -> None:
        """``size``: height and width of the image."""
        image = len(self.images) + 1
        self.images.append({"id": image, "height": size[0], "width": size[1]})
        for i in range(len(truth)):
            item: dict[str, Any] = {
                "id": len(self.objects) + 1,
                "image_id": image,
                "category_id": int(truth.labels[i]) + 1,
            }
            item |= {"bbox": _xywh(truth.boxes[i]), "area": float(truth.areas[i]), "iscrowd": int(truth.crowd[i])}
            if self.masks and truth.masks is not None:
                item["segmentation"] = run_lengths(truth.masks[i])
            self.objects.append(item)
        for i in range(len(found)):
            item = {"image_id": image, "category_id": int(found.labels[i]) + 1, "score": float(found.scores[i])}
            self.found["bbox"].append({**item, "bbox": _xywh(found.boxes[i])})
            if self.masks and found.masks is not None:
                self.found["segm"].append({**item, "segmentation": run_lengths(found.masks[i])})
        self.matches.add(truth, found, match(truth, found))

    def scores(self) -> dict[str, float]:
        """Percent: ``ap``, ``ap50``, ``ap75``, ``ap_small``, ``ap_medium``, ``ap_large`` of the boxes, and ``mask_ap`` ... of the
        masks; NaN where there is no object of that size."""
        found = self._evaluated("bbox")
        return found | ({f"mask_{k}": v for k, v in self._evaluated("segm").items()} if self.masks else {})

    def table(self) -> Table:
        """Of the boxes, of any size."""
        return self.matches.table()

    def _evaluated(self, kind: Kind) -> dict[str, float]:
        from faster_coco_eval import COCO, COCOeval_faster

        categories = [{"id": c + 1, "name": str(c)} for c in range(self.matches.classes)]
        if not self.objects:
            return dict.fromkeys(NAMES, float("nan"))
        if not self.found[kind]:
            return dict.fromkeys(NAMES, 0.0)
        truth = COCO({"images": self.images, "annotations": self.objects, "categories": categories})
        run = COCOeval_faster(truth, truth.loadRes(self.found[kind]), kind)
        run.run()
        return {name: 100 * float(v) if v >= 0 else float("nan") for name, v in zip(NAMES, run.stats[:6], strict=True)}


def match(truth: Instances, found: Detections) -> np.ndarray:
    """(n, 10) int8: 1 hit, 0 error, -1 neither, of boxes of any size."""
    status = np.zeros((len(found), len(THRESHOLDS)), dtype=np.int8)
    for label in np.unique(found.labels):
        objects = np.flatnonzero(truth.labels == label)
        rows = np.flatnonzero(found.labels == label)
        rows = rows[np.argsort(-found.scores[rows], kind="stable")]
        status[rows[MOST:]] = -1
        rows = rows[:MOST]
        crowd = truth.crowd[objects]
        overlap = overlaps(found.boxes[rows], truth.boxes[objects].astype(np.float64), crowd)
        taken = np.zeros((len(objects), len(THRESHOLDS)), dtype=bool)
        for row, of_row in zip(rows, overlap, strict=True):
            for t, threshold in enumerate(THRESHOLDS):
                free = ~crowd & ~taken[:, t] & (of_row >= threshold)
                if free.any():
                    taken[np.where(free, of_row, -1.0).argmax(), t] = True
                    status[row, t] = 1
                elif (crowd & (of_row >= threshold)).any():
                    status[row, t] = -1
    return status


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """(H, W) bool -> COCO's compressed run lengths."""
    from faster_coco_eval.core import mask as coco_mask

    encoded: dict[str, Any] = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    return encoded


def _xywh(box: np.ndarray) -> list[float]:
    x1, y1, x2, y2 = (float(value) for value in box)
    return [x1, y1, x2 - x1, y2 - y1]
