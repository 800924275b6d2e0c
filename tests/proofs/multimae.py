"""MultiMAE (multimodal.md 4) and VoLTA (captions.md)."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any

import torch
from torch.nn import functional as F

from proofs import swins, vits
from proofs.beits import buffers
from proofs.proof import Proof, Shapes, Tensors, prefixed, under
from proofs.vits import attention, layer_norm, linear

RGB = "input_adapters.rgb."


def multivit_shapes(depth: int) -> Shapes:
    """The encoder and what turns colour images into tokens, in the authors' names."""
    shapes = vits.vit_shapes(768, depth, norm=False)
    blocks = {n.replace("blocks.", "encoder."): shape for n, shape in shapes.items() if n.startswith("blocks.")}
    own = {"global_tokens": (1, 1, 768), f"{RGB}pos_emb": (1, 768, 14, 14)}
    proj: Shapes = {f"{RGB}proj.weight": (768, 3, 16, 16), f"{RGB}proj.bias": (768,)}
    return {**own, **proj, **blocks}


def multivit(network: Tensors) -> dict[str, Any]:
    rest = under("input_adapters.depth.", "pos_emb", "proj.weight", "proj.bias")
    rest |= under("input_adapters.semseg.", "pos_emb", "class_emb.weight", "proj.weight", "proj.bias")
    for task in ("rgb", "depth", "semseg", "norm_rgb"):
        rest |= under(f"output_adapters.{task}.", "task_embeddings.rgb", "mask_token", "pos_emb", "out_proj.weight")
    args = argparse.Namespace(in_domains=["rgb", "depth", "semseg"], num_global_tokens=1)
    return {"model": {**network, **rest}, "optimizer": {"state": {}}, "epoch": 1599, "args": args, "loss_balancer": {}}


def multivit_forward(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    """The mean of all tokens; the global token comes last and has no position, and there is no norm after the blocks."""
    x = F.conv2d(images, t[f"{RGB}proj.weight"], t[f"{RGB}proj.bias"], stride=16) + t[f"{RGB}pos_emb"]
    x = torch.cat([x.flatten(2).transpose(1, 2), t["global_tokens"].expand(len(x), -1, -1)], dim=1)
    i = 0
    while (at := f"encoder.{i}") + ".norm1.weight" in t:
        x = x + attention(t, f"{at}.attn", layer_norm(t, f"{at}.norm1", x), 12)
        y = F.gelu(linear(t, f"{at}.mlp.fc1", layer_norm(t, f"{at}.norm2", x)))
        x, i = x + linear(t, f"{at}.mlp.fc2", y), i + 1
    return x.mean(dim=1)


def _multimae(model: str) -> list[Proof]:
    own = Proof(
        model=model,
        form="multivit",
        thin=vits.THIN,
        shapes=multivit_shapes(2),
        full=multivit_shapes(12),
        file=multivit,
        forward=multivit_forward,
        wrong_heads={"num_heads": 6},
    )
    timms = Proof(
        model=model,
        form="timm",
        thin=vits.THIN,
        shapes=vits.vit_shapes(768, 2, norm=False),
        full=vits.vit_shapes(768, 12, norm=False),
        file=lambda t: {"model": t},
        forward=lambda t, images: vits.vit_tokens(t, images, 12).mean(dim=1),
        wrong_heads={"num_heads": 6},
    )
    return [own, timms]


def volta(network: Tensors) -> dict[str, Any]:
    """The last four blocks of the third stage and the two of the fourth attend to the text as well."""
    fusion: Tensors = {}
    parts = ("qkv_text_i2t", "qkv_i2t", "proj_i2t", "norm_i2t_i")
    for stage, blocks in ((2, range(14, 18)), (3, range(2))):
        for block in blocks:
            at = f"layers.{stage}.blocks.{block}.attn."
            fusion |= under(at, "alpha_i2t", *(f"{part}.{kind}" for part in parts for kind in ("weight", "bias")))
    image = prefixed(
        "vit_model.", {**network, **buffers(network), **fusion, **under("layers.0.blocks.1.", "attn_mask")}
    )
    text = under(
        "text_transformer.", "embeddings.word_embeddings.weight", "encoder.layer.0.attention.self.query.weight"
    )
    heads = under("", "g_img.0.weight", "g_text.1.running_mean", "inter_g_1_img.weight", "inter_g_2_text.running_var")
    heads |= under(
        "", "cross_modal_image_pooler.dense.bias", "mlm_score.decoder.weight", "itm_score.fc.bias", "logit_scale"
    )
    return {"epoch": 200, "model": {**image, **text, **heads}, "optimizer": {"state": {}, "param_groups": []}}


_DEPTHS, _HEADS, _THIN = (2, 2, 18, 2), (4, 8, 16, 32), (2, 1, 2, 1)

PROOFS = [
    *_multimae("multimae_vitb16"),
    *_multimae("mae_vitb16_multimae"),
    Proof(
        model="volta_swinb",
        thin={"depths": _THIN, "embed_dim": 32},
        shapes=swins.swin_shapes(32, _THIN, _HEADS, 12, 384),
        full=swins.swin_shapes(128, _DEPTHS, _HEADS, 12, 384),
        file=volta,
        forward=partial(swins.swin_forward, window=12, eps=1e-5),
        wrong_heads={"num_heads": [8, 16, 32, 64]},
        image=(3, 384, 384),
    ),
]
