"""Masked image modelling with plain ViTs."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout

_IJEPA_HEADS = {1280: 16, 1408: 16}

LAYOUTS = {
    "mae": Layout(unwrap=("model",), drop=(r"^decoder_", r"^mask_token$"), heads=VIT_HEADS),
    # The head (a LayerNorm and a linear layer) comes after the last block: there is no norm of the encoder's own.
    "maskfeat": Layout(unwrap=("model_state",), drop=(r"^pred_head\.", r"^hogs\.", r"^mask_token$"), heads=VIT_HEADS),
    # The projector hangs on the encoder, with the norms of its own.
    "msn": Layout(
        unwrap=("target_encoder",),
        drop=(r"^(module\.)?fc\.",),
        prefixes=("module.",),
        positions="plain",
        heads=VIT_HEADS,
    ),
    # The paper evaluates the target encoder; timm and Transformers load the context encoder.
    "ijepa": Layout(unwrap=("target_encoder",), prefixes=("module.",), heads=_IJEPA_HEADS),
    "ijepa_context": Layout(unwrap=("encoder",), prefixes=("module.",), heads=_IJEPA_HEADS),
}
