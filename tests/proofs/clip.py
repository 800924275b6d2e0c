"""CLIP and OpenCLIP (multimodal.md 1 and 2): every model with both towers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from proofs import clips
from proofs.proof import Proof, Tensors, prefixed

SMALL_TEXT = {"layers": 1, "vocab_size": 50}


def _openai(t: Tensors) -> Tensors:
    sizes = {"input_resolution": 224, "context_length": 77, "vocab_size": 49408}
    mask = {"transformer.resblocks.0.attn_mask": torch.full((77, 77), float("-inf")).triu_(1)}
    return {**clips.as_openai_stores(t), **mask, **{name: torch.tensor(size) for name, size in sizes.items()}}


def _training_run(t: Tensors) -> dict[str, Any]:
    return {"epoch": 32, "name": "run", "state_dict": prefixed("module.", t), "optimizer": {"state": {}}}


def _safetensors(content: Tensors, folder: Path) -> Path:
    save_file(content, folder / "open_clip_model.safetensors")
    return folder / "open_clip_model.safetensors"


FORMS: dict[str, dict[str, Any]] = {
    "torchscript": {"file": _openai, "write": clips.torchscript_save},
    "run": {"file": _training_run},
    "flat": {},
    "safetensors": {"write": _safetensors},
}


def _proof(model: str, form: str, shapes: Any, full: Any, forward: Any, thin: Any, **more: Any) -> Proof:
    stored = form == "torchscript"
    return Proof(
        model=model,
        form=form,
        thin=thin,
        shapes=shapes,
        full=full,
        forward=(lambda t, x: forward({n: v.float() for n, v in clips.as_openai_stores(t).items()}, x))
        if stored
        else forward,
        **FORMS[form],
        **more,
    )


def _vit(
    model: str,
    form: str,
    image: tuple[int, int, int, int],
    text: tuple[int, int],
    joint: int,
    *,
    quick: bool = True,
    mlp: int | None = None,
    heads: int | None = None,
) -> Proof:
    """``image``: width, depth, patch and side; ``text``: width and depth."""
    width, depth, patch, size = image
    heads = heads or width // 64
    few, side = 2 if width < 1024 else 1, 4 * patch
    small = {"layers": few, "image_size": side}
    return _proof(
        model,
        form,
        clips.vit_shapes(width, few, patch, side, joint, mlp) | clips.text_shapes(text[0], 1, joint, 50),
        clips.vit_shapes(width, depth, patch, size, joint, mlp) | clips.text_shapes(*text, joint),
        clips.vit_forward(heads, clips.quick_gelu if quick else F.gelu),
        {"vision_cfg": small, "text_cfg": SMALL_TEXT},
        image=(3, side, side),
        wrong_heads={"vision_cfg": {**small, "head_width": width // (heads // 2)}},
    )


def _resnet(
    model: str, form: str, blocks: tuple[int, ...], width: int, size: int, text: tuple[int, int], joint: int
) -> Proof:
    few = {"layers": [2, 1, 1, 1], "width": 16, "image_size": 64}
    return _proof(
        model,
        form,
        clips.resnet_shapes((2, 1, 1, 1), 16, 64, joint) | clips.text_shapes(text[0], 1, joint, 50),
        clips.resnet_shapes(blocks, width, size, joint) | clips.text_shapes(*text, joint),
        clips.resnet_forward,
        {"vision_cfg": few, "text_cfg": SMALL_TEXT},
        image=(3, 64, 64),
        wrong_heads={"vision_cfg": {**few, "head_width": 128}},
    )


R50, R101 = (3, 4, 6, 3), (3, 4, 23, 3)

PROOFS = [
    _resnet("clip_resnet50", "torchscript", R50, 64, 224, (512, 12), 1024),
    _resnet("clip_resnet101", "torchscript", R101, 64, 224, (512, 12), 512),
    _resnet("clip_resnet50x4", "torchscript", (4, 6, 10, 6), 80, 288, (640, 12), 640),
    _resnet("clip_resnet50x16", "torchscript", (6, 8, 18, 8), 96, 384, (768, 12), 768),
    _resnet("clip_resnet50x64", "torchscript", (3, 15, 36, 10), 128, 448, (1024, 12), 1024),
    _vit("clip_vitb32", "torchscript", (768, 12, 32, 224), (512, 12), 512),
    _vit("clip_vitb16", "torchscript", (768, 12, 16, 224), (512, 12), 512),
    _vit("clip_vitl14", "torchscript", (1024, 24, 14, 224), (768, 12), 768),
    _vit("clip_vitl14_336", "torchscript", (1024, 24, 14, 336), (768, 12), 768),
    _resnet("openclip_resnet50_yfcc15m", "run", R50, 64, 224, (512, 12), 1024),
    _resnet("openclip_resnet50_cc12m", "run", R50, 64, 224, (512, 12), 1024),
    _resnet("openclip_resnet101_yfcc15m", "run", R101, 64, 224, (512, 12), 512),
    _vit("openclip_vitb32", "run", (768, 12, 32, 224), (512, 12), 512),
    _vit("openclip_vitb32", "flat", (768, 12, 32, 224), (512, 12), 512),
    _vit("openclip_vitb32_laion2b_e16", "run", (768, 12, 32, 224), (512, 12), 512, quick=False),
    _vit("openclip_vitb32_laion2b", "flat", (768, 12, 32, 224), (512, 12), 512, quick=False),
    _vit("openclip_vitb32_laion2b", "safetensors", (768, 12, 32, 224), (512, 12), 512, quick=False),
    _vit("openclip_vitb16", "run", (768, 12, 16, 224), (512, 12), 512, quick=False),
    _vit("openclip_vitb16_laion2b", "flat", (768, 12, 16, 224), (512, 12), 512, quick=False),
    _vit("openclip_vitb16_plus_240", "run", (896, 12, 16, 240), (640, 12), 640, quick=False),
    _vit("openclip_vitl14", "run", (1024, 24, 14, 224), (768, 12), 768, quick=False),
    _vit("openclip_vitl14_laion2b", "flat", (1024, 24, 14, 224), (768, 12), 768, quick=False),
    _vit("openclip_vith14", "flat", (1280, 32, 14, 224), (1024, 24), 1024, quick=False, heads=16),
    _vit("openclip_vitg14", "flat", (1408, 40, 14, 224), (1024, 24), 1024, quick=False, heads=16, mlp=6144),
    _vit("openclip_vitg14_s34b", "flat", (1408, 40, 14, 224), (1024, 24), 1024, quick=False, heads=16, mlp=6144),
    _vit("openclip_vitbigg14", "flat", (1664, 48, 14, 224), (1280, 32), 1280, quick=False, heads=16, mlp=8192),
]
