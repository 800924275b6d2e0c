"""Networks with stages whose last stage keeps the resolution of the one before (output stride 16 in place of 32)."""

from __future__ import annotations

from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.errors import SettingsError


def dilate_last_stage(backbone: Backbone) -> Backbone:
    """Change the backbone itself: in ``layer4`` every stride becomes 1 and every 3 x 3 convolution gets dilation 2 (MoCo,
    segmentation on VOC: res5 with "dilation 2 and stride 1"). The weights stay as they are."""
    stage = getattr(getattr(backbone, "module", None), "layer4", None)
    if stage is None:
        raise SettingsError(
            f"Model {backbone.name} has no last stage to dilate.", "Only ResNets have; use dilate=false."
        )
    for layer in stage.modules():
        if isinstance(layer, nn.Conv2d):
            layer.stride = (1, 1)
            if layer.kernel_size == (3, 3):
                layer.dilation, layer.padding = (2, 2), (2, 2)
        elif isinstance(layer, (nn.AvgPool2d, nn.MaxPool2d)):
            raise SettingsError(
                f"Model {backbone.name}: its last stage shrinks by pooling, which cannot be dilated.",
                "Use dilate=false.",
            )
    return backbone
