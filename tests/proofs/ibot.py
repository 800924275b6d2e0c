"""iBOT and AttMask (masked.md 6, 7)."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

from proofs import swins, vits
from proofs.proof import ONE, Proof, Tensors, prefixed, under

_HEAD = ("head.mlp.0.weight", "head.last_layer.weight_g", "head.last_layer2.weight_v")


def released(network: Tensors) -> dict[str, Any]:
    """What extract_backbone_weights.py writes; of a student with the embedding of masked patches."""
    return {"state_dict": {**network, "masked_embed": ONE}}


def full(network: Tensors, chosen: str = "teacher") -> dict[str, Any]:
    """What main_ibot.py saves; ``chosen``: which of the two encoders is ``network``, the other one is of other values."""
    other: Tensors = dict.fromkeys(network, ONE)
    student, teacher = (network, other) if chosen == "student" else (other, network)
    masked = under("module.backbone.", "masked_embed")
    return {
        "student": {**prefixed("module.backbone.", student), **masked, **under("module.", *_HEAD)},
        "teacher": {**prefixed("backbone.", teacher), **under("", *_HEAD)},
        "optimizer": {"state": {}, "param_groups": [{"lr": 1e-3}]},
        "epoch": 800,
        "args": argparse.Namespace(arch="vit_small", pred_ratio=[0.0, 0.3], shared_head=True),
        "ibot_loss": under("", "center", "center2"),
        "fp16_scaler": {"scale": 65536.0},
    }


def _vit(model: str, size: tuple[int, int], chosen: str = "teacher", forms: tuple[str, ...] = ("full",)) -> list[Proof]:
    dim, depth = size
    files: dict[str, Callable[[Tensors], Any]] = {"released": released, "full": partial(full, chosen=chosen)}
    return [
        Proof(
            model=model,
            form=form,
            thin={"depth": 1},
            shapes=vits.vit_shapes(dim, 1),
            full=vits.vit_shapes(dim, depth),
            file=files[form],
            forward=vits.cls_after_norm(dim // 64),
            wrong_heads={"num_heads": dim // 32},
        )
        for form in ("released", *forms)
    ]


def _swin(window: int, form: str) -> Proof:
    """Both kinds of blocks in the first stage, where the windows are smaller than the map."""
    width, depths, heads = swins.TINY
    thin = (2, 1, 2, 1)

    def file(network: Tensors) -> dict[str, Any]:
        buffers = {name.replace("bias_table", "index"): ONE for name in network if name.endswith("bias_table")}
        return {"released": released, "full": full}[form]({**network, **buffers})

    return Proof(
        model=f"ibot_swint{window}",
        form=form,
        thin={"depths": thin},
        shapes=swins.swin_shapes(width, thin, heads, window),
        full=swins.swin_shapes(width, depths, heads, window),
        file=file,
        forward=partial(swins.swin_forward, window=window, eps=1e-6),
        wrong_heads={"num_heads": (6, 6, 12, 24)},
    )


PROOFS = [
    *_vit("ibot_vits16", vits.S),
    *_vit("ibot_vitb16", vits.B),
    *_vit("ibot_vitb16_rand", vits.B, forms=()),
    *_vit("ibot_vitl16", vits.L, forms=()),
    *_vit("ibot_vitl16_rand", vits.L, forms=()),
    *_vit("ibot_vitb16_in22k", vits.B, "student"),
    *_vit("ibot_vitl16_in22k", vits.L, "student", forms=()),
    *(_swin(window, form) for window in (7, 14) for form in ("released", "full")),
    *_vit("attmask_vits16", vits.S),
    *_vit("attmask_vits16_high_100ep", vits.S, forms=()),
    *_vit("attmask_vits16_hint_100ep", vits.S, forms=()),
    *_vit("attmask_vits16_high_20pct", vits.S, forms=()),
    *_vit("attmask_vits16_hint_20pct", vits.S, forms=()),
]
