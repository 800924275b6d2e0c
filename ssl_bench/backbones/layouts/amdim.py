"""AMDIM: an encoder whose file holds many BatchNorms that it does not apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ssl_bench.backbones.layouts.layout import Layout, Tensors
from ssl_bench.errors import CheckpointError


def _encoder(content: Any) -> Tensors:
    """The tensors of ``encoder.module``; refuses a run with ``use_bn``, whose hidden BatchNorms are applied."""
    tensors = content.get("model") if isinstance(content, Mapping) else None
    if not isinstance(tensors, Mapping):
        raise CheckpointError("The checkpoint holds no `model`, as AMDIM's do.", "Name the right layout in the card.")
    if (content.get("hyperparams") or {}).get("use_bn"):
        raise CheckpointError(
            "This encoder was trained with use_bn: its hidden BatchNorms are applied, and the network here has none.",
            "The files that AMDIM's authors released were trained without.",
        )
    return {name: tensor for name, tensor in tensors.items() if isinstance(tensor, torch.Tensor)}


LAYOUTS = {
    # `rkhs_block_5` and `rkhs_block_7` project the inner maps for the loss only; the vector is the last 1 x 1 map.
    "amdim": Layout(
        extract=_encoder,
        drop=(
            r"^(evaluator|g2l_loss)\.",
            r"\.rkhs_block_[57]\.",
            r"\.layer_list\.\d+(\.layer_list\.\d+)?\.bn1\.bn\.",
            r"\.layer_list\.5\.bn\.",
        ),
        prefixes=("encoder.module.", "encoder."),
    ),
}
