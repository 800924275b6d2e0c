"""Recipes of detection: what a paper states, for the kind of network it states it for."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.clip import ClipResNetBackbone
from ssl_bench.backbones.convnet import ConvNetBackbone
from ssl_bench.errors import SettingsError

Name = Literal["voc", "voc_byol", "coco", "coco_1x", "small"]
Detector = Literal["c4", "fpn", "simple"]
Resizing = Literal["short", "long", "jitter"]
Kind = Literal["resnet", "vit", "other"]


@dataclass(frozen=True)
class Recipe:
    """``detector``: ``c4`` (the box head is the last stage), ``fpn``, or ``simple`` (ViTDet's pyramid). ``lr`` is for a batch of
    ``batch_size``; it is multiplied by 0.1 at each of ``milestones``, in steps.

    ``resizing`` of training images: the ``short`` or the ``long`` side becomes one of ``sides`` pixels, none more than
    ``max_side``; or ``jitter``: the longest side becomes ``test_side`` times U(``scale``), then a random square of
    ``test_side`` is taken. At test that side is ``test_side`` pixels; with ``jitter`` the longest, padded to a square.
    ``anchors``: sides of the RPN's boxes in pixels; a pyramid has one a level. ``rois``: boxes of an image on which the
    heads are trained at each step. ``width``: channels of a pyramid; its fully connected layers have four times as many.
    ``precise_bn``: batches over which the
    statistics of BatchNorm are counted anew before the test. ``source`` is the paper or says that the numbers are ours.
    """

    source: str
    detector: Detector
    optimizer: Literal["sgd", "adamw"]
    lr: float
    weight_decay: float
    steps: int
    milestones: tuple[int, ...]
    warmup: int
    batch_size: int = 16
    resizing: Resizing = "short"
    sides: tuple[int, ...] = tuple(range(640, 801, 32))
    scale: tuple[float, float] = (0.1, 2.0)
    test_side: int = 800
    max_side: int = 1333
    anchors: tuple[int, ...] = (32, 64, 128, 256, 512)
    rois: int = 512
    width: int = 256
    layer_decay: float = 1.0
    drop_path: float = 0.0
    precise_bn: int = 0


# facebookresearch/moco detection/, whose rest is detectron2's defaults (warm-up of COCO: 1,000 steps).
MOCO = Recipe(
    "MoCo (arXiv 1911.05722), facebookresearch/moco detection",
    *("c4", "sgd", 0.02, 1e-4),
    steps=180_000,
    milestones=(120_000, 160_000),
    warmup=1000,
    precise_bn=200,
)
MOCO_VOC = replace(MOCO, steps=24_000, milestones=(18_000, 22_000), warmup=100, sides=tuple(range(480, 801, 32)))
# BYOL, appendix: asynchronous SGD of nine workers, 1.5 M steps. Read here as one image a worker, summed: nine images a
# step, a ninth of the steps, nine times the rate. The size of test images is not stated.
BYOL_VOC = replace(
    MOCO_VOC,
    source="BYOL (arXiv 2006.07733), appendix; asynchronous training made synchronous",
    lr=9e-3,
    batch_size=9,
    steps=166_667,
    milestones=(111_111, 133_333),
    resizing="long",
    sides=tuple(range(480, 1025)),
    test_side=1024,
    max_side=1024,
)
VITDET = Recipe(
    "ViTDet (arXiv 2203.16527), facebookresearch/detectron2 projects/ViTDet",
    *("simple", "adamw", 1e-4, 0.1),
    steps=184_375,
    milestones=(163_889, 177_546),
    warmup=250,
    batch_size=64,
    resizing="jitter",
    test_side=1024,
    layer_decay=0.7,
    drop_path=0.1,
)
SWIN = Recipe(
    "Swin (arXiv 2103.14030): AdamW and its rates; the schedule is MoCo's",
    *("fpn", "adamw", 1e-4, 0.05),
    steps=180_000,
    milestones=(120_000, 160_000),
    warmup=1000,
    drop_path=0.2,
)
_SHORT: dict[str, Any] = {"steps": 90_000, "milestones": (60_000, 80_000)}
_VOC: dict[str, Any] = {"steps": 24_000, "milestones": (18_000, 22_000), "batch_size": 16, "source": "ours"}
_SMALL: dict[str, Any] = {
    "source": "ours",
    "steps": 100,
    "milestones": (80,),
    "warmup": 10,
    "batch_size": 4,
    "resizing": "short",
    "rois": 32,
    "width": 32,
    "layer_decay": 1.0,
    "drop_path": 0.0,
    "precise_bn": 0,
}
RECIPES: dict[Name, dict[Kind, Recipe]] = {
    "voc": {"resnet": MOCO_VOC, "vit": replace(VITDET, **_VOC), "other": replace(SWIN, **_VOC)},
    "voc_byol": {"resnet": BYOL_VOC, "vit": replace(VITDET, **_VOC), "other": replace(SWIN, **_VOC)},
    "coco": {"resnet": MOCO, "vit": VITDET, "other": SWIN},
    "coco_1x": {
        "resnet": replace(MOCO, **_SHORT),
        "vit": replace(VITDET, **_SHORT, batch_size=16, source="ours"),
        "other": replace(SWIN, **_SHORT),
    },
    "small": {
        "resnet": replace(MOCO, **_SMALL, lr=0.05),
        "vit": replace(VITDET, **_SMALL, lr=1e-3),
        "other": replace(SWIN, **_SMALL, lr=1e-3),
    },
}
# ViTDet: layer decay, drop path and share of the steps by the number of blocks (B, L, H).
_BY_DEPTH = {12: (0.7, 0.1, 1.0), 24: (0.8, 0.4, 1.0), 32: (0.9, 0.5, 0.75)}


def kind_of(backbone: Backbone) -> Kind:
    if isinstance(backbone, ConvNetBackbone):
        return "resnet"
    return "vit" if hasattr(backbone, "token_dim") and not isinstance(backbone, ClipResNetBackbone) else "other"


def recipe_of(name: Name, backbone: Backbone, given: dict[str, Any]) -> Recipe:
    """The recipe for this backbone; ``given`` replaces its values. Milestones that are not given follow ``steps``."""
    recipe = RECIPES[name][kind_of(backbone)]
    if recipe.layer_decay < 1:
        recipe = _of_size(recipe, len(getattr(getattr(backbone, "module", None), "blocks", ())))
    if "steps" in given and "milestones" not in given:
        given = {**given, "milestones": tuple(round(m * given["steps"] / recipe.steps) for m in recipe.milestones)}
    recipe = replace(recipe, **given)
    if recipe.detector == "c4" and kind_of(backbone) != "resnet":
        raise SettingsError(f"Model {backbone.name} has no stages for the detector c4.", "Use fpn or simple.")
    if recipe.detector != "c4" and len(recipe.anchors) != 5:
        raise SettingsError(f"anchors: {recipe.detector} has five levels, {len(recipe.anchors)} sides were given.")
    return recipe


def _of_size(recipe: Recipe, depth: int) -> Recipe:
    """Towers of CLIP have no blocks in timm's sense: one rate, and no places for drop path."""
    if not depth:
        return replace(recipe, layer_decay=1.0, drop_path=0.0)
    size = min((known for known in _BY_DEPTH if depth <= known), default=32)
    layer_decay, drop_path, share = _BY_DEPTH[size]
    return replace(
        recipe,
        layer_decay=layer_decay,
        drop_path=drop_path,
        steps=round(recipe.steps * share),
        milestones=tuple(round(m * share) for m in recipe.milestones),
    )


NAMES = tuple(field.name for field in fields(Recipe) if field.name != "source")
