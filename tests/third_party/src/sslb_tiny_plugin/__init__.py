"""A third party's package: a model by decorator, and a card beside the code."""

from pathlib import Path

import torch

import ssl_bench

CARDS = Path(__file__).parent / "cards.yaml"


@ssl_bench.model("tiny_colour", preprocess={"resize": None, "crop": None})
def tiny_colour() -> torch.nn.Module:
    """Mean and spread of each colour channel."""

    class Colour(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.cat([images.mean((2, 3)), images.std((2, 3))], dim=1)

    return Colour()
