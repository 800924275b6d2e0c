"""One step: forward and backward over the micro-batches, clip, update."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from ssl_bench.compute import Compute, mean_over_processes, rank, world_size
from ssl_bench.errors import SettingsError, TrainingError
from ssl_bench.methods.method import Method
from ssl_bench.training.batches import Views, generator
from ssl_bench.training.optim import clip_gradients, set_schedule
from ssl_bench.training.plan import Plan


class Stepper:
    """The method on its device (under DDP with several processes), with optimiser and loss scaler."""

    def __init__(self, method: Method, optimizer: torch.optim.Optimizer, plan: Plan, compute: Compute) -> None:
        if compute.precision == "fp16" and compute.device.type != "cuda":
            raise SettingsError(
                f"Training in fp16 needs CUDA; this is {compute.device}.", "Use --precision bf16 or fp32."
            )
        self.method, self.optimizer, self.plan, self.compute = method, optimizer, plan, compute
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.precision == "fp16")
        self.module = _distributed(method, compute) if world_size() > 1 else method

    def run(self, micro_batches: Iterator[Views], step: int) -> dict[str, float]:
        """Update the weights once; returns the terms of the loss, mean over micro-batches and processes.

        Raises :class:`TrainingError` before the update if the loss is not finite.
        """
        recipe, parameters = self.plan.recipe, [p for p in self.method.parameters() if p.requires_grad]
        torch.manual_seed(generator("step", recipe.seed, step, rank()).initial_seed())
        set_schedule(self.optimizer, self.plan.lr(step), self.plan.weight_decay(step))
        self.optimizer.zero_grad(set_to_none=True)
        terms = self._backward(micro_batches, step)
        self.scaler.unscale_(self.optimizer)
        clip_gradients(parameters, recipe.optimizer)
        with torch.no_grad():
            self.method.before_step(step)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.method.after_step(step)
        return terms

    def _backward(self, micro_batches: Iterator[Views], step: int) -> dict[str, float]:
        parts: list[dict[str, torch.Tensor]] = []
        for micro in range(self.plan.recipe.accumulate):
            views = next(micro_batches)
            with self._synchronised(last=micro == self.plan.recipe.accumulate - 1):
                with self.compute.autocast():
                    terms = self.module(views, step)
                self.scaler.scale(terms["loss"] / self.plan.recipe.accumulate).backward()
            parts.append({name: value.detach().float() for name, value in terms.items()})
        stacked = torch.stack([torch.stack(list(part.values())) for part in parts]).mean(0)
        means = dict(zip(parts[0], mean_over_processes(stacked).tolist(), strict=True))
        if not math.isfinite(means["loss"]):
            raise TrainingError(
                f"The loss of step {step} (epoch {step // self.plan.steps_per_epoch}) is {means['loss']}.",
                "The last saved state is untouched. Lower the learning rate, lengthen the warm-up or use another precision.",
            )
        return means

    def _synchronised(self, last: bool) -> AbstractContextManager[None]:
        """Processes exchange gradients once a step, with the last micro-batch."""
        if isinstance(self.module, DistributedDataParallel) and not last:
            return self.module.no_sync()
        return nullcontext()


def _distributed(method: Method, compute: Compute) -> nn.Module:
    """The same weights in all processes and the mean of their gradients; BatchNorm over all processes where torch can
    (CUDA only). A method may leave parts of an encoder without gradient, which DDP must be told."""
    if compute.device.type == "cuda":
        return DistributedDataParallel(method, device_ids=[compute.device.index], find_unused_parameters=True)
    return DistributedDataParallel(method, find_unused_parameters=True)
