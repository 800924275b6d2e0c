"""The one loop for protocols that train a network on labels: fine-tuning, and heads for detection, segmentation, depth."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from timm.utils.model_ema import ModelEmaV3
from torch import nn

from ssl_bench.cards import OptimizerCard
from ssl_bench.compute import Compute, mean_over_processes, rank
from ssl_bench.errors import SettingsError, TrainingError
from ssl_bench.training.batches import generator
from ssl_bench.training.interrupt import StopRequest
from ssl_bench.training.optim import build_optimizer, clip_gradients, set_schedule
from ssl_bench.training.processes import any_process, average_gradients, wait
from ssl_bench.training.saved import Saved
from ssl_bench.training.schedules import cosine, steps

Curve = Literal["cosine", "step", "poly", "constant"]
SAVE_EVERY = 500
"""Steps between two saved states, at most; the end of an epoch and an interruption save as well."""


class Batches(Protocol):
    """Batches that depend on (seed, epoch, step) alone, so that a resumed training sees what an uninterrupted one sees."""

    def __len__(self) -> int:
        """Steps an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """The batches of one epoch from step ``start`` on, on the device."""


@dataclass(frozen=True)
class Schedule:
    """``total`` steps. The learning rate rises linearly from ``warmup_from`` times the base to the base over ``warmup``
    steps, then follows ``curve`` to ``final`` times the base::

        cosine  half a cosine;     step  x ``factor`` at each of ``milestones`` (in steps);
        poly    final + (1 - final) (1 - t)^power,  t = share of the steps after the warm-up

    ``hold``: the rate changes every so many steps only (the steps of an epoch: schedules by epochs). ``through``: the
    curve began at step 0 and the warm-up hides its beginning (timm's schedulers, thus DeiT).
    """

    total: int
    warmup: int = 0
    warmup_from: float = 0.0
    curve: Curve = "cosine"
    final: float = 0.0
    milestones: tuple[int, ...] = ()
    factor: float = 0.1
    power: float = 1.0
    hold: int = 1
    through: bool = False

    def at(self, step: int) -> float:
        """Factor on the learning rate at this step (0 is the first)."""
        step -= step % self.hold
        if step < self.warmup:
            return self.warmup_from + (1 - self.warmup_from) * step / self.warmup
        if self.curve == "step":
            return steps(step, 1.0, self.milestones, self.factor)
        hidden = 0 if self.through else self.warmup
        after, length = step - hidden, max(self.total - hidden, 1)
        if self.curve == "cosine":
            return cosine(after, length, 1.0, self.final)
        if self.curve == "poly":
            return float(self.final + (1 - self.final) * (1 - after / length) ** self.power)
        return 1.0


@dataclass(frozen=True)
class Training:
    """How a network is trained. ``optimizer.lr`` is the base rate as used (already scaled by the batch). ``ema``: decay of
    the moving average of the weights that is evaluated in place of them; None: the weights themselves. ``accumulate``:
    batches for one update."""

    optimizer: OptimizerCard
    schedule: Schedule
    accumulate: int = 1
    ema: float | None = None


Loss = Callable[[nn.Module, Any], dict[str, torch.Tensor]]
"""(network, batch) -> {"loss": scalar, further terms to show}."""


def fit(
    module: nn.Module,
    batches: Batches,
    loss: Loss,
    training: Training,
    compute: Compute,
    saved: Saved,
    name: str,
    groups: list[dict[str, Any]] | None = None,
) -> nn.Module:
    """Train ``module`` in place and return what is to be evaluated: the module, or its moving average.

    ``groups``: see :func:`build_optimizer`. The state is saved at the end of every epoch, every ``SAVE_EVERY`` steps and
    when Ctrl-C or SIGTERM asks to stop (then ``KeyboardInterrupt`` follows); with the same ``saved`` the training goes
    on there and ends, on a CPU, with the same bits. The caller removes ``saved`` when the result is in the record.
    Of several processes each gives ``batches`` its share of the images: the loss and its gradient are the mean of theirs.
    Raises :class:`TrainingError` if the loss is not finite.
    """
    run = _Run(module, loss, training, compute, saved, groups)
    # The runner evaluates under inference_mode: no gradient could be taken there.
    with torch.inference_mode(False), torch.enable_grad(), StopRequest() as stop:
        run.go(batches, name, stop)
    return run.evaluated


