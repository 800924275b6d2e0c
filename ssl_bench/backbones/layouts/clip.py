"""CLIP of OpenAI and of OpenCLIP: both towers and the temperature, all of which must match."""

from __future__ import annotations

from dataclasses import replace

from ssl_bench.backbones.layouts.layout import Layout

_IMAGE_HEADS = {width: width // 64 for width in (512, 768, 896, 1024, 2048, 2560, 3072, 4096)}
"""64 channels a head in the ViTs, and in the attention pools of the ResNets (whose width is that of their last stage)."""

_OPEN_CLIP = Layout(
    unwrap=("state_dict",),
    prefixes=("module.",),
    positions="antialias",
    heads={**_IMAGE_HEADS, 1280: 16, 1408: 16, 1664: 16},  # H, g, bigG: 80, 88 and 104 channels a head
    text_heads={width: width // 64 for width in (512, 640, 768, 1024, 1280)},
)

LAYOUTS = {
    "open_clip": _OPEN_CLIP,
    # OpenAI's TorchScript archives say their sizes in three scalars; were they scripted and not traced, the causal mask
    # would be in them too.
    "openai_clip": replace(_OPEN_CLIP, drop=(r"^(input_resolution|context_length|vocab_size)$", r"(^|\.)attn_mask$")),
}
