"""MoCo: files of training runs, with a key encoder beside the query encoder."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout

LAYOUTS = {
    # MoCo v1 and v2: the query encoder; its projector stands in the place of the classifier.
    "moco": Layout(
        unwrap=("state_dict",),
        drop=(r"^(module\.)?(encoder_k|encoder_q\.fc)\.", r"^(module\.)?queue"),
        prefixes=("module.encoder_q.", "encoder_q."),
    ),
    # Its ViT-S has 12 heads, unlike everybody else's.
    "mocov3": Layout(
        unwrap=("state_dict",),
        drop=(r"^(module\.)?(momentum_encoder|predictor|base_encoder\.(fc|head))\.",),
        prefixes=("module.base_encoder.", "base_encoder."),
        heads={**VIT_HEADS, 384: 12},
    ),
}
