"""Two processes with half of the images each end with the weights and answers of one process with all."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from protocols.finetune_toys import SIDE, TINY, backbone, compute, split

from ssl_bench.protocols.finetune.score import answers, preprocess_for_test
from ssl_bench.protocols.finetune.train import train

RECIPE = replace(
    TINY, optimizer="sgd", lr=0.02, mixup=0.8, cutmix=1.0, smoothing=0.1, repeats=3, ema=0.5, layer_decay=0.75
)
"""SGD: Adam's first steps are the gradients' signs, which rounding may turn."""


def trained(folder: Path) -> dict[str, Any]:
    net, data = backbone(), split(48, 0)
    made = train(net, data, RECIPE, SIDE, compute(folder), "toy")
    found = answers(made.net, split(31, 1), preprocess_for_test(net.preprocess, RECIPE, SIDE, 1.0), compute(folder))
    average = made.average
    assert average is not None
    state = {f"net.{name}": tensor for name, tensor in made.net.state_dict().items()}
    state |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    return {"state": state, "index": torch.from_numpy(found.index), "score": torch.from_numpy(found.score)}


def _process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    found = trained(Path(folder))
    torch.save(found, Path(folder) / f"found{rank}.pt")
    dist.barrier()  # a process that leaves early makes the other abort in the middle of its last exchange
    dist.destroy_process_group()


def test_two_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    here = str(Path(__file__).parent.parent)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([here, os.environ.get("PYTHONPATH", "")]))
    mp.spawn(_process, args=(str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"found{rank}.pt", weights_only=True) for rank in (0, 1))
    whole = trained(tmp_path / "one")
    start = dict(backbone().named_parameters())
    moved = max(float((whole["state"][f"net.backbone.{n}"] - p).abs().max()) for n, p in start.items())
    assert moved > 1e-3
    for name, tensor in whole["state"].items():
        torch.testing.assert_close(first["state"][name], tensor, atol=1e-5, rtol=1e-4, msg=name)
        assert torch.equal(first["state"][name], second["state"][name])
    for found in (first, second):
        assert found["index"].tolist() == list(range(31))
        torch.testing.assert_close(found["score"], whole["score"], atol=1e-4, rtol=1e-4)
