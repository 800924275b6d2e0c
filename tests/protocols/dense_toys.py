"""Small networks of every kind, and scenes whose colours are their classes."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone, Layer, WeightsReport
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.data.transforms import Preprocess

PLAIN = PreprocessCard(resize=None, crop=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
SWIN = {"img_size": 64, "window_size": 2, "embed_dim": 24, "depths": (2, 2, 2, 2), "num_heads": (1, 2, 3, 4)}
VIT = {"img_size": 64, "patch_size": 16, "dim": 48, "depth": 6, "class_token": True}
ARCHS = {
    "vit": ("vit_small32", VIT),
    "vit8": ("vit_small32", {**VIT, "patch_size": 8}),
    "beit": ("beit_base_patch16_224", {"img_size": 64, "embed_dim": 48, "depth": 4, "num_heads": 4}),
    "resnet": ("resnet_small32", {"width": 8}),
    "resnet50": ("resnet50w1", {"width": 4}),
    "swin": ("swin_tiny_patch4_window7_224", SWIN),
}
COLOURS = ((0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255))


def network(kind: str, **changes: object) -> Backbone:
    """Untrained, frozen, in evaluation mode."""
    arch, arguments = ARCHS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = wrap(build(arch, {**arguments, **changes}), "default", PLAIN, kind)
    backbone.weights = WeightsReport("none", kind, 1, 1)
    return backbone.eval().requires_grad_(False)


class Painted(SceneSplit):
    """Images of 24 x 32 pixels in blocks of 8: the colour of a block is its class, and the lower it is the nearer."""

    targets = frozenset({"label_map", "depth"})
    classes = ("black", "red", "green", "blue")
    name = "painted"

    def __init__(self, count: int, seed: int = 0, ignored: int = 0) -> None:
        blocks = np.random.RandomState(seed).randint(0, 4, (count, 3, 4))
        self.maps = np.kron(blocks, np.ones((8, 8), dtype=np.int64)).astype(np.uint8)
        self.shown = self.maps.copy()
        self.maps[:, :ignored] = 255
        self.labels = np.zeros(count, dtype=np.int64)

    def image(self, index: int) -> Image.Image:
        return Image.fromarray(np.array(COLOURS, dtype=np.uint8)[self.shown[index]])

    def identity(self, index: int) -> str:
        return f"painted {index} {self.shown[index].sum()} {self.maps[index].sum()}"

    def label_map(self, index: int) -> np.ndarray:
        return self.maps[index]

    def depth(self, index: int) -> np.ndarray:
        """1 to 4 metres by colour; not measured where the label map is ignored."""
        return np.where(self.maps[index] == 255, 0, self.shown[index] + 1).astype(np.float32)


def painted(train: int = 8, test: int = 4, ignored: int = 0) -> Dataset:
    return Dataset("painted", Painted(train, 0, ignored), Painted(test, 1, ignored))


class Answer(Backbone):
    """Its one map is the image itself, pixel by pixel."""

    name, embed_dim = "answer", 3

    def __init__(self) -> None:
        super().__init__()
        self.preprocess = Preprocess(PreprocessCard(resize=None, crop=32, mean=(0.5,) * 3, std=(0.5,) * 3))
        self.weights = WeightsReport("none", "answer", 0, 0)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    @property
    def depth(self) -> int:
        return 1

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        return [Layer(None, images)]


def compute(tmp_path, **changes) -> Compute:
    return Compute(cache=tmp_path / "cache", data_root=tmp_path, **changes)
