"""Files without a method's own wrapping: a network's tensors, and perhaps a classifier."""

from __future__ import annotations

from torch import nn

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout, Tensors


def _timm_classifier(tensors: Tensors, module: nn.Module) -> Tensors:
    """Without timm's classifier (its name stands in timm's own configuration) and without tables that timm computes itself."""
    names = (getattr(module, "pretrained_cfg", None) or {}).get("classifier") or ()
    heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    own = set(module.state_dict())
    computed = ("relative_position_index", "attn_mask", "relative_coords_table")
    return {n: t for n, t in tensors.items() if n in own or not (n.startswith(heads) or n.endswith(computed))}


LAYOUTS = {
    "flat": Layout(unwrap=("model", "state_dict"), prefixes=("module.",)),
    "deit": Layout(unwrap=("model",), drop=(r"^head\.",), heads=VIT_HEADS),
    "torchvision": Layout(drop=(r"^fc\.",)),
    "timm": Layout(unwrap=("state_dict", "model"), prefixes=("module.",), hook=_timm_classifier, positions="antialias"),
}
