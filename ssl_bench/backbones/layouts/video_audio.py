"""MAE-ST (video) and Audio-MAE: encoders of masked autoencoders, the decoder beside them."""

from __future__ import annotations

import re

import torch
from torch import nn

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout, Tensors

_QUERY = re.compile(r"(blocks\.\d+\.attn)\.q\.(weight|bias)")


def _one_qkv(tensors: Tensors, _: nn.Module) -> Tensors:
    """mae_st has three linear layers for query, key and value, PySlowFast (and this package) one, in this order."""
    for name in list(tensors):
        if found := _QUERY.fullmatch(name):
            parts = [tensors.get(f"{found[1]}.{part}.{found[2]}") for part in "qkv"]
            three = [part for part in parts if part is not None and part.shape == tensors[name].shape]
            if len(three) == 3:
                tensors = {n: t for n, t in tensors.items() if n not in {f"{found[1]}.{p}.{found[2]}" for p in "qkv"}}
                tensors[f"{found[1]}.qkv.{found[2]}"] = torch.cat(three)
    return tensors


LAYOUTS = {
    # `model` or `model_state`; PySlowFast calls the decoder's parts `dec_pos_embed_*` and `pred_head`.
    "maest": Layout(
        unwrap=("model", "model_state"),
        drop=(r"^(decoder_|dec_pos_embed|pred_head\.|mask_token$|head\.)",),
        hook=_one_qkv,
        heads=VIT_HEADS,
    ),
    # Positions are taken as stored: the authors' table does not fit the order of the patches, nor a recomputed one it.
    "audiomae": Layout(unwrap=("model",), drop=(r"^(decoder_|mask_token$|head\.)",), heads=VIT_HEADS),
}
