"""What the processes of one training tell each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.distributed as dist

from ssl_bench.compute import mean_over_processes, world_size


def average_gradients(parameters: Sequence[torch.Tensor]) -> None:
    """Give every process the mean of all processes' gradients, in one exchange. A parameter without gradient must have
    none in any process."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    if world_size() == 1 or not gradients:
        return
    flat = mean_over_processes(torch.cat([gradient.flatten() for gradient in gradients]))
    parts = torch.split(flat, [gradient.numel() for gradient in gradients])
    for gradient, part in zip(gradients, parts, strict=True):
        gradient.copy_(part.view_as(gradient))


def any_process(flag: bool, device: torch.device) -> bool:
    """Whether any process says so: all act on it at the same step."""
    if world_size() == 1:
        return flag
    return bool(mean_over_processes(torch.tensor(float(flag), device=device)) > 0)


def wait() -> None:
    """Until all processes are here."""
    if world_size() > 1:
        dist.barrier()
