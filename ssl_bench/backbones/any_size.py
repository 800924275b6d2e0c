"""Let a network take images of other sizes than the one it was built for, where that needs a change of the network."""

from __future__ import annotations

import copy
from typing import Any

from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock

from ssl_bench.backbones.backbone import Backbone


def accept_any_size(backbone: Backbone, size: int, own: bool = False) -> Backbone:
    """The backbone itself if it takes any size already; else a copy (or itself, if it is the caller's ``own``) that does.

    A timm Swin is built for one size: it refuses others, and does not shift windows in stages that one window covers. Here
    it shifts everywhere, as Microsoft's own for detection and segmentation, masks are made for each image, and sides
    that are no multiple of the window are padded. ``size``: the usual side, for which nothing is computed anew.
    """
    if not isinstance(getattr(backbone, "module", None), SwinTransformer):
        return backbone
    changed = backbone if own else copy.deepcopy(backbone)
    net: Any = changed.module
    side = -(-size // 32) * 32
    net.set_input_size(img_size=(side, side), window_size=net.layers[0].blocks[0].window_size, always_partition=True)
    net.patch_embed.strict_img_size = False
    for module in net.modules():
        if isinstance(module, SwinTransformerBlock):
            module.dynamic_mask = True
    return changed
