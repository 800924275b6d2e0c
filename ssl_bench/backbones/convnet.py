"""ResNets of timm and of this package, at any width."""

from __future__ import annotations

from typing import Any

import torch
from timm.models.resnet import ResNet as TimmResNet
from torch import nn

from ssl_bench.backbones.nets.resnet import ResNet
from ssl_bench.backbones.nets.tf_resnet import TFResNet
from ssl_bench.backbones.stages import StagedBackbone
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError


def fits(module: nn.Module) -> bool:
    return isinstance(module, (ResNet, TFResNet, TimmResNet))


class ConvNetBackbone(StagedBackbone):
    """The embedding (``default`` and ``pool`` are the same) is the global average of the last stage: (B, D). ``pool_2x2``:
    four averages, each without one border row and column (VISSL: 6 x 6 of 7 x 7, 8192 numbers of a ResNet-50)."""

    def __init__(self, module: Any, embedding: str, preprocess: Preprocess, name: str) -> None:
        super().__init__()
        if embedding not in {"default", "pool"}:
            raise SettingsError(f"Model {name}: a ResNet has no embedding {embedding!r}.", "Use default or pool.")
        self.module: Any = module
        self.embedding, self.preprocess, self.name = embedding, preprocess, name
        self.embed_dim = module.num_features
        self.own_embeddings = {"pool_2x2": 4 * self.embed_dim}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.module(images)
        return pooled

    def own_embedding(self, images: torch.Tensor, name: str) -> torch.Tensor:
        last = self._stages(images)[-1]
        height, width = last.shape[-2:]
        if min(height, width) < 2:
            raise SettingsError(
                f"Model {self.name}: maps of {width} x {height} pixels have no pool_2x2.", "Use default."
            )
        return nn.functional.avg_pool2d(last, (height - 1, width - 1), stride=1).flatten(1)

    def _stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        net, stages = self.module, []
        x = net.maxpool(net.act1(net.bn1(net.conv1(images))))
        for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
            x = stage(x)
            stages.append(x)
        return stages
