"""What the trained network says about images as they will be evaluated, without touching the training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.data.loader import image_batches


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


def embed(backbone: Backbone, split: Split, indices: np.ndarray, compute: Compute) -> tuple[np.ndarray, torch.Tensor]:
    """(N,) positions in the split and (N, D) vectors in fp32 on the CPU, with the evaluation transform.

    With ``compute.skip_broken`` images that cannot be read are left out.
    """
    ignore = (lambda position, error: None) if compute.skip_broken else None
    batches = image_batches(
        split, backbone.preprocess, indices, 128, compute.workers, device=compute.device, on_broken=ignore
    )
    with evaluation_mode(backbone), torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = [(where, backbone(images).float().cpu()) for where, images in batches]
    return np.concatenate([where for where, _ in found]), torch.cat([features for _, features in found])
