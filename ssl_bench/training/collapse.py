"""Collapse monitor: warn when the method's projections are nearly the same vector for every image.

It watches ``Method.projections`` and not the encoder's output. Measured on ``placed_digits`` with ``resnet_small32``, as
parts of the healthy 1/sqrt(D): BYOL without predictor, target and stop-gradient (loss -0.99, collapsed) has 0.08 in the
projections and still 0.54 in the encoder's output; BYOL as it should be 0.75 and 0.59; SimCLR 0.94 and 0.45.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import normalize

THRESHOLD = 0.2
"""Part of the healthy spread below which an epoch counts as collapsed."""
PATIENCE = 2
"""Collapsed epochs in a row before the warning."""


def feature_std(features: torch.Tensor) -> float:
    """Standard deviation over the batch of l2-normalised features (N, D), mean over the D channels
    (Chen and He 2021, arXiv 2011.10566, section 4.1)::

        std = mean_j std_i( z_ij / |z_i| )

    Vectors spread evenly over the sphere have 1/sqrt(D); a collapsed network has 0.
    """
    return float(normalize(features.float(), dim=1).std(dim=0).mean())


class CollapseMonitor:
    """Counts epochs in a row whose spread is below ``THRESHOLD`` / sqrt(D)."""

    def __init__(self, low_epochs: int = 0) -> None:
        self.low_epochs = low_epochs

    def check(self, std: float, dim: int, epoch: int) -> str | None:
        """The warning if this epoch completes ``PATIENCE`` low ones in a row, else None."""
        healthy = 1 / math.sqrt(dim)
        self.low_epochs = 0 if std >= THRESHOLD * healthy else self.low_epochs + 1
        if self.low_epochs != PATIENCE:
            return None
        return (
            f"Epoch {epoch}: the method seems to collapse: the standard deviation of its projections is {std:.2g}, and "
            f"{healthy:.2g} where they are spread evenly; all images get nearly the same vector. If this stays, lower the "
            f"learning rate or check the method's settings."
        )
