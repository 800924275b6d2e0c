"""Swin, ConvNeXt and every other timm model, through timm's ``forward_intermediates``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.backbone import Backbone, Layer
from ssl_bench.backbones.pyramid import pyramid
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError


def fits(module: nn.Module) -> bool:
    return hasattr(module, "forward_intermediates") and hasattr(module, "num_features")


class HierarchicalBackbone(Backbone):
    """The embedding (``default`` and ``pool`` are the same) is what the timm model returns without its classifier:
    for Swin and ConvNeXt the global average of the last stage, normalised; for XCiT the class token."""

    def __init__(self, module: Any, embedding: str, preprocess: Preprocess, name: str) -> None:
        super().__init__()
        if embedding not in {"default", "pool"}:
            kind = type(module).__name__
            raise SettingsError(f"Model {name}: a {kind} has no embedding {embedding!r}.", "Use default or pool.")
        self.module: Any = module
        self.embedding, self.preprocess, self.name = embedding, preprocess, name
        self.embed_dim = getattr(module, "head_hidden_size", module.num_features)
        arguments = inspect.signature(module.forward_intermediates).parameters
        self._options: dict[str, Any] = {"intermediates_only": True}
        self._options |= {flag: True for flag in ("norm", "return_prefix_tokens") if flag in arguments}

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self.module(images)
        return pooled

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        if last < 1:
            raise SettingsError(f"Model {self.name}: the last {last} layers were asked for; ask for 1 or more.")
        try:
            found = self.module.forward_intermediates(images, indices=last, **self._options)
        except AssertionError as error:  # timm asserts that there are that many, and that the image has its size
            raise SettingsError(f"Model {self.name}: {error}.") from None
        return [self._layer(part) for part in found]

    @property
    def depth(self) -> int:
        return len(self.module.feature_info)

    def layers_at(self, images: torch.Tensor, numbers: Sequence[int], norm: bool = True) -> list[Layer]:
        options = {**self._options, **({"norm": norm} if "norm" in self._options else {})}
        indices = sorted(set(numbers))
        found = self.module.forward_intermediates(images, indices=indices, **options)
        return [self._layer(found[indices.index(number)]) for number in numbers]

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        found = self.module.forward_intermediates(images, **self._options)
        return pyramid([self._layer(part).map for part in found], (images.shape[-2], images.shape[-1]))

    def _layer(self, part: Any) -> Layer:
        if not isinstance(part, tuple):
            return Layer(None, part)
        maps, prefix = part
        has_class_token = getattr(self.module, "cls_token", None) is not None
        return Layer(prefix[:, 0] if has_class_token else None, maps)