class _Run:
    """One training: network, optimiser, scaler, moving average and how far they are."""

    def __init__(
        self,
        module: nn.Module,
        loss: Loss,
        training: Training,
        compute: Compute,
        saved: Saved,
        groups: list[dict[str, Any]] | None,
    ) -> None:
        if compute.precision == "fp16" and compute.device.type != "cuda":
            raise SettingsError(
                f"Training in fp16 needs CUDA; this is {compute.device}.", "Use --precision bf16 or fp32."
            )
        self.module, self.loss, self.training, self.compute, self.saved = module, loss, training, compute, saved
        self.optimizer = build_optimizer(module, training.optimizer, groups)
        self.scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.precision == "fp16")
        self.average = ModelEmaV3(module, decay=training.ema) if training.ema is not None else None
        self.step = 0
        self._resume()

    @property
    def evaluated(self) -> nn.Module:
        return self.module if self.average is None else self.average.module

    def go(self, batches: Batches, name: str, stop: StopRequest) -> None:
        length, total = len(batches), self.training.schedule.total
        if length < self.training.accumulate:
            raise TrainingError(f"{name}: an epoch has {length} batches, one step needs {self.training.accumulate}.")
        updates = length // self.training.accumulate
        self.module.train()
        with self.compute.progress.bar(name, total) as advance:
            advance(self.step)
            while self.step < total:
                epoch, at = divmod(self.step, updates)
                stream = batches.epoch(epoch, at * self.training.accumulate)
                for _ in range(min(updates - at, total - self.step)):
                    terms = self._update(stream)
                    advance(1, status=", ".join(f"{key} {value:.4g}" for key, value in terms.items()))
                    if any_process(stop.requested, self.compute.device):
                        self._save()
                        self.compute.progress.note(
                            f"Stopped after step {self.step}; the same command goes on from there."
                        )
                        raise KeyboardInterrupt
                    if self.step % SAVE_EVERY == 0:
                        self._save()
                self._save()
        self.module.eval()

    def _update(self, stream: Iterator[Any]) -> dict[str, float]:
        """One update of the weights; the mean terms of its batches."""
        others = [rank()] if rank() else []  # dropout of every process is its own
        torch.manual_seed(generator("supervised", self.compute.seed, self.step, *others).initial_seed())
        card, accumulate = self.training.optimizer, self.training.accumulate
        set_schedule(self.optimizer, card.lr * self.training.schedule.at(self.step), card.weight_decay)
        self.optimizer.zero_grad(set_to_none=True)
        parts = [self._backward(next(stream), accumulate) for _ in range(accumulate)]
        values = torch.stack([torch.stack(list(part.values())) for part in parts]).mean(0)
        means = dict(zip(parts[0], mean_over_processes(values).tolist(), strict=True))
        if not math.isfinite(means["loss"]):
            raise TrainingError(
                f"The loss of step {self.step} is {means['loss']}.", "Lower the learning rate or use another precision."
            )
        trained = [p for group in self.optimizer.param_groups for p in group["params"]]
        average_gradients(trained)
        self.scaler.unscale_(self.optimizer)
        clip_gradients(trained, card)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        if self.average is not None:
            self.average.update(self.module)
        return means

    def _backward(self, batch: Any, accumulate: int) -> dict[str, torch.Tensor]:
        with self.compute.autocast() if self.compute.precision != "fp32" else nullcontext():
            terms = self.loss(self.module, batch)
        scaled: torch.Tensor = self.scaler.scale(terms["loss"] / accumulate)
        scaled.backward()  # type: ignore[no-untyped-call]
        return {key: value.detach().float() for key, value in terms.items()}

    def _save(self) -> None:
        """By the first process; the others wait, so that none goes on and is stopped before the state is there."""
        if rank() == 0:
            self._write()
        wait()

    def _write(self) -> None:
        state: dict[str, Any] = {"module": self.module.state_dict(), "optimizer": self.optimizer.state_dict()}
        state |= {"scaler": self.scaler.state_dict(), "step": self.step}
        if self.average is not None:
            state["average"] = self.average.module.state_dict()
        self.saved.save(state)

    def _resume(self) -> None:
        state = self.saved.load()
        if state is None:
            return
        self.module.load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.module.load_state_dict(state["average"])
        self.step = int(state["step"])
        self.compute.progress.note(f"Going on after step {self.step}.")
