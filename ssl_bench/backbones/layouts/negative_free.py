"""DINO, SimSiam, Barlow Twins, VICReg, SwAV: the backbone alone, or a training run with its heads."""

from __future__ import annotations

from ssl_bench.backbones.layouts.layout import VIT_HEADS, Layout

# DINO's released backbone files are flat; a full file holds student and teacher. Networks with BatchNorm (ResNet-50)
# are wrapped for distributed training in both, ViTs in the student only, hence two prefixes.
_DINO_PREFIXES = ("module.backbone.", "backbone.", "module.")
_DINO_DROP = (r"^(module\.)?head\.",)

_BACKBONE_AND_PROJECTOR = Layout(
    unwrap=("model",), drop=(r"^(module\.)?(projector|bn)\.",), prefixes=("module.backbone.", "backbone.")
)

LAYOUTS = {
    "dino": Layout(unwrap=("teacher",), drop=_DINO_DROP, prefixes=_DINO_PREFIXES, positions="dino", heads=VIT_HEADS),
    "dino_student": Layout(
        unwrap=("student",), drop=_DINO_DROP, prefixes=_DINO_PREFIXES, positions="dino", heads=VIT_HEADS
    ),
    "simsiam": Layout(
        unwrap=("state_dict",),
        drop=(r"^(module\.)?(predictor|encoder\.fc)\.",),
        prefixes=("module.encoder.", "encoder."),
    ),
    # The released backbones are flat, the full checkpoints of both have the projector (and Barlow Twins' last norm).
    "barlowtwins": _BACKBONE_AND_PROJECTOR,
    "vicreg": _BACKBONE_AND_PROJECTOR,
    # SwAV, DeepCluster-v2 and SeLa-v2.
    "swav": Layout(
        unwrap=("state_dict",), drop=(r"^(module\.)?(projection_head|prototypes)\.",), prefixes=("module.",)
    ),
}
