"""What every network of four stages offers to dense tasks: its stages."""

from __future__ import annotations

from abc import abstractmethod

import torch

from ssl_bench.backbones.backbone import Backbone, Layer
from ssl_bench.backbones.pyramid import pyramid
from ssl_bench.errors import SettingsError


class StagedBackbone(Backbone):
    """A ResNet of any kind; a subclass says how its stages are computed."""

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        """The last stages (layer4 is the last of four); a ResNet has no final norm."""
        stages = self._stages(images)
        if not 1 <= last <= len(stages):
            raise SettingsError(f"Model {self.name} has {len(stages)} stages; the last {last} were asked for.")
        return [Layer(None, stage) for stage in stages[-last:]]

    @property
    def depth(self) -> int:
        return 4

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        return pyramid(self._stages(images), (images.shape[-2], images.shape[-1]))

    @abstractmethod
    def _stages(self, images: torch.Tensor) -> list[torch.Tensor]:
        """(B, 3, H, W) -> the four maps at strides 4, 8, 16, 32."""
