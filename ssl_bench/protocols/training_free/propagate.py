"""Label propagation: the labels of a frame's patches are those of the most similar patches of frames before it.

With unit features f, temperature T and context frames (the first and the last few), for a target patch p::

    a(p, q) = exp(f_p . f_q / T) if q is at most ``reach`` patches from p in either direction, else 0
    label(p) = sum over q of w(p, q) label(q),  w = a where a is at least the ``top``-th largest, / their sum

Over all context frames together. Source: facebookresearch/dino eval_video_segmentation.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F


def propagate(
    target: torch.Tensor,
    sources: Sequence[torch.Tensor],
    labels: Sequence[torch.Tensor],
    top: int = 5,
    reach: int = 12,
    temperature: float = 0.1,
) -> torch.Tensor:
    """``target``: (D, h, w); ``sources``: (D, h, w) each, ``labels``: (C, h, w) each -> (C, h, w). ``reach`` 0: no limit.

    One row of patches at a time against the rows that it can reach, so that memory is bounded by h w (2 reach + 1) w / h.
    """
    target, context = F.normalize(target, dim=0), F.normalize(torch.stack(list(sources)), dim=1)
    known = torch.stack(list(labels))
    height, width = target.shape[1:]
    columns = torch.arange(width, device=target.device)
    near = (columns[:, None] - columns).abs() <= (reach or width)
    rows = []
    for row in range(height):
        lines = slice(max(0, row - reach), row + reach + 1) if reach else slice(0, height)
        there = context[:, :, lines]
        affinity = (torch.einsum("dt,ndlw->tnlw", target[:, row], there) / temperature).exp()
        affinity = (affinity * near[:, None, None]).flatten(1)
        least = affinity.topk(min(top, affinity.shape[1])).values[:, -1:]
        weights = torch.where(affinity >= least, affinity, 0)
        weights = weights / weights.sum(1, keepdim=True)
        rows.append(known[:, :, lines].transpose(0, 1).flatten(1) @ weights.T)
    return torch.stack(rows, dim=1)


def objects_of(soft: torch.Tensor, size: tuple[int, int], shape: tuple[int, int]) -> np.ndarray:
    """(C, h, w) soft labels -> (H, W) uint8 of ``shape``: bilinear to ``size``, every channel from 0 to 1, the largest, and
    that to ``shape`` by the nearest pixel. A channel that is zero everywhere stays so."""
    large = F.interpolate(soft[None], size, mode="bilinear")[0]
    low, high = large.amin((1, 2), keepdim=True), large.amax((1, 2), keepdim=True)
    scaled = (large - low) / torch.where(high > low, high - low, 1)
    chosen = Image.fromarray(scaled.argmax(0).to(torch.uint8).cpu().numpy())
    return np.asarray(chosen.resize((shape[1], shape[0]), Image.Resampling.NEAREST))
