"""Masked image modelling with plain ViTs."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout

LAYOUTS = {
    "mae": Layout(unwrap=("model",), drop=(r"^decoder_", r"^mask_token$"), heads=VIT_HEADS),
}
