"""lemniscate's files of instance discrimination (pretext.md)."""

from __future__ import annotations

from typing import Any

import torch

from proofs import resnets
from proofs.negative_free import resnet
from proofs.proof import Proof, Tensors, prefixed
from proofs.resnets import basic_forward, basic_shapes


def lemniscate(backbone: Tensors) -> dict[str, Any]:
    """The memory bank, an object beside the tensors, is in tests/backbones/test_inert.py."""
    head = {"fc.weight": torch.ones(128, 2048), "fc.bias": torch.ones(128)}
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": 0.03, "params": [0]}]}
    state = prefixed("module.", {**backbone, **head})
    return {"epoch": 200, "arch": "resnet50", "state_dict": state, "best_prec1": 0.47, "optimizer": optimizer}


def resnet18(model: str, file: Any, form: str = "", **more: Any) -> Proof:
    return Proof(
        model=model,
        form=form,
        thin={"layers": [2, 1, 1, 1], "channels": [8, 16, 24, 32]},
        shapes=basic_shapes(resnets.THIN_BLOCKS, resnets.THIN_WIDTHS),
        full=basic_shapes(),
        file=file,
        forward=basic_forward,
        image=(3, 64, 64),
        **more,
    )


PROOFS = [
    resnet("instdisc_resnet50", lemniscate),
    resnet("instdisc_resnet50_nce", lemniscate),
    resnet18("instdisc_resnet18", lemniscate),
]
