"""MAE: rebuild the hidden three quarters of an image from the visible quarter (He et al. 2022, arXiv:2111.06377).

Patches t_i of the normalised image, i = 1 ... N, each a vector of p * p * 3 pixels; M the random hidden ones (section 3)::

    t'_i = (t_i - mean(t_i)) / sqrt(var(t_i) + 1e-6)        over the pixels of the patch, var unbiased   (norm_pix)
    L    = 1 / (B |M|)  sum over images and i in M  mean over pixels (d(f(x))_i - t'_i)^2

f: a ViT on the class token and the visible patches only, after adding fixed sine-cosine positions, with its final norm.
d: Linear to ``decoder_dim``, a shared mask token in place of each hidden patch, fixed positions, ``decoder_depth`` blocks,
norm, Linear to pixels. Shapes: x (B, 3, H, W), t and d(f(x)) (B, N, p * p * 3). (facebookresearch/mae)
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from ssl_bench.errors import SettingsError
from ssl_bench.methods.method import Method
from ssl_bench.methods.parts.decoder import MaskDecoder
from ssl_bench.methods.parts.masking import Mask, patchify, random_mask, take
from ssl_bench.methods.parts.positions import sincos_2d
from ssl_bench.methods.parts.precision import in_float32
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.settings import Settings


def normalised(patches: torch.Tensor) -> torch.Tensor:
    """t -> t': every patch (last dimension) to mean 0 and variance 1."""
    mean, variance = patches.mean(dim=-1, keepdim=True), patches.var(dim=-1, keepdim=True, unbiased=True)
    return (patches - mean) / (variance + 1e-6).sqrt()


@in_float32
def reconstruction(prediction: torch.Tensor, target: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
    """L for ``prediction`` and ``target`` (B, N, P) and ``hidden`` (B, N) bool."""
    error = (prediction - target).square().mean(dim=-1)
    return (error * hidden).sum() / hidden.sum()


class MAESettings(Settings):
    """The paper's values."""

    mask_ratio: float = Field(0.75, gt=0, lt=1)
    norm_pix: bool = True
    decoder_dim: int = Field(512, ge=4, multiple_of=4)
    decoder_depth: int = Field(8, ge=1)
    decoder_heads: int = Field(16, ge=1)
    crop_scale: tuple[float, float] = (0.2, 1.0)


class MAE(Method):
    """Masked autoencoder over a timm VisionTransformer, whose position embedding becomes fixed sine-cosine."""

    settings = MAESettings
    summary = "rebuild the pixels of the hidden three quarters of an image from the visible quarter"
    config: MAESettings

    def __init__(self, encoder: nn.Module, settings: MAESettings, **horizon: int) -> None:
        super().__init__(_checked(encoder), settings, **horizon)
        vit: Any = self.encoder
        prefix: int = vit.num_prefix_tokens
        self.patch: int = vit.patch_embed.patch_size[0]
        grid: tuple[int, int] = vit.patch_embed.grid_size
        vit.pos_embed.requires_grad_(False).copy_(sincos_2d(vit.embed_dim, *grid, prefix)[None])
        width, depth, heads = settings.decoder_dim, settings.decoder_depth, settings.decoder_heads
        self.decoder = MaskDecoder(vit.embed_dim, width, depth, heads, grid, prefix, out=3 * self.patch**2)

    @classmethod
    def augmentation(cls, size: int, settings: Any) -> list[ViewSpec]:
        """One view: crop and flip, no colour."""
        return [ViewSpec(size=size, crop_scale=settings.crop_scale, jitter_probability=0, gray=0, blur=0)]

    def forward(self, views: list[torch.Tensor], step: int) -> dict[str, torch.Tensor]:
        (images,) = views
        target = patchify(images, self.patch)
        mask = random_mask(len(images), target.shape[1], self.config.mask_ratio, images.device)
        prediction = self.decoder(self.encode(images, mask), mask)
        target = normalised(target) if self.config.norm_pix else target
        return {"loss": reconstruction(prediction, target, mask.hidden)}

    def encode(self, images: torch.Tensor, mask: Mask) -> torch.Tensor:
        """f: (B, 3, H, W) -> (B, prefix + visible, D)."""
        vit: Any = self.encoder
        prefix: int = vit.num_prefix_tokens
        tokens = vit.patch_embed(images).flatten(1, -2)
        tokens = take(tokens + vit.pos_embed[:, prefix:], mask.keep)
        if prefix:
            tokens = torch.cat([(vit.cls_token + vit.pos_embed[:, :1]).expand(len(images), -1, -1), tokens], dim=1)
        encoded: torch.Tensor = vit.norm(vit.blocks(vit.norm_pre(tokens)))
        return encoded


def _checked(encoder: nn.Module) -> nn.Module:
    """A plain ViT whose tokens can be dropped: learned or fixed absolute positions, a class token or none."""
    if not isinstance(encoder, VisionTransformer) or encoder.pos_embed is None:
        raise SettingsError(
            f"mae needs a plain Vision Transformer of timm, not {type(encoder).__name__}.",
            "Use an arch such as vit_base_patch16_224 or vit_small32.",
        )
    if encoder.no_embed_class or encoder.reg_token is not None:
        raise SettingsError("mae needs a ViT without register tokens whose class token has a position.")
    return encoder
