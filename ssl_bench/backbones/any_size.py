"""Let a network take images of other sizes than the one it was built for, where that needs a change of the network."""

from __future__ import annotations

import copy
from typing import Any

from timm.models.beit import Beit
from timm.models.swin_transformer import SwinTransformer, SwinTransformerBlock

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.relative_positions import AnySizeAttention


def accept_any_size(backbone: Backbone, size: int, own: bool = False) -> Backbone:
    """The backbone itself if it takes any size already; else a copy (or itself, if it is the caller's ``own``) that does.

    A timm Swin is built for one size: it refuses others, and does not shift windows in stages that one window covers. Here
    it shifts everywhere, as Microsoft's own for detection and segmentation, masks are made for each image, and sides
    that are no multiple of the window are padded. ``size``: the usual side, for which nothing is computed anew.
    A BEiT whose blocks have position tables of their own gets them resampled, as BEiT's authors do when they load one.
    """
    net: Any = getattr(backbone, "module", None)
    first: Any = next(iter(net.blocks)).attn if isinstance(net, Beit) else None
    own_tables = first is not None and first.relative_position_bias_table is not None
    if not (isinstance(net, SwinTransformer) or own_tables):
        return backbone
    changed: Any = backbone if own else copy.deepcopy(backbone)
    if own_tables:
        for block in changed.module.blocks:
            block.attn.__class__ = AnySizeAttention
    else:
        _free_swin(changed.module, size)
    made: Backbone = changed
    return made


def _free_swin(net: Any, size: int) -> None:
    side = -(-size // 32) * 32
    net.set_input_size(img_size=(side, side), window_size=net.layers[0].blocks[0].window_size, always_partition=True)
    net.patch_embed.strict_img_size = False
    for module in net.modules():
        if isinstance(module, SwinTransformerBlock):
            module.dynamic_mask = True
