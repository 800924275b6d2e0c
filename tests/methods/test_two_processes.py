"""Two processes with half a batch each compute what one process computes with the whole."""

import os
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from ssl_bench.methods.contrastive.simclr import nt_xent
from ssl_bench.methods.load import load_method

N, D = 8, 6


class Rows(nn.Module):
    """Views are (B, 3, 1, 2) here: flattened and mapped linearly."""

    embed_dim = D

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(D, D)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(images.flatten(1))


def simclr(part: slice) -> tuple[torch.Tensor, torch.Tensor]:
    """Loss, and its gradient with respect to a shared weight matrix."""
    torch.manual_seed(0)
    weight = torch.randn(D, D, requires_grad=True)
    x1, x2 = torch.randn(2, N, D)
    loss, _ = nt_xent(x1[part] @ weight, x2[part] @ weight, 0.2)
    loss.backward()
    return loss.detach(), weight.grad


def centre(part: slice) -> torch.Tensor:
    """DINO's centre after two steps."""
    torch.manual_seed(0)
    method = load_method("dino", Rows(), prototypes=5, hidden_dim=8, local_crops=0, head_layers=2)
    for step in range(2):
        views = [torch.randn(N, 3, 1, 2) for _ in range(2)]
        method([view[part] for view in views], step)
        method.after_step(step)
    return method.centre


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    half = slice(rank * N // 2, (rank + 1) * N // 2)
    loss, gradient = simclr(half)
    for value in (loss, gradient):  # what DistributedDataParallel does with gradients
        dist.all_reduce(value)
    found = {"loss": loss / 2, "gradient": gradient / 2, "centre": centre(half)}
    if rank == 0:
        torch.save(found, Path(folder) / "found.pt")
    dist.barrier()  # a process that leaves early makes the other abort in the middle of its last exchange
    dist.destroy_process_group()


def test_simclr_and_dino_do_not_depend_on_the_number_of_processes(tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]))
    mp.spawn(_process, args=(str(tmp_path),), nprocs=2)
    found = torch.load(tmp_path / "found.pt", weights_only=True)
    loss, gradient = simclr(slice(None))
    assert torch.allclose(found["loss"], loss, atol=1e-6)
    assert torch.allclose(found["gradient"], gradient, atol=1e-6)
    assert torch.allclose(found["centre"], centre(slice(None)), atol=1e-6)
    assert found["centre"].abs().sum() > 0
