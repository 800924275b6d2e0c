"""Small encoders and batches for the tests of the methods."""

import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn


class TinyConvNet(nn.Module):
    """(B, 3, H, W) -> (B, 8), with BatchNorm, for any size."""

    embed_dim = 8

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, 2),
            nn.AdaptiveAvgPool2d(1),
        )

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images).flatten(1)


def tiny_vit(**changes) -> VisionTransformer:
    sizes = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 0}
    return VisionTransformer(**{**sizes, **changes})


def images(batch: int, size: int = 16, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def descend(method, views, steps: int, lr: float = 0.05, kind=torch.optim.SGD) -> list[float]:
    """Losses of gradient steps on the same views, as in ``Method``'s docstring."""
    optimizer = kind([p for p in method.parameters() if p.requires_grad], lr=lr)
    losses = []
    for step in range(steps):
        optimizer.zero_grad()
        loss = method(views, step)["loss"]
        loss.backward()
        method.before_step(step)
        optimizer.step()
        method.after_step(step)
        losses.append(loss.item())
    return losses
