"""Architecture names -> networks without weights, and networks -> backbones."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import timm
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from ssl_bench.backbones import beit, clip, convnet, flip, hierarchical, vit
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.nets.amdim import Amdim
from ssl_bench.backbones.nets.flip import Flip
from ssl_bench.backbones.nets.resnet import BLOCKS, resnet_small32, wide_resnet
from ssl_bench.backbones.nets.swin import swin_tiny_ibot
from ssl_bench.backbones.nets.tf_resnet import TFResNet
from ssl_bench.backbones.nets.two_views import TwoViews, resnet50_lightness
from ssl_bench.backbones.nets.video_vit import VideoViT
from ssl_bench.backbones.plain import PlainBackbone, RawPixels
from ssl_bench.backbones.positions import Positions
from ssl_bench.cards import PreprocessCard
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError, UnknownNameError

_WIDE = re.compile(r"resnet(\d+)w(\d+)")


def vit_small32(dim: int = 64, depth: int = 3, heads: int = 4, **changes: Any) -> VisionTransformer:
    """A small ViT for 32 x 32 images with patches of 4; as it is, MAE trains it in a minute on two cores. ``changes``: further
    arguments of timm's VisionTransformer."""
    sizes = {"img_size": 32, "patch_size": 4, "embed_dim": dim, "depth": depth, "num_heads": heads, "num_classes": 0}
    return VisionTransformer(**{**sizes, **changes})


OWN: dict[str, Callable[..., nn.Module]] = {
    "amdim": Amdim,
    "flip": Flip,
    "resnet50_lightness": resnet50_lightness,
    "resnet50_two_views": TwoViews,
    "resnet_small32": resnet_small32,
    "swin_tiny_ibot": swin_tiny_ibot,
    "tf_resnet": TFResNet,
    "vit_small32": vit_small32,
    "raw_pixels": RawPixels,
    "video_vit": VideoViT,
}


def build(arch: str, arch_args: dict[str, Any] | None = None) -> nn.Module:
    """The network, with random weights: (B, 3, H, W) -> (B, D), with its D in ``num_features`` or ``embed_dim``.

    ``open_clip:<name>`` (a CLIP with both towers); own architectures (``OWN``, and ``resnet<depth>w<multiplier>``); then
    timm's (``timm:`` before the name is optional) without classifier.
    """
    name, given = arch.removeprefix("timm:"), dict(arch_args or {})
    try:
        if arch.startswith(clip.PREFIX):
            return clip.build(arch, given)
        if name in OWN:
            return OWN[name](**given)
        if (wide := _WIDE.fullmatch(name)) and int(wide[1]) in BLOCKS and int(wide[2]) >= 1:
            return wide_resnet(int(wide[1]), int(wide[2]), **given)
        if not timm.is_model(name):
            raise UnknownNameError("arch", name, [*OWN, "resnet50w2", *timm.list_models()])
        _check_tag(name)
        module: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **given)
    except (TypeError, AssertionError, ValueError) as error:
        raise SettingsError(f"arch {name} cannot be built with arch_args {given}: {error}.") from None
    return module


def _check_tag(name: str) -> None:
    """``vit_small_patch16_224.dino``: the part after the point names one of timm's sets of weights."""
    base, _, tag = name.partition(".")
    known = timm.list_pretrained(f"{base}.*") if tag else []
    if tag and name not in known:
        raise UnknownNameError("arch", name, [base, *known])


def wrap(
    module: nn.Module,
    embedding: str,
    preprocess: Preprocess | PreprocessCard,
    name: str,
    *,
    positions: Positions = "plain",
) -> Backbone:
    """The backbone around ``module``, by its type. Mode (train or eval) and gradients stay as they are.

    ``positions``: how a ViT resamples its position embedding for images of another size.
    """
    if isinstance(preprocess, PreprocessCard):
        preprocess = Preprocess(preprocess)
    backbone: Backbone
    if vit.fits(module):
        backbone = vit.ViTBackbone(module, embedding, preprocess, name, positions)
    elif beit.fits(module):
        backbone = beit.BeitBackbone(module, embedding, preprocess, name, positions)
    elif flip.fits(module):
        backbone = flip.FlipBackbone(module, embedding, preprocess, name, positions)
    elif clip.fits(module):
        backbone = clip.wrap(module, embedding, preprocess, name)
    elif convnet.fits(module):
        backbone = convnet.ConvNetBackbone(module, embedding, preprocess, name)
    elif hierarchical.fits(module):
        backbone = hierarchical.HierarchicalBackbone(module, embedding, preprocess, name)
    else:
        backbone = PlainBackbone(module, embedding, preprocess, name, _width(module, name))
    backbone.training = module.training
    return backbone


def _width(module: nn.Module, name: str) -> int:
    for attribute in ("embed_dim", "num_features"):
        if isinstance(value := getattr(module, attribute, None), int):
            return value
    raise SettingsError(
        f"Model {name}: {type(module).__name__} does not say how long its vectors are.", "Give it an integer embed_dim."
    )
