"""Projectors and predictors on top of an encoder: multilayer perceptrons, and DINO's prototype head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn


def mlp(
    widths: Sequence[int],
    *,
    norm: bool = True,
    hidden_bias: bool = True,
    last_bias: bool = False,
    last_norm: Literal["none", "scale", "plain"] = "none",
    activation: type[nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """``widths[0] -> ... -> widths[-1]``: hidden layers are Linear, BatchNorm (``norm``), activation; the last is Linear.

    ``last_norm``: BatchNorm after the last layer with a scale but no offset (SimCLR), or with neither (MoCo v3).
    """
    layers: list[nn.Module] = []
    for d_in, d_out in pairwise(widths[:-1]):
        layers.append(nn.Linear(d_in, d_out, bias=hidden_bias))
        layers += [nn.BatchNorm1d(d_out)] if norm else []
        layers.append(activation())
    layers.append(nn.Linear(widths[-2], widths[-1], bias=last_bias))
    if last_norm != "none":
        last = nn.BatchNorm1d(widths[-1], affine=last_norm == "scale")
        if last_norm == "scale":
            last.bias.requires_grad_(False)
        layers.append(last)
    return nn.Sequential(*layers)


class PrototypeHead(nn.Module):
    """(B, D) features -> (B, K) scores: an MLP to a bottleneck, l2-normalised, against K weight-normed prototypes.

    DINO's head (Caron et al. 2021, appendix C): Linear(D, hidden) GELU, Linear(hidden, hidden) GELU,
    Linear(hidden, bottleneck), l2, then ``last_layer``. Names are the official checkpoint's.
    ``norm_last_layer``: the prototypes' lengths stay 1; otherwise they are learned.
    """

    def __init__(
        self,
        dim: int,
        prototypes: int,
        hidden: int = 2048,
        bottleneck: int = 256,
        layers: int = 3,
        batch_norm: bool = False,
        norm_last_layer: bool = True,
    ) -> None:
        super().__init__()
        widths = [dim, *[hidden] * (layers - 1), bottleneck]
        self.mlp = mlp(widths, norm=batch_norm, last_bias=True, activation=nn.GELU)
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)
        self.last_layer = WeightNormed(bottleneck, prototypes, learn_length=not norm_last_layer)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.last_layer(F.normalize(self.mlp(features), dim=-1))
        return scores


class WeightNormed(nn.Module):
    """Linear layer without bias whose rows are ``g_k v_k / |v_k|`` (Salimans and Kingma 2016); g starts at 1."""

    def __init__(self, dim: int, rows: int, learn_length: bool) -> None:
        super().__init__()
        self.weight_v = nn.Parameter(nn.init.kaiming_uniform_(torch.empty(rows, dim), a=5**0.5))
        self.weight_g = nn.Parameter(torch.ones(rows, 1), requires_grad=learn_length)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight_g * F.normalize(self.weight_v, dim=1))
