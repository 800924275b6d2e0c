"""Tiny image folders for tests: two classes that mean colour tells apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

PLUGIN = '''
import torch
import ssl_bench


@ssl_bench.model("colour", preprocess={"resize": None, "crop": None, "mean": [0, 0, 0], "std": [1, 1, 1]})
def colour():
    """Mean and spread of each colour channel."""

    class Colour(torch.nn.Module):
        def forward(self, images):
            return torch.cat([images.mean((2, 3)), images.std((2, 3))], dim=1)

    return Colour()


@ssl_bench.model("not_a_number", preprocess={"resize": None, "crop": None})
def not_a_number():
    """Features that are not finite for real images (and fine for the blank one of the first check)."""

    class Broken(torch.nn.Module):
        def forward(self, images):
            means = images.mean((2, 3))
            return torch.where(means.abs() > 1e-6, means / 0, means)

    return Broken()
'''


def write_image(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    """A noisy 16 x 16 image of about this colour."""
    noise = np.random.default_rng(seed).integers(-40, 40, (16, 16, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


def image_folder(root: Path, name: str = "colours", train: int = 12, test: int = 6) -> Path:
    """``<root>/<name>/{train,val}/{blue,red}/*.png``; returns its folder."""
    colours = {"blue": (60, 60, 200), "red": (200, 60, 60)}
    for split, count in (("train", train), ("val", test)):
        for number, (label, colour) in enumerate(colours.items()):
            for i in range(count):
                write_image(
                    root / name / split / label / f"{i:03d}.png",
                    colour,
                    seed=1000 * number + i + 500 * (split == "val"),
                )
    return root / name


def plugin(folder: Path) -> Path:
    """A plugin file with the models ``colour`` and ``not_a_number``."""
    path = folder / "colour_plugin.py"
    path.write_text(PLUGIN)
    return path
