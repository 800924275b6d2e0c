"""MoCo, instance discrimination, CMC and PyContrast: files of training runs, with projectors and other encoders."""

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
    # InstDisc: the classifier's place is taken by the linear map to 128 numbers. The file also holds the memory bank.
    "lemniscate": Layout(  # or without that map and bank, as VISSL converted it
        unwrap=("state_dict", "model_state_dict"), drop=(r"^(module\.)?fc\.",), prefixes=("module.", "_feature_blocks.")
    ),
    # InfoMin, and PyContrast's own InstDisc, MoCo and PIRL; `model_ema` beside `model` is the key encoder. Its CMC has
    # an encoder for luma and one for colour differences, each with its heads.
    "pycontrast": Layout(
        unwrap=("model",),
        drop=(r"^(module\.)?head[12]?(_jig)?\.",),
        prefixes=("module.encoder.", "encoder.", "module."),
        rename=((r"^encoder1\.", "light."), (r"^encoder2\.", "colour.")),
    ),
    # The authors' own CMC: named after what each encoder is to predict.
    "cmc": Layout(
        unwrap=("model",),
        drop=(r"\.(l_to_ab|ab_to_l)\.fc\.",),
        prefixes=("module.encoder.module.", "encoder.module.", "module.encoder."),
        rename=((r"^l_to_ab\.", "light."), (r"^ab_to_l\.", "colour.")),
    ),
}
