"""BEiT and its relatives: no bias of the keys, hence the biases of queries and values as two tensors; layer scale."""

from __future__ import annotations

import torch
from torch import nn

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout, Tensors
from ssl_bench.backbones.layouts.swin import COMPUTED, TO_TIMM

_HEAD = (r"^(lm_head|head)\.", r"^mask_token$", *COMPUTED)


def join_biases(tensors: Tensors, module: nn.Module) -> Tensors:
    """``q_bias`` and ``v_bias`` of BEiT's attention as the one bias of a plain ViT's: (q, 0, v)."""
    joined = dict(tensors)
    for name in [n for n in tensors if n.endswith(".q_bias")]:
        at = name.removesuffix("q_bias")
        if f"{at}v_bias" in tensors:
            q, v = joined.pop(name), joined.pop(f"{at}v_bias")
            joined[f"{at}qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])
    return joined


LAYOUTS = {
    "beit": Layout(unwrap=("model", "module"), drop=_HEAD, heads=VIT_HEADS),
    # The student, which the authors fine-tune; its teacher is in the same file.
    "data2vec": Layout(unwrap=("model",), drop=_HEAD, heads=VIT_HEADS),
    "data2vec_teacher": Layout(unwrap=("model_ema",), drop=_HEAD, heads=VIT_HEADS),
    # ViT of BEiT's kind, or Swin.
    "simmim": Layout(
        unwrap=("model",),
        drop=(*COMPUTED, r"^decoder\.", r"^encoder\.mask_token$"),
        prefixes=("encoder.",),
        rename=TO_TIMM,
        heads=VIT_HEADS,
    ),
    # A plain ViT but for the biases. What its names begin with counts: "encoder." is within "alignment_encoder." too.
    "cae": Layout(
        unwrap=("model", "module", "state_dict"),
        drop=(r"^(?!encoder\.)",),
        prefixes=("encoder.",),
        rename=((r"\.gamma_([12])$", r".ls\1.gamma"),),
        hook=join_biases,
        heads=VIT_HEADS,
    ),
}
