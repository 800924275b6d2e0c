"""BEiT, data2vec, SimMIM, CAE (masked.md 2, 4, 8, 10)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import torch

from proofs import swins, vits
from proofs.beits import beit_blocks, beit_shapes, buffers
from proofs.proof import ONE, Proof, Tensors, prefixed, torch_save, under
from proofs.vits import layer_norm

Forward = Callable[[Tensors, torch.Tensor], torch.Tensor]
WIDTHS = {768: (12, 12), 1024: (24, 16)}
"""Width -> depth, heads."""


def cls_mean_before_norm(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    last = beit_blocks(t, images, len(t["cls_token"].flatten()) // 64)[-1]
    return torch.cat([last[:, 0], last[:, 1:].mean(dim=1)], dim=1)


def mean_after_norm(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    last = beit_blocks(t, images, len(t["cls_token"].flatten()) // 64)[-1]
    return layer_norm(t, "norm", last)[:, 1:].mean(dim=1)


def cls_after_norm(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    last = beit_blocks(t, images, len(t["cls_token"].flatten()) // 64)[-1]
    return layer_norm(t, "norm", last)[:, 0]


def norm_after_mean(t: Tensors, images: torch.Tensor) -> torch.Tensor:
    """The fine-tuned network's: the class token is not used."""
    last = beit_blocks(t, images, len(t["cls_token"].flatten()) // 64)[-1]
    return layer_norm(t, "fc_norm", last[:, 1:].mean(dim=1))


def _proof(
    model: str, dim: int, file: Any, forward: Forward, form: str = "", write: Any = torch_save, **kind: Any
) -> Proof:
    depth, heads = WIDTHS[dim]
    return Proof(
        model=model,
        form=form,
        thin=vits.THIN,
        shapes=beit_shapes(dim, 2, heads, **kind),
        full=beit_shapes(dim, depth, heads, **kind),
        file=file,
        forward=forward,
        wrong_heads={"num_heads": heads // 2},
        write=write,
    )


def pretrained(network: Tensors, key: str = "model") -> dict[str, Any]:
    return {key: {**network, **buffers(network), **under("", "mask_token", "lm_head.weight", "lm_head.bias")}}


def _finetuned(network: Tensors) -> dict[str, Any]:
    return {"model": {**network, **buffers(network), **under("head.", "weight", "bias")}}


def data2vec(network: Tensors, chosen: str = "model") -> dict[str, Any]:
    """What the run saves; ``chosen``: which of student and teacher is ``network``, the other is of other values."""
    networks = {"model": network, "model_ema": network}
    networks["model_ema" if chosen == "model" else "model"] = dict.fromkeys(network, ONE)
    return {
        **{key: pretrained(tensors)["model"] for key, tensors in networks.items()},
        "optimizer": {"state": {}, "param_groups": [{"lr": 2e-3}]},
        "epoch": 799,
        "scaler": {"scale": 1.0},
        "args": argparse.Namespace(model="beit_base_patch16_224", target_layers="[6,7,8,9,10,11]"),
    }


class CfgNode(dict):  # type: ignore[type-arg]
    """The class of yacs's configurations, by name."""

    __module__ = "yacs.config"


def simmim(network: Tensors) -> dict[str, Any]:
    rest = under("", "encoder.mask_token", "decoder.0.weight", "decoder.0.bias")
    masks = under("encoder.layers.0.blocks.1.", "attn_mask") if "layers.0.blocks.1.norm1.weight" in network else {}
    return {
        "model": {**prefixed("encoder.", {**network, **buffers(network)}), **masks, **rest},
        "optimizer": {"state": {}},
        "lr_scheduler": {"milestones": [700]},
        "max_accuracy": 0.0,
        "epoch": 799,
        "config": CfgNode(MODEL=CfgNode(TYPE="swin"), DATA=CfgNode(IMG_SIZE=192)),
    }


def write_simmim(content: Any, folder: Path) -> Path:
    """With the run's configuration as an object of a class that only the authors' machine has."""
    module = ModuleType("yacs.config")
    module.CfgNode = CfgNode  # type: ignore[attr-defined]
    with mock.patch.dict(sys.modules, {"yacs": ModuleType("yacs"), "yacs.config": module}):
        return torch_save(content, folder)


def _simmim_swin(model: str, width: int, heads: tuple[int, ...], window: int) -> Proof:
    """Thin: a quarter of a head's width, and both kinds of blocks in the first stage."""
    depths, thin = (2, 2, 18, 2), (2, 1, 2, 1)
    return Proof(
        model=model,
        thin={"depths": thin, "embed_dim": width // 4},
        shapes=swins.swin_shapes(width // 4, thin, heads, window, 192),
        full=swins.swin_shapes(width, depths, heads, window, 192),
        file=simmim,
        write=write_simmim,
        forward=partial(swins.swin_forward, window=window, eps=1e-5),
        wrong_heads={"num_heads": [2 * number for number in heads]},
        image=(3, 192, 192),
    )


def cae(network: Tensors) -> dict[str, Any]:
    encoder = prefixed("encoder.", network)
    aligned = prefixed("alignment_encoder.", dict.fromkeys(network, ONE))
    rest = under("", "mask_token", "rd_pos_embed", "regresser.regressor_blocks.0.norm1_q.weight", "decoder.head.weight")
    return {"model": {**aligned, **encoder, **rest}, "epoch": 799, "args": argparse.Namespace(model_type="cae")}


PROOFS = [
    _proof("beit_vitb16", 768, pretrained, cls_mean_before_norm),
    _proof("beit_vitb16", 768, partial(pretrained, key="module"), cls_mean_before_norm, "module"),
    _proof("beit_vitl16", 1024, pretrained, cls_mean_before_norm),
    _proof("beit_vitb16_in1k", 768, pretrained, cls_mean_before_norm, positions="absolute", scale=False),
    _proof("beit_vitb16_ft22k", 768, _finetuned, norm_after_mean, positions="each", norm="fc_norm"),
    _proof("beit_vitl16_ft22k", 1024, _finetuned, norm_after_mean, positions="each", norm="fc_norm"),
    _proof("data2vec_vitb16", 768, data2vec, mean_after_norm),
    _proof("data2vec_vitb16_teacher", 768, partial(data2vec, chosen="model_ema"), mean_after_norm),
    _proof("data2vec_vitl16", 1024, data2vec, mean_after_norm),
    _proof("simmim_vitb16", 768, simmim, mean_after_norm, write=write_simmim),
    _simmim_swin("simmim_swinb", 128, (4, 8, 16, 32), 6),
    _simmim_swin("simmim_swinb_100ep", 128, (4, 8, 16, 32), 6),
    _simmim_swin("simmim_swinl", 192, (6, 12, 24, 48), 12),
    *(
        _proof(model, dim, cae, cls_after_norm, positions="absolute")
        for model, dim in (
            ("cae_vitb16", 768),
            ("cae_vitb16_800ep", 768),
            ("cae_vitb16_300ep", 768),
            ("cae_vitl16", 1024),
        )
    ),
]
