"""The one training loop, for all methods."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import RecipeCard
from ssl_bench.compute import Compute, init_processes, rank, world_size
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.methods.method import Method
from ssl_bench.registry import registry
from ssl_bench.settings import resolve
from ssl_bench.training.batches import batches, generator
from ssl_bench.training.collapse import CollapseMonitor, feature_std
from ssl_bench.training.embed import embed, evaluation_mode
from ssl_bench.training.export import CARD, RECIPE, export, recipe_file, write_yaml
from ssl_bench.training.interrupt import StopRequest
from ssl_bench.training.log import Log, Row
from ssl_bench.training.online_knn import online_knn
from ssl_bench.training.optim import build_optimizer
from ssl_bench.training.plan import Plan
from ssl_bench.training.processes import any_process, wait
from ssl_bench.training.state import exclusive, load_state, save_state
from ssl_bench.training.step import Stepper
from ssl_bench.training.views import view_specs

STATE, LOG = "state.pt", "log.csv"
ROWS_PER_EPOCH = 50
MONITORED = 256
"""Training images whose spread the collapse monitor looks at."""


@dataclass(frozen=True)
class TrainingResult:
    """``card``: what ``run --model`` takes. ``metrics``: the last loss and its terms, ``feature_std``, ``knn_top1`` ...
    ``seconds``: training time over all resumptions."""

    card: Path
    name: str
    metrics: dict[str, float]
    steps: int
    seconds: float


def train(
    recipe: RecipeCard,
    compute: Compute,
    out: Path,
    *,
    dataset: Dataset | None = None,
    log: Callable[[Row], None] | None = None,
) -> TrainingResult:
    """Pretrain as ``recipe`` says and write ``card.yaml``, ``model.safetensors``, ``recipe.yaml``, ``log.csv`` and
    ``state.pt`` into ``out``; go on from ``state.pt`` if it is there. On the CPU, an interrupted and resumed run ends with
    the same bits as an uninterrupted one. ``log`` gets every row of the log.

    Ctrl-C and SIGTERM save at the next step boundary and then raise ``KeyboardInterrupt``. Raises :class:`TrainingError`
    if the loss is not finite or ``out`` belongs to another recipe.
    """
    compute = compute.with_(device=init_processes(compute.device), precision=recipe.precision, seed=recipe.seed)
    devices = [compute.device] if compute.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), exclusive(Path(out)):
        run = _Run(recipe, compute, Path(out), dataset, log)
        with StopRequest() as stop:
            return run.go(stop)


class _Run:
    """One training run: what the steps share."""

    def __init__(
        self,
        recipe: RecipeCard,
        compute: Compute,
        out: Path,
        dataset: Dataset | None,
        log: Callable[[Row], None] | None,
    ) -> None:
        self.recipe, self.compute, self.out, self.also = recipe, compute, out, log
        self.split = (dataset or load_dataset(recipe.dataset, compute.data_root)).train
        self.plan = Plan(recipe, len(self.split), world_size())
        self.method, self.specs = build_method(recipe, self.plan, compute)
        self.stepper = Stepper(self.method, build_optimizer(self.method, recipe.optimizer), self.plan, compute)
        self.parts = {"method": self.method, "optimizer": self.stepper.optimizer, "scaler": self.stepper.scaler}
        self.done = load_state(out / STATE, self.plan, self.parts)
        self.monitor = CollapseMonitor(self.done.low_epochs)
        self.log = self._open() if rank() == 0 else None

    def _open(self) -> Log:
        write_yaml(self.out / RECIPE, recipe_file(self.recipe))
        return Log(self.out / LOG, self.done.step)

    def go(self, stop: StopRequest) -> TrainingResult:
        if self.done.step < self.plan.total_steps:
            self._steps(stop)
        if rank() == 0:
            export(self.method.evaluated, self.recipe, self.out)
        wait()
        name = self.recipe.model_name or self.recipe.name
        return TrainingResult(self.out / CARD, name, self.done.metrics, self.done.step, self.done.seconds)

    def _steps(self, stop: StopRequest) -> None:
        """From the first step that is not done to the last."""
        plan, began, first = self.plan, time.perf_counter() - self.done.seconds, self.done.step
        self.method.train()
        views = batches(plan, self.split, self.specs, self.compute, first)
        with self.compute.progress.bar(f"train {self.recipe.name}", plan.total_steps) as advance:
            advance(first)
            for step in range(first, plan.total_steps):
                started = time.perf_counter()
                terms = self.stepper.run(views, step)
                speed = plan.batch / (time.perf_counter() - started)
                advance(1, f"loss {terms['loss']:.4g}  {speed:.0f} images/s")
                self.done = replace(self.done, step=step + 1, seconds=time.perf_counter() - began)
                self._after(step, terms, speed)
                if any_process(stop.requested, self.compute.device):
                    self._save()
                    self.compute.progress.note(f"Stopped after step {step + 1}; the same command goes on from there.")
                    raise KeyboardInterrupt

    def _after(self, step: int, terms: dict[str, float], speed: float) -> None:
        """Log, monitor at the end of an epoch, save."""
        epoch, at = divmod(step, self.plan.steps_per_epoch)
        last = at == self.plan.steps_per_epoch - 1
        if last:
            terms = terms | self._monitor(epoch)
        self.done.metrics.update(terms, images_per_second=speed)
        if last or at % -(-self.plan.steps_per_epoch // ROWS_PER_EPOCH) == 0:
            self._log({"step": step + 1, "epoch": epoch, **self._rates(step), **terms, "images_per_second": speed})
        if last and ((epoch + 1) % self.recipe.checkpoint_every == 0 or epoch + 1 == self.recipe.epochs):
            self._save()

    def _rates(self, step: int) -> Row:
        return {"lr": self.plan.lr(step), "weight_decay": self.plan.weight_decay(step)}

    def _monitor(self, epoch: int) -> Row:
        """Spread of the features every epoch, k-NN if asked; by the first process, the others wait."""
        found: Row = {}
        if rank() == 0:
            every, backbone = self.recipe.online_knn_every, self._backbone()
            chosen = torch.randperm(len(self.split), generator=generator("monitor", self.recipe.seed))[:MONITORED]
            features = embed(backbone, self.split, chosen.sort().values.numpy(), self.compute)[1]
            found |= self._spread(features, epoch)
            if every and ((epoch + 1) % every == 0 or epoch + 1 == self.recipe.epochs):
                found["knn_top1"] = online_knn(backbone, self.split, self.compute)
            self.done = replace(self.done, low_epochs=self.monitor.low_epochs)
        wait()
        return found

    def _spread(self, features: torch.Tensor, epoch: int) -> Row:
        """Of the features and, where the method says what its loss compares, of these: the ones that show a collapse."""
        found = {"feature_std": feature_std(features)}
        with evaluation_mode(self.method), torch.no_grad():
            projected = self.method.projections(features.to(self.compute.device))
        if projected is not None:
            found["projection_std"] = feature_std(projected)
            warning = self.monitor.check(found["projection_std"], projected.shape[1], epoch)
            if warning:
                self.compute.progress.note(warning)
        return found

    def _backbone(self) -> Backbone:
        """What will be evaluated: the method's network, read through the recipe's embedding."""
        recipe = self.recipe
        return wrap(self.method.evaluated, recipe.embedding, recipe.preprocess, recipe.name)

    def _log(self, row: Row) -> None:
        if self.log is not None:
            self.log.add(row)
            if self.also is not None:
                self.also(row)

    def _save(self) -> None:
        if rank() == 0:
            save_state(self.out / STATE, self.plan, self.done, self.parts)
        wait()


def build_method(recipe: RecipeCard, plan: Plan, compute: Compute) -> tuple[Method, list[Any]]:
    """The recipe's method around its freshly initialised encoder, on the device, and the specifications of its views."""
    kind: type[Method] = registry().methods.get(recipe.method)
    settings = resolve(kind.settings, recipe.settings, f"method {recipe.method}")
    specs = view_specs(kind, recipe, settings)
    torch.manual_seed(generator("weights", recipe.seed).initial_seed())
    encoder = build(recipe.arch, recipe.arch_args)
    method = kind(encoder, settings, total_steps=plan.total_steps, steps_per_epoch=plan.steps_per_epoch)
    if world_size() > 1 and compute.device.type == "cuda":
        method = nn.SyncBatchNorm.convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]
    # Channels last: convolutions run 1.1 to 1.6 times as fast on a CPU, and with autocast on a GPU; nothing else changes.
    return method.to(compute.device).to(memory_format=torch.channels_last), specs
