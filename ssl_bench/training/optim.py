"""Optimisers of a recipe: parameter groups, their schedule, gradient clipping."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ssl_bench.cards import OptimizerCard
from ssl_bench.training.lars import Lars


def parameter_groups(module: nn.Module) -> list[dict[str, Any]]:
    """Trained parameters in two groups: matrices and kernels, which decay, and biases and 1-D tensors (norms), which do
    not. LARS leaves 1-D tensors without adaptation as well. Parameters with ``requires_grad`` False are in neither.
    """
    trained = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    plain = [p for name, p in trained if p.ndim <= 1 or name.rpartition(".")[2] == "bias"]
    plain_ids = {id(p) for p in plain}
    decayed = [p for _, p in trained if id(p) not in plain_ids]
    groups = [{"params": decayed, "decay": True}, {"params": plain, "decay": False, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(
    module: nn.Module, card: OptimizerCard, groups: list[dict[str, Any]] | None = None
) -> torch.optim.Optimizer:
    """The card's optimiser over the trained parameters of ``module``; :func:`set_schedule` sets its rates each step.

    ``groups`` in place of :func:`parameter_groups`: each with ``params``, ``decay`` (whether they decay) and perhaps
    ``lr_scale`` (factor on the learning rate: layer-wise decay, a head with a rate of its own).
    """
    groups = parameter_groups(module) if groups is None else groups
    common: dict[str, Any] = {"lr": card.lr, "weight_decay": card.weight_decay}
    if card.name == "sgd":
        return torch.optim.SGD(groups, momentum=card.momentum, nesterov=card.nesterov, **common)
    if card.name == "adamw":
        return torch.optim.AdamW(groups, betas=card.betas, eps=card.eps, **common)
    if card.name == "lars":
        return Lars(groups, momentum=card.momentum, trust_coefficient=card.trust_coefficient, **common)
    from timm.optim.lamb import Lamb

    # Clipping is the recipe's (`clip`), so timm's own is off.
    lamb: torch.optim.Optimizer = Lamb(groups, betas=card.betas, eps=card.eps, max_grad_norm=None, **common)
    return lamb


def set_schedule(optimizer: torch.optim.Optimizer, lr: float, weight_decay: float) -> None:
    """Learning rate for all groups, times their ``lr_scale``; weight decay for those that decay."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("lr_scale", 1.0)
        group["weight_decay"] = weight_decay if group["decay"] else 0.0


def clip_gradients(parameters: Iterable[torch.Tensor], card: OptimizerCard) -> None:
    """Scale gradients down to norm ``clip``: all together (``global``), or every tensor by itself (``per_tensor``, as
    facebookresearch/dino ``utils.clip_gradients``)::

        g <- g min(1, clip / (|g| + 1e-6))
    """
    if card.clip is None:
        return
    with_gradient = [p for p in parameters if p.grad is not None]
    if card.clip_mode == "global":
        nn.utils.clip_grad_norm_(with_gradient, card.clip)
        return
    gradients = [p.grad for p in with_gradient if p.grad is not None]
    norms = torch._foreach_norm(gradients)
    factors = [(card.clip / (norm + 1e-6)).clamp(max=1.0) for norm in norms]
    torch._foreach_mul_(gradients, factors)
