"""Whether features can be scored at all; every feature protocol asks here first."""

from __future__ import annotations

import numpy as np

from ssl_bench.data.features import Features
from ssl_bench.errors import FeatureError

ROWS = 8192  # rows looked at together, so that checking a memory-mapped file needs little memory


def validate(train: Features, test: Features) -> None:
    """Raise :class:`FeatureError` unless both parts are (N, D) finite vectors of equal D, with the train part's classes as labels."""
    validate_part(train, "train", train.classes)
    validate_part(test, "test", train.classes)
    if train.x.shape[1] != test.x.shape[1]:
        raise FeatureError(
            f"The train features have {train.x.shape[1]} dimensions and the test features {test.x.shape[1]}.",
            "Extract both with the same model and the same embedding.",
        )


def validate_part(part: Features, name: str, classes: int) -> None:
    """The checks of one part, whose labels must be 0 to ``classes`` - 1; ``name`` is how the message calls it."""
    x, y = part.x, part.y
    if x.ndim != 2 or x.shape[1] == 0:
        raise FeatureError(f"The {name} features have shape {x.shape}.", "They must be (N, D): one vector an image.")
    if y.ndim != 1 or len(y) != len(x):
        raise FeatureError(f"There are {len(x)} {name} features, but the labels have shape {y.shape}.")
    if len(x) == 0:
        raise FeatureError(f"There are no {name} features.", "At least one image is needed.")
    if not np.issubdtype(y.dtype, np.integer):
        raise FeatureError(f"The {name} labels are {y.dtype}.", "They must be integers, 0 to classes - 1.")
    wrong = np.flatnonzero((y < 0) | (y >= classes))
    if len(wrong):
        raise FeatureError(
            f"{len(wrong)} {name} labels lie outside 0 to {classes - 1}; the first is {y[wrong[0]]} in row {wrong[0]}.",
            "Do the splits have the same classes in the same order?",
        )
    _check_finite(x, name)


def _check_finite(x: np.ndarray, name: str) -> None:
    """Name the first row with NaN or infinity; rows are looked at in blocks."""
    for start in range(0, len(x), ROWS):
        broken = np.flatnonzero(~np.isfinite(x[start : start + ROWS]).all(axis=1))
        if len(broken):
            raise FeatureError(
                f"The {name} features are not finite: row {start + int(broken[0])} has NaN or infinity.",
                "Half precision may have overflowed: extract with --precision fp32.",
            )
