"""Plugin file with one good model, and one for every way in which a stranger's model breaks the contract."""

from __future__ import annotations

import torch
from torch import nn

import ssl_bench
from ssl_bench.backbones.backbone import Layer

SIDE, HEADS, WIDTH = 32, 2, 8


class Good(ssl_bench.Backbone):
    """Patches of 8 pixels, a random projection of each, and attention by brightness."""

    embed_dim = WIDTH

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, WIDTH, 8, 8)
        self.mix = nn.Conv2d(WIDTH, WIDTH, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.layers(images)[-1].map.mean((2, 3))

    @property
    def depth(self) -> int:
        return 2

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        first = self.patches(images)
        maps = [first, first + self.mix(first).tanh()]
        return [Layer(each.mean((2, 3)), each) for each in maps[-last:]]

    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        top = self.layers(images)[-1].map
        height, width = images.shape[-2:]
        return [nn.functional.adaptive_avg_pool2d(top, (height // s, width // s)) for s in (4, 8, 16, 32)]

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        map_ = self.layers(images)[-1].map[:, :HEADS]
        return map_.flatten(2).softmax(-1).reshape(map_.shape)


class WrongPyramid(Good):
    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        levels = super().pyramid(images)
        levels[2] = nn.functional.pad(levels[2], (0, 1, 0, 1))
        return levels


class ShortPyramid(Good):
    def pyramid(self, images: torch.Tensor) -> list[torch.Tensor]:
        return super().pyramid(images)[:3]


class LoudAttention(Good):
    def attention(self, images: torch.Tensor) -> torch.Tensor:
        return 5 * super().attention(images)


class SignedAttention(Good):
    def attention(self, images: torch.Tensor) -> torch.Tensor:
        return super().attention(images) - 0.5


class SwappedLayers(Good):
    """Rows and columns exchanged: unseen on square images."""

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        return [Layer(cls, map_.transpose(2, 3)) for cls, map_ in super().layers(images, last)]


class ReversedLayers(Good):
    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        return super().layers(images, last)[::-1]


class NarrowToken(Good):
    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        return [Layer(cls[:, :4], map_) for cls, map_ in super().layers(images, last)]


class FailingLayers(Good):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().layers(images)[-1].map.mean((2, 3))

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        raise KeyError("block12")


class Dropping(Good):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return nn.functional.dropout(super().forward(images), 0.5, training=True)


class NotFinite(Good):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images).where(images.mean((1, 2, 3))[:, None] == 0, torch.nan)


class BatchStatistics(Good):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        vectors = super().forward(images)
        return vectors - vectors.mean(0)


class Constant(Good):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(images), WIDTH)


class TwoDimsAtTwo(Good):
    """Squeezes: one image gives (1, D), several give (B, D, 1)."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        vectors = super().forward(images)
        return vectors if len(images) == 1 else vectors[..., None]


class Training(Good):
    def train(self, mode: bool = True) -> Training:
        super().train(mode)
        self.mix.training = True
        return self


class OneSize(Good):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if images.shape[-2:] != (SIDE, SIDE):
            raise ValueError(f"expected {SIDE} x {SIDE}")
        return super().forward(images)


BROKEN = (
    WrongPyramid,
    ShortPyramid,
    LoudAttention,
    SignedAttention,
    SwappedLayers,
    ReversedLayers,
    NarrowToken,
    FailingLayers,
    Dropping,
    NotFinite,
    BatchStatistics,
    Constant,
    TwoDimsAtTwo,
    Training,
    OneSize,
)
for kind in (Good, *BROKEN):
    ssl_bench.model(f"stranger_{kind.__name__}", preprocess={"resize": SIDE, "crop": SIDE})(kind)
