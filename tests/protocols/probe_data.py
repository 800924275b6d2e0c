"""A tiny data set and backbone for protocols that read images: the colour of an image tells its class."""

import numpy as np
import torch

from ssl_bench.backbones.backbone import Backbone, WeightsReport
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.splits import ArraySplit
from ssl_bench.data.transforms import Preprocess

SIDE = 8


class Colours(Backbone):
    """(B, 3, H, W) -> (B, 3): the mean colour."""

    name, embed_dim, embedding = "colours", 3, "default"
    weights = WeightsReport("made in the test", "0" * 64, 0, 0)
    preprocess = Preprocess(PreprocessCard(resize=None, crop=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3))

    def forward(self, images):
        return images.mean((2, 3))


def split(count, seed, noise=30.0):
    """Three classes: red, green and blue images with noise."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % 3
    pixels = 100 + 60 * np.eye(3)[labels][:, None, None] + noise * random.randn(count, 1, 1, 3)
    pixels = pixels + 5 * random.randn(count, SIDE, SIDE, 3)
    return ArraySplit(pixels.clip(0, 255).astype(np.uint8), labels, ("red", "green", "blue"))


def dataset(train=60, test=45, metric="top1", name="colours"):
    return Dataset(name, split(train, 0), split(test, 1), metric=metric)


def compute(tmp_path, **fields):
    return Compute(cache=tmp_path / "cache", data_root=tmp_path / "data", **fields)


def seeded(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
