"""Coarse kinds of methods and networks, to filter by."""

from __future__ import annotations

METHOD_FAMILIES: dict[str, tuple[str, ...]] = {
    "pretext task": ("rotation", "jigsaw", "colorization"),
    "contrastive": (
        "instdisc",
        "npidpp",
        "cmc",
        "amdim",
        "pirl",
        "infomin",
        "moco",
        "mocov1",
        "mocov2",
        "mocov3",
        "simclr",
        "simclrv2",
    ),
    "clustering": ("swav", "deepclusterv2", "selav2", "obow"),
    "negative-free": ("byol", "simsiam", "barlowtwins", "vicreg", "dino"),
    "masked": (
        "mae",
        "beit",
        "simmim",
        "maskfeat",
        "cae",
        "data2vec",
        "multimae",
        "sdae",
        "splitmask",
        "ibot",
        "attmask",
        "msn",
        "ijepa",
        "maest",
        "audiomae",
    ),
    "image and text": ("clip", "openclip", "flip", "virtex", "icmlm", "volta"),
    "supervised": ("supervised",),
    "untrained": ("random", "raw_pixels"),
}
"""By what the loss asks for. DINO compares views only; iBOT, MSN and AttMask also hide patches, so they count as masked."""
_FAMILY_OF = {method: family for family, methods in METHOD_FAMILIES.items() for method in methods}

ARCHITECTURES = {
    "Swin": ("swin",),
    "ConvNeXt": ("convnext",),
    "ResNet": ("resnet", "resnext", "rn50", "rn101", "rn152", "rn200"),
    "ViT": ("vit", "deit", "beit", "eva", "xcit"),
}


def method_family(method: str) -> str:
    """``contrastive``, ``masked`` ...; ``other`` for methods that are not shipped."""
    return _FAMILY_OF.get(method.lower(), "other")


def family(architecture: str) -> str:
    """``ViT``, ``ResNet``, ``Swin``, ``ConvNeXt`` or ``other``."""
    name = architecture.lower().removeprefix("timm:")
    for kind, words in ARCHITECTURES.items():
        if any(word in name for word in words):
            return kind
    return "other"
