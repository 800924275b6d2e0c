"""I-JEPA (masked.md 12): the mean of the patch tokens of the target encoder, after the norm."""

from __future__ import annotations

from typing import Any

import torch

from proofs import vits
from proofs.proof import ONE, Proof, Tensors, prefixed, under

G = (1408, 40)


def file(target: Tensors, context: Tensors | None = None) -> dict[str, Any]:
    """What train.py saves. Names of the context encoder are those of the target encoder."""
    return {
        "encoder": prefixed("module.", context or dict.fromkeys(target, ONE)),
        "predictor": under("module.", "mask_token", "predictor_embed.weight", "predictor_blocks.0.norm1.weight"),
        "target_encoder": prefixed("module.", target),
        "opt": {"state": {}},
        "scaler": None,
        "epoch": 300,
        "loss": 0.1,
        "batch_size": 128,
        "world_size": 16,
        "lr": 1e-6,
    }


def forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    return vits.layer_norm(t, "norm", vits.vit_tokens(t, images, 16)).mean(dim=1)


def _ijepa(model: str, size: tuple[int, int], patch: int, true_side: int) -> Proof:
    dim, depth = size
    hidden = 6144 if dim == 1408 else 4 * dim
    side = 8 * patch
    return Proof(
        model=model,
        thin={"depth": 1, "img_size": side},
        shapes=vits.vit_shapes(dim, 1, patch, side, cls=False, mlp=hidden),
        full=vits.vit_shapes(dim, depth, patch, true_side, cls=False, mlp=hidden),
        file=file,
        forward=forward,
        image=(3, side, side),
        wrong_heads={"num_heads": 8},
    )


PROOFS = [
    _ijepa("ijepa_vith14", vits.H, 14, 224),
    _ijepa("ijepa_vith16_448", vits.H, 16, 448),
    _ijepa("ijepa_vith14_in22k", vits.H, 14, 224),
    _ijepa("ijepa_vitg16_in22k", G, 16, 224),
]
