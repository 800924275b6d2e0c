"""Named vectors for the linear protocols against DINO's recipe, restated from timm's intermediates."""

import pytest
import torch
from torch import nn

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone, Layer
from ssl_bench.backbones.embeddings import embed, embedding_dim
from ssl_bench.cards import PreprocessCard
from ssl_bench.errors import SettingsError

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def vit(embedding: str = "cls", **changes: object) -> Backbone:
    torch.manual_seed(0)
    module = build("vit_small32", {"dim": 16, "depth": 5, "heads": 2, **changes}).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return wrap(module, embedding, PreprocessCard(), "vit")


@torch.no_grad()
def test_vectors_of_a_vit() -> None:
    backbone = vit(reg_tokens=2)
    blocks = backbone.module.forward_intermediates(
        IMAGES, norm=True, intermediates_only=True, return_prefix_tokens=True
    )
    cls = [prefix[:, 0] for _, prefix in blocks]
    mean = blocks[-1][0].flatten(2).mean(2)
    expected = {
        "default": cls[-1],
        "cls": cls[-1],
        "mean_patch": mean,
        "cls_mean": torch.cat([cls[-1], mean], 1),
        "last4_cls": torch.cat(cls[-4:], 1),  # DINO ViT-S
        "last1_cls_mean": torch.cat([cls[-1], mean], 1),  # DINO ViT-B
        "last3_cls_mean": torch.cat([*cls[-3:], mean], 1),
    }
    for name, vectors in expected.items():
        found = embed(backbone, IMAGES, name)
        torch.testing.assert_close(found, vectors)
        assert embedding_dim(backbone, name) == vectors.shape[1]


@torch.no_grad()
def test_length_does_not_depend_on_the_backbones_own_embedding() -> None:
    both = vit("cls_mean")
    assert both.embed_dim == 32
    assert embedding_dim(both, "last4_cls") == embed(both, IMAGES, "last4_cls").shape[1] == 64
    assert embedding_dim(both, "cls") == embed(both, IMAGES, "cls").shape[1] == 16


@pytest.mark.parametrize("arch", ["resnet_small32", "convnext_atto"])
@torch.no_grad()
def test_convolutional_networks_have_default_and_pool_only(arch: str) -> None:
    backbone = wrap(build(arch).eval(), "default", PreprocessCard(), arch)
    assert torch.equal(embed(backbone, IMAGES, "pool"), backbone(IMAGES))
    assert embedding_dim(backbone, "pool") == embedding_dim(backbone) == backbone.embed_dim
    for function in (lambda: embed(backbone, IMAGES, "last4_cls"), lambda: embedding_dim(backbone, "cls_mean")):
        with pytest.raises(SettingsError, match="no tokens"):
            function()


@pytest.mark.parametrize("name", ["last0_cls", "last_cls", "clss", "last2_mean", "pool"])
def test_unknown_embeddings_are_refused(name: str) -> None:
    with pytest.raises(SettingsError, match="no embedding"):
        embed(vit(), IMAGES, name)


def test_more_blocks_than_there_are_and_no_class_token() -> None:
    with pytest.raises(SettingsError, match="5 blocks"):
        embed(vit(), IMAGES, "last6_cls")
    with pytest.raises(SettingsError, match="no class token"):
        embed(vit("default", class_token=False, global_pool="avg"), IMAGES, "last1_cls")


@torch.no_grad()
def test_backbone_of_a_plugin_that_offers_layers() -> None:
    class Mine(Backbone):
        name, embed_dim = "mine", 3

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((2, 3))

        def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
            return [Layer(images.mean((2, 3)) + i, images) for i in range(last)]

    found = embed(Mine(), IMAGES, "last2_cls_mean")
    mean = IMAGES.mean((2, 3))
    torch.testing.assert_close(found, torch.cat([mean, mean + 1, mean], 1))
    assert embedding_dim(Mine(), "last2_cls_mean") == 9
