"""DINO, SimSiam, Barlow Twins, VICReg, SwAV, OBoW: the backbone alone, or a training run with its heads."""

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
    # OBoW: torchvision's names with a `fc` of 8192 visual words; or numbered blocks, alone or in a run beside the teacher.
    "obow": Layout(
        unwrap=("network",),
        drop=(
            r"^(module\.)?(feature_extractor_teacher|bow_extractor|bow_predictor|linear_classifier|fc)\.",
            r"^(module\.)?_(alpha|iteration)$",
        ),
        prefixes=tuple(
            f"{wrapped}{outer}_feature_blocks." for wrapped in ("module.", "") for outer in ("feature_extractor.", "")
        ),
        rename=((r"^0\.(Conv|0)\.", "conv1."), (r"^0\.(bn|1)\.", "bn1."), (r"^([1-4])\.", r"layer\1.")),
    ),
}
