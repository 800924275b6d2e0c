"""Losses of depth estimation, over the pixels of a batch that were measured."""

from __future__ import annotations

import torch

SILOG_EPS, SILOG_WEIGHT = 1e-3, 0.15


def berhu(prediction: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Reverse Huber (Laina et al. 2016), mean over ``known``; e = prediction - truth, c = 0.2 max |e| of the batch::

    |e| where |e| <= c,    (e^2 + c^2) / (2 c) elsewhere
    """
    error = (prediction - truth)[known].abs()
    if not len(error):
        return prediction.sum() * 0
    c = (0.2 * error.detach().max()).clamp(min=1e-5)
    return torch.where(error <= c, error, (error.square() + c * c) / (2 * c)).mean()


def silog(prediction: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Scale-invariant logarithmic loss in DINOv2's form (``SigLoss``, after AdaBins); positive depths::

    sqrt(var(g) + 0.15 mean(g)^2),    g = ln(prediction + 0.001) - ln(truth + 0.001)
    """
    if int(known.sum()) < 2:
        return prediction.sum() * 0
    g = torch.log(prediction[known].clamp(min=0) + SILOG_EPS) - torch.log(truth[known] + SILOG_EPS)
    return (g.var() + SILOG_WEIGHT * g.mean().square() + 1e-12).sqrt()
