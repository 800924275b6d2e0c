"""Training of linear heads on batches of features, as the authors' loops do it: the part that knows no images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from timm.optim.lars import Lars as Larc
from torch import Tensor, nn

from ssl_bench.protocols.linear_recipes import Recipe
from ssl_bench.training.lars import Lars
from ssl_bench.training.schedules import cosine, steps, warmup_cosine

Batch = tuple[Tensor, Tensor]
"""(b, D) features and (b,) labels."""


def make_head(dim: int, classes: int, recipe: Recipe, generator: torch.Generator) -> nn.Sequential:
    """The recipe's head: (batch norm,) linear layer."""
    linear = nn.Linear(dim, classes)
    fill = nn.init.normal_ if recipe.init == "normal" else nn.init.trunc_normal_
    fill(linear.weight, std=0.01, generator=generator)
    nn.init.zeros_(linear.bias)
    norm = [nn.BatchNorm1d(dim, eps=1e-6, affine=False)] if recipe.batch_norm else []
    return nn.Sequential(*norm, linear)


def make_optimizer(head: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser; :class:`HeadTraining` sets the learning rate before each step."""
    parameters, lr, momentum, decay = head.parameters(), recipe.lr, recipe.momentum, recipe.weight_decay
    if recipe.optimizer == "lars":
        return Lars(parameters, lr, decay, momentum)
    if recipe.optimizer == "larc":  # apex's LARC around SGD, without clipping: biases are adapted too
        return Larc(parameters, lr=lr, momentum=momentum, weight_decay=decay, always_adapt=True)
    return torch.optim.SGD(parameters, lr, momentum, weight_decay=decay, nesterov=recipe.nesterov)


def learning_rate(recipe: Recipe, peak: float, epoch: int, step: int, steps_per_epoch: int) -> float:
    """Rate of iteration ``step`` (from 0) of ``epoch`` (from 0)."""
    if recipe.schedule == "steps":
        return steps(epoch, peak, recipe.milestones)
    if recipe.schedule == "cosine_epoch":
        return cosine(epoch, recipe.epochs, peak)
    return warmup_cosine(epoch + step / steps_per_epoch, recipe.epochs, peak, recipe.warmup_epochs)


class HeadTraining:
    """Heads that are trained on the same batches, each with its own optimiser and peak learning rate."""

    def __init__(self, heads: Sequence[nn.Module], recipe: Recipe, peaks: Sequence[float]) -> None:
        self.heads, self.recipe, self.peaks = list(heads), recipe, list(peaks)
        self.optimizers = [make_optimizer(head, recipe) for head in heads]
        self.epoch = 0

    def train_epoch(
        self, batches: Iterable[Batch], steps_per_epoch: int, advance: Callable[..., None] | None = None
    ) -> list[float]:
        """One pass over ``batches``; the heads' mean losses."""
        losses: list[Tensor] = []
        for head in self.heads:
            head.train()
        for step, (x, y) in enumerate(batches):
            losses.append(torch.stack([self._step(i, x, y, step, steps_per_epoch) for i in range(len(self.heads))]))
            if advance is not None:
                advance()
        self.epoch += 1
        return torch.stack(losses).mean(0).tolist() if losses else [float("nan")] * len(self.heads)

    def _step(self, which: int, x: Tensor, y: Tensor, step: int, steps_per_epoch: int) -> Tensor:
        head, optimizer = self.heads[which], self.optimizers[which]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(self.recipe, self.peaks[which], self.epoch, step, steps_per_epoch)
        loss = nn.functional.cross_entropy(head(x), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "heads": [head.state_dict() for head in self.heads],
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch = state["epoch"]
        for head, saved in zip(self.heads, state["heads"], strict=True):
            head.load_state_dict(saved)
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def train_head(
    head: nn.Module,
    recipe: Recipe,
    peak: float,
    batches: Callable[[int], Iterable[Batch]],
    steps_per_epoch: int,
) -> list[float]:
    """Train one head on tensors: ``batches(epoch)`` gives the epoch's batches. Returns the mean loss of each epoch."""
    training = HeadTraining([head], recipe, [peak])
    return [training.train_epoch(batches(epoch), steps_per_epoch)[0] for epoch in range(recipe.epochs)]


@torch.no_grad()
def logits_of(head: nn.Module, x: Tensor, rows: int = 8192) -> Tensor:
    """(N, D) features -> (N, C) logits of the head in evaluation mode."""
    head.eval()
    return torch.cat([head(block) for block in torch.split(x, rows)])
