"""LARS as MAE, MoCo v3 and Barlow Twins use it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lars(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017, arXiv 1708.03888) in the form of facebookresearch/mae
    ``util/lars.py``, facebookresearch/moco-v3 and facebookresearch/barlowtwins. For a tensor p with gradient g::

        if p has more than one dimension:
            g  <-  g + wd p
            q   =  eta |p| / |g|          (1 if either norm is 0)
        else:                             (biases, norms: no weight decay, no adaptation)
            q   =  1
        mu <- m mu + q g,     p <- p - lr mu

    ``trust_coefficient``: eta. timm's ``Lars`` divides by |g| + wd |p| with the g from before the decay, so it agrees
    with this only where wd = 0.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.1,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not 0 <= momentum < 1 or trust_coefficient <= 0:
            raise ValueError(f"Lars: {lr=}, {weight_decay=}, {momentum=}, {trust_coefficient=}")
        defaults = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**defaults, "trust_coefficient": trust_coefficient})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient. The gradients themselves are left as they are."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)
        return loss

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        gradient = parameter.grad
        assert gradient is not None
        if parameter.ndim > 1:
            gradient = gradient.add(parameter, alpha=group["weight_decay"])
            size, slope = parameter.norm(), gradient.norm()
            ratio = group["trust_coefficient"] * size / slope
            gradient = gradient * torch.where((size > 0) & (slope > 0), ratio, 1.0)
        state = self.state[parameter]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(parameter)
        state["momentum_buffer"].mul_(group["momentum"]).add_(gradient)
        parameter.add_(state["momentum_buffer"], alpha=-group["lr"])
