"""What the tests of ``ssl_bench.data`` share: tiny models and folders of real images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.data.splits import ArraySplit
from ssl_bench.data.transforms import Preprocess

AS_IT_IS = PreprocessCard(resize=None, crop=None, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class MeanColour(Backbone):
    """(B, 3, H, W) -> (B, 4): a linear map of the mean colour; each row depends on its own image only."""

    def __init__(self, card: PreprocessCard = AS_IT_IS, seed: int = 0) -> None:
        super().__init__()
        self.name, self.embed_dim, self.preprocess = "mean_colour", 4, Preprocess(card)
        weight = torch.randn(3, 4, generator=torch.Generator().manual_seed(seed))
        self.weight = torch.nn.Parameter(weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images.mean(dim=(2, 3))[:, :, None] * self.weight).sum(dim=1)


def random_split(n: int = 20, side: int = 8, classes: int = 3, seed: int = 0) -> ArraySplit:
    pixels = np.random.RandomState(seed).randint(0, 256, (n, side, side, 3)).astype(np.uint8)
    return ArraySplit(pixels, np.arange(n) % classes, [f"class {c}" for c in range(classes)])


def sample_images(shared_data: Path, count: int) -> list[Path]:
    """Real ImageNet images, one for each of the first ``count`` classes."""
    return sorted((shared_data / "imagenet1k_sample" / "images").glob("*.jpg"))[:count]


def imagenet_tree(shared_data: Path, root: Path, classes: int = 6) -> list[str]:
    """``root/imagenet/{train,val}/<wnid>/``: the sample has one image a class, so it stands in both splits."""
    wnids = []
    for path in sample_images(shared_data, classes):
        wnid = path.name.split("_")[0]
        wnids.append(wnid)
        for split, name in (("train", f"{wnid}_1.JPEG"), ("val", f"ILSVRC2012_val_{len(wnids):08d}.JPEG")):
            folder = root / "imagenet" / split / wnid
            folder.mkdir(parents=True)
            shutil.copy(path, folder / name)
    return wnids
