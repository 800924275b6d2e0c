"""Device, precision, seeds, processes: the only file that knows how many processes there are."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import torch.distributed as dist

from ssl_bench.errors import SettingsError
from ssl_bench.paths import cache_root, data_root
from ssl_bench.progress import Progress, Silent

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES: dict[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_device(name: str = "auto") -> torch.device:
    """``auto`` is CUDA, else Apple's MPS, else the CPU. A device that is not there is an error, never a silent CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"--device {name!r} is no device.", "Use auto, cpu, cuda, cuda:0 or mps.") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise SettingsError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices.", "Use auto or cpu."
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("--device mps: this machine has none.", "Use auto or cpu.")
    if device.type not in {"cpu", "cuda", "mps"}:
        raise SettingsError(f"--device {name!r} is not supported.", "Use auto, cpu, cuda, cuda:0 or mps.")
    return device


@dataclass(frozen=True)
class Compute:
    """How to compute, as opposed to what: nothing in here may change a number beyond rounding, except ``precision``
    and ``pipeline``, which are part of the key of stored features and of every record."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    precision: Precision = "fp32"
    batch_size: int | None = None
    """Images per forward; None: chosen by ``data.features``, halved on out-of-memory."""
    workers: int = 0
    pipeline: Literal["exact", "fast"] = "exact"
    skip_broken: bool = False
    seed: int = 0
    limit: int | None = None
    """First N images of each class only (a partial result)."""
    data_root: Path = field(default_factory=data_root)
    cache: Path = field(default_factory=cache_root)
    progress: Progress = field(default_factory=Silent)

    def with_(self, **changes: Any) -> Compute:
        return replace(self, **changes)

    @contextmanager
    def autocast(self) -> Iterator[None]:
        """Mixed precision on the device; fp32 leaves everything as it is."""
        if self.precision == "fp32":
            yield
            return
        with torch.autocast(self.device.type, dtype=DTYPES[self.precision]):
            yield

    def generator(self, *salt: int) -> torch.Generator:
        """A CPU random generator that depends on the seed and the salt only."""
        mixed = np.random.SeedSequence([self.seed, *salt]).generate_state(1, np.uint64)[0]
        return torch.Generator().manual_seed(int(mixed) >> 1)

    def seed_everything(self) -> None:
        random.seed(self.seed)
        np.random.seed(self.seed % 2**32)
        torch.manual_seed(self.seed)


def world_size() -> int:
    """Number of processes that work together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process among them, from 0."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def init_processes(device: torch.device) -> torch.device:
    """Join the group that ``torchrun`` describes in the environment; without one, stay alone. Returns this process's device."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1 or dist.is_initialized():
        return device
    if device.type == "cuda":
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return device


def leave_processes() -> None:
    """Leave the group at the end of the work, when all are through it."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


def mean_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Mean of ``values`` over all processes, without gradient."""
    if world_size() == 1:
        return values
    total = values.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


class _Gather(torch.autograd.Function):
    """All-gather along the batch whose gradient reaches every process (the sum of all processes' gradients)."""

    @staticmethod
    def forward(ctx: Any, local: torch.Tensor) -> torch.Tensor:
        parts = [torch.empty_like(local) for _ in range(world_size())]
        dist.all_gather(parts, local.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def gather_with_gradient(local: torch.Tensor) -> torch.Tensor:
    """(B, ...) of this process -> (B x processes, ...), same batch size everywhere; the gradient flows to all."""
    if world_size() == 1:
        return local
    gathered: torch.Tensor = _Gather.apply(local)
    return gathered
