"""MAE-ST and Audio-MAE (multimodal.md 5 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

from proofs import vits
from proofs.proof import Proof, Shapes, Tensors, under
from proofs.vits import layer_norm, linear


def video_shapes(dim: int, depth: int, places: int, times: int, *, fused: bool) -> Shapes:
    """``places`` and ``times``: positions in a frame, and steps of two frames. ``fused``: one layer for q, k, v (PySlowFast)."""
    plain = vits.vit_shapes(dim, depth)
    shapes = {n: s for n, s in plain.items() if n not in {"pos_embed", "patch_embed.proj.weight"} and "qkv" not in n}
    shapes |= {
        "pos_embed_spatial": (1, places, dim),
        "pos_embed_temporal": (1, times, dim),
        "pos_embed_class": (1, 1, dim),
        "patch_embed.proj.weight": (dim, 3, 2, 16, 16),
    }
    for i in range(depth):
        for part, out in (("qkv", 3 * dim),) if fused else (("q", dim), ("k", dim), ("v", dim)):
            shapes |= {f"blocks.{i}.attn.{part}.weight": (out, dim), f"blocks.{i}.attn.{part}.bias": (out,)}
    return shapes


def video_forward(heads: int) -> Callable[[Tensors, torch.Tensor], torch.Tensor]:
    """Positions laid out with ``repeat`` and ``repeat_interleave``: all places of the first time, then of the second."""

    def forward(t: Tensors, clips: torch.Tensor) -> torch.Tensor:
        x = F.conv3d(clips, t["patch_embed.proj.weight"], t["patch_embed.proj.bias"], stride=(2, 16, 16))
        batch, dim, times, rows, columns = x.shape
        x = x.permute(0, 2, 3, 4, 1).reshape(batch, times * rows * columns, dim)
        x = x + t["pos_embed_spatial"].repeat(1, times, 1)
        x = x + t["pos_embed_temporal"].repeat_interleave(rows * columns, dim=1)
        x = torch.cat([(t["cls_token"] + t["pos_embed_class"]).expand(batch, -1, -1), x], dim=1)
        i = 0
        while (at := f"blocks.{i}") + ".norm1.weight" in t:
            y = layer_norm(t, f"{at}.norm1", x)
            if f"{at}.attn.qkv.weight" in t:
                x = x + vits.attention(t, f"{at}.attn", y, heads)
            else:
                q, k, v = (
                    linear(t, f"{at}.attn.{p}", y).reshape(batch, -1, heads, dim // heads).transpose(1, 2)
                    for p in "qkv"
                )
                mixed = (q @ k.transpose(-2, -1) * (dim // heads) ** -0.5).softmax(dim=-1) @ v
                x = x + linear(t, f"{at}.attn.proj", mixed.transpose(1, 2).reshape(batch, -1, dim))
            x = x + linear(t, f"{at}.mlp.fc2", F.gelu(linear(t, f"{at}.mlp.fc1", layer_norm(t, f"{at}.norm2", x))))
            i += 1
        return layer_norm(t, "norm", x[:, 1:].mean(dim=1))

    return forward


def _mae_st(t: Tensors) -> dict[str, Any]:
    """With the decoder; the released files may have left it out."""
    rest = under("", "mask_token", "decoder_cls_token", "decoder_pos_embed_spatial", "decoder_blocks.0.attn.q.weight")
    return {"model": {**t, **rest}, "epoch": 400}


def _slowfast(t: Tensors) -> dict[str, Any]:
    rest = under(
        "", "mask_token", "decoder_embed.weight", "dec_pos_embed_temporal", "pred_head.transforms.0.0.attn.qkv.weight"
    )
    return {"epoch": 199, "model_state": {**t, **rest}, "optimizer_state": {"state": {}}, "cfg": "TRAIN: {}"}


FORMS: dict[str, Callable[[Tensors], Any]] = {
    "mae_st": _mae_st,
    "encoder": lambda t: {"model_state": t},
    "slowfast": _slowfast,
}


def _video(model: str, size: tuple[int, int], form: str) -> Proof:
    (dim, depth), fused = size, form == "slowfast"
    return Proof(
        model=model,
        form=form,
        thin={"embed_dim": dim, "num_heads": {768: 12}.get(dim, 16), "depth": 1, "frames": 4, "img_size": 48},
        shapes=video_shapes(dim, 1, 9, 2, fused=fused),
        full=video_shapes(dim, depth, 196, 8, fused=fused),
        file=FORMS[form],
        forward=video_forward({768: 12}.get(dim, 16)),
        image=(3, 4, 48, 48),
        wrong_heads={"num_heads": 8},
    )


def audio_shapes(depth: int, norm: str, tokens: int = 513) -> Shapes:
    shapes = vits.vit_shapes(768, depth, norm=False)
    shapes |= {"pos_embed": (1, tokens, 768), "patch_embed.proj.weight": (768, 1, 16, 16)}
    return shapes | {f"{norm}.weight": (768,), f"{norm}.bias": (768,)}


def audio_forward(t: Tensors, spectrograms: torch.Tensor) -> torch.Tensor:
    """Pre-trained: the mean of the normalised patch tokens. Fine-tuned: the mean of the patch tokens, normalised."""
    tokens = vits.vit_tokens(t, spectrograms, 12)[:, 1:]
    if "fc_norm.weight" in t:
        return layer_norm(t, "fc_norm", tokens.mean(dim=1))
    return layer_norm(t, "norm", tokens).mean(dim=1)


def _audio(model: str, norm: str, *rest: str) -> Proof:
    return Proof(
        model=model,
        thin={"depth": 2, "img_size": [128, 32]},
        shapes=audio_shapes(2, norm, 17),
        full=audio_shapes(12, norm),
        file=lambda t: {"model": {**t, **under("", *rest)}, "epoch": 32},
        forward=audio_forward,
        image=(1, 128, 32),
        wrong_heads={"num_heads": 6},
    )


PROOFS = [
    _video("maest_vitb16", vits.B, "slowfast"),
    _video("maest_vitl16", vits.L, "encoder"),
    _video("maest_vitl16_slowfast", vits.L, "slowfast"),
    _video("maest_vith16_slowfast", vits.H, "slowfast"),
    *(
        _video(f"{model}{data}", size, "mae_st")
        for model, size in (("maest_vitl16", vits.L), ("maest_vith16", vits.H))
        for data in ("", "_k600", "_k700")
    ),
    _audio(
        "audiomae_vitb16",
        "norm",
        "mask_token",
        "decoder_pos_embed",
        "decoder_blocks.0.attn.tau",
        "decoder_blocks.0.attn.meta_mlp.fc1.weight",
    ),
    _audio("audiomae_vitb16_finetuned", "fc_norm", "head.weight", "head.bias"),
]
