"""A trainable copy of a backbone with a linear classifier, as a recipe wants it."""

from __future__ import annotations

import math

import torch
from torch import nn

from ssl_bench.backbones import vit
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.embeddings import embed, embedding_dim
from ssl_bench.backbones.positions import interpolate
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.compute import Compute, world_size
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.finetune.recipe import Feature, Recipe
from ssl_bench.training.drop_path import set_drop_path
from ssl_bench.training.trainable import trainable_copy


class Classifier(nn.Module):
    """(B, 3, H, W) -> (B, classes): the backbone's feature, for ``mean_norm`` a fresh norm, and a linear layer."""

    def __init__(self, backbone: Backbone, feature: Feature, classes: int, head_std: float) -> None:
        super().__init__()
        self.backbone, self.feature = backbone, feature
        dim = backbone.token_dim if isinstance(backbone, ViTBackbone) else backbone.embed_dim
        if feature != "mean_norm":
            dim = embedding_dim(backbone, feature)
        linear = nn.Linear(dim, classes)
        nn.init.trunc_normal_(linear.weight, std=head_std)
        nn.init.zeros_(linear.bias)
        norm = [nn.LayerNorm(dim, eps=1e-6)] if feature == "mean_norm" else []
        self.head = nn.Sequential(*norm, linear)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.feature == "mean_norm" and isinstance(self.backbone, ViTBackbone):
            vectors = self.backbone.mean_before_norm(images)
        else:
            vectors = embed(self.backbone, images, self.feature)
        scores: torch.Tensor = self.head(vectors)
        return scores


def build(backbone: Backbone, classes: int, recipe: Recipe, size: int, compute: Compute, *salt: int) -> Classifier:
    """The classifier on the device with fresh parts drawn from the seed and ``salt``; ``backbone`` stays as it is."""
    if not any(True for _ in backbone.parameters()):
        raise SettingsError(f"Model {backbone.name} has no weights to train.", "Use linear_frozen.")
    with torch.inference_mode(False):
        torch.manual_seed(compute.generator(44, *salt).initial_seed())
        copy = trainable_copy(backbone)
        resize_positions(copy, size)
        set_drop_path(copy, recipe.drop_path)
        made = Classifier(copy, suited(copy, recipe.feature), classes, recipe.head_std).to(compute.device)
        if world_size() > 1 and compute.device.type == "cuda":
            made = nn.SyncBatchNorm.convert_sync_batchnorm(made)  # type: ignore[no-untyped-call]
        return made


def suited(backbone: Backbone, wanted: Feature) -> Feature:
    """The recipe's feature where the network has it: a ViT without class token gives its mean patch token in its place,
    networks of another kind their default vector."""
    if not isinstance(backbone, ViTBackbone):
        return "default"
    return "mean_patch" if wanted == "cls" and not backbone.has_class_token else wanted


def resize_positions(backbone: Backbone, size: int) -> None:
    """Position embedding of a plain ViT for images of ``size`` pixels: resampled once, then trained, as MAE and DeiT do.
    Other networks are left as they are."""
    if not (isinstance(backbone, ViTBackbone) and vit.fits(backbone.module)) or backbone.module.pos_embed is None:
        return
    net = backbone.module
    before = net.patch_embed.grid_size
    after = tuple(size // side for side in net.patch_embed.patch_size)
    if before == after or 0 in after:
        return
    own = 0 if net.no_embed_class else net.num_prefix_tokens
    table = net.pos_embed.detach()
    patches = interpolate(table[:, own:], before, after, backbone.positions, True)
    net.patch_embed.set_input_size(img_size=(size, size))
    net.pos_embed = nn.Parameter(torch.cat([table[:, :own], patches], dim=1))


def set_batch_norm_momentum(module: nn.Module, steps_per_epoch: int) -> None:
    """max(1 - 10 / s, 0.9) of the old statistics are kept (Kornblith et al. 2019); torch states the new ones' part."""
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.momentum = min(10 / steps_per_epoch, 0.1)


def image_size(backbone: Backbone, first: tuple[int, int], given: int | None) -> int:
    """Side of the images: ``given``, or the model's own crop, or the shorter side of the data's first image."""
    return given or backbone.preprocess.card.crop or min(first)


def resize_for_test(size: int, ratio: float) -> int:
    """Shorter side before the central crop: int(size / ratio); above 224 pixels nothing is cut off."""
    return size if size > 224 else math.floor(size / ratio)
