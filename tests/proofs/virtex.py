"""VirTex's backbone file and its full models (captions.md)."""

from __future__ import annotations

from typing import Any

from proofs.negative_free import resnet
from proofs.proof import Proof, Tensors, prefixed, under
from proofs.resnets import R50, THIN_BLOCKS, resnet_forward, resnet_shapes


def _model(backbone: Tensors) -> dict[str, Any]:
    textual = under(
        "",
        *("textual.visual_projection.weight", "textual.embedding.words.weight", "textual.output.bias"),
        *("backward_textual.transformer.layers.0.norm1.weight", "backward_textual.embedding.positions.weight"),
    )
    return {
        "model": {**prefixed("visual.cnn.", backbone), **textual},
        "optimizer": {"state": {}, "param_groups": []},
        "scheduler": {"last_epoch": 500000},
        "scaler": {"scale": 65536.0},
        "iteration": 500000,
    }


def _other(model: str, blocks: tuple[int, ...], group_width: int = 64) -> Proof:
    """``group_width`` 128: torchvision's ``wide_resnet50_2``."""
    widths = (8, 16, 24, 32)
    return Proof(
        model=model,
        thin={"layers": list(THIN_BLOCKS), "channels": list(widths)},
        shapes=resnet_shapes(THIN_BLOCKS, widths, group_width=group_width),
        full=resnet_shapes(blocks, group_width=group_width),
        file=_model,
        forward=resnet_forward,
        image=(3, 64, 64),
    )


PROOFS = [
    resnet("virtex_resnet50", dict, "backbone"),
    resnet("virtex_resnet50", _model, "full"),
    *(resnet(f"virtex_resnet50_{task}", _model) for task in ("captioning", "tokens", "multilabel", "masked_lm")),
    _other("virtex_wide_resnet50_2", R50, 128),
    _other("virtex_resnet101", (3, 4, 23, 3)),
]
