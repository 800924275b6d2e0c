"""Semantic segmentation: counts over the whole test set, then the scores; never a mean of images or batches."""

from __future__ import annotations

import numpy as np

from ssl_bench.data.scenes import IGNORE
from ssl_bench.errors import DataError


class Confusion:
    """``counts[truth, prediction]``: pixels, over everything added so far. Pixels whose truth is ``IGNORE`` count nowhere."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.counts = np.zeros((classes, classes), dtype=np.int64)

    def add(self, truth: np.ndarray, prediction: np.ndarray, name: str = "image") -> None:
        """Maps of one or several images, of one shape, classes from 0. :class:`DataError` on a class that there is not."""
        if truth.shape != prediction.shape:
            raise DataError(f"{name}: the label map is {truth.shape}, the prediction {prediction.shape}.")
        known = truth != IGNORE
        t, p = truth[known].astype(np.int64), prediction[known].astype(np.int64)
        for what, values in (("label map", t), ("prediction", p)):
            if len(values) and not 0 <= values.min() <= values.max() < self.classes:
                raise DataError(
                    f"{name}: the {what} has class {values.max()}, and there are {self.classes} classes.",
                    "Label maps hold classes from 0, and 255 for pixels to ignore.",
                )
        self.counts += np.bincount(t * self.classes + p, minlength=self.classes**2).reshape(self.classes, -1)

    def scores(self) -> dict[str, float]:
        """Percent: ``miou``, ``pixel_accuracy``, ``mean_class_accuracy``.

        IoU_c = TP / (TP + FP + FN). A class that is neither in truth nor in prediction has none and is left out of the
        mean; a class without truth is left out of the mean class accuracy.
        """
        if not self.counts.any():
            return dict.fromkeys(("miou", "pixel_accuracy", "mean_class_accuracy"), float("nan"))
        hit, truth = np.diag(self.counts), self.counts.sum(1)
        accuracy = (hit / np.maximum(truth, 1))[truth > 0]
        return {
            "miou": 100 * float(np.nanmean(self.iou())),
            "pixel_accuracy": 100 * float(hit.sum() / self.counts.sum()),
            "mean_class_accuracy": 100 * float(accuracy.mean()),
        }

    def iou(self) -> np.ndarray:
        """(C,) in [0, 1], NaN where a class does not occur."""
        hit = np.diag(self.counts)
        union = self.counts.sum(0) + self.counts.sum(1) - hit
        iou: np.ndarray = np.divide(hit, union, out=np.full(self.classes, np.nan), where=union > 0)
        return iou
