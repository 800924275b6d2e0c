"""BYOL (negative_free.md): DeepMind's pickles, and VISSL's port of the large one."""

from __future__ import annotations

import torch

from proofs import haiku, resnets
from proofs.negative_free import wide
from proofs.proof import Proof, Shapes, Tensors

_THIN = (2, 1, 1, 1)


def _fill(shapes: Shapes) -> Tensors:
    """Kernels that keep the size of what passes through them, and scales around 1."""
    made = {}
    for seed, (name, shape) in enumerate(shapes.items()):
        values = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        if name.endswith("/w"):
            made[name] = 1.5 * values / (shape[0] * shape[1] * shape[2]) ** 0.5
        elif name.endswith("/scale"):
            made[name] = 1 + 0.3 * values
    return made


def _byol(model: str, depth: int, width: int, blocks: tuple[int, ...], first: str = "") -> Proof:
    root = f"res_net{depth}/~"
    shapes = haiku.byol_shapes(root, _THIN, 8, first)
    return Proof(
        model=model,
        form=first,
        thin={"width": 8 // (width // 64), "blocks": list(_THIN)},
        shapes=shapes,
        full=haiku.byol_shapes(root, blocks, width, first),
        file=haiku.experiment,
        forward=haiku.byol_forward,
        image=(3, 64, 64),
        write=haiku.save,
        fill=_fill(shapes),
    )


PROOFS = [
    _byol("byol_resnet50", 50, 64, resnets.R50),
    _byol("byol_resnet50", 50, 64, resnets.R50, "_1"),
    _byol("byol_resnet200w2", 200, 128, (3, 24, 36, 3)),
    wide(
        "byol_vissl_resnet200w2",
        2,
        dict,
        blocks=(3, 24, 36, 3),
    ),
]
