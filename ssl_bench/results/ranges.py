"""In which range each metric can be."""

from __future__ import annotations

import math
import re

PERCENT = (0.0, 100.0)
POSITIVE = (0.0, math.inf)
RANGES: tuple[tuple[str, tuple[float, float]], ...] = (
    (r"[jf]_decay", (-100.0, 100.0)),  # first quarter of a video minus the last
    (r"uniformity", (-math.inf, 0.0)),  # log of a mean of exp(-2 d^2)
    (r"delta[123](_batch_mean)?", PERCENT),
    (r"(mask_)?ap(50|75)?(_\w+)?", PERCENT),
    (
        r"(top\d|mean_per_class|map|mp\d|miou|jaccard|recall|accuracy|pixel_accuracy|mean_class_accuracy|roc_auc)\w*",
        PERCENT,
    ),
    (r"(jf|j|f)_(mean|recall)", PERCENT),
    (r"\w*_f1(_top\d+)?", PERCENT),
    (
        r"(rel|rms|rms_log|log10|abs_rel|rmse|rankme|lidar|alignment|channel_std|participation_ratio)(_batch_mean)?",
        POSITIVE,
    ),
    (r"(images_per_second|parameters_m|embed_dim|tokens|peak_memory_mb|loss|nll|ece)", POSITIVE),
)
"""Pattern of names -> lowest and highest value; the first that fits counts. A name that none fits may have any value."""


def range_of(metric: str) -> tuple[float, float]:
    """Lowest and highest possible value."""
    return next((allowed for name, allowed in RANGES if re.fullmatch(name, metric)), (-math.inf, math.inf))
