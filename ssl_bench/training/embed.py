"""What the trained network says about images as they will be evaluated, without touching the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.data.transforms import Preprocess


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Every part of ``module`` in eval mode, afterwards each in the mode that it had."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


class _Images(Dataset[torch.Tensor]):
    def __init__(self, split: Split, preprocess: Preprocess) -> None:
        self.split, self.preprocess = split, preprocess

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.preprocess(self.split.image(index))


def embed(
    encoder: nn.Module, split: Split, indices: np.ndarray, preprocess: PreprocessCard, compute: Compute
) -> torch.Tensor:
    """(N, D) float32 on the CPU: the encoder's vectors of these images with the evaluation transform, in fp32."""
    images = _Images(split.subset(indices), Preprocess(preprocess))
    loader = DataLoader(images, batch_size=128, num_workers=min(compute.workers, len(images) // 128))
    with evaluation_mode(encoder), torch.no_grad(), torch.random.fork_rng(devices=[]):
        return torch.cat([encoder(batch.to(compute.device)).float().cpu() for batch in loader])
