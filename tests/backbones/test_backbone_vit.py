"""ViTs against timm's own forward and intermediates, and attention against the formula."""

import pytest
import timm
import torch
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional as F

from ssl_bench.backbones.archs import wrap
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.errors import SettingsError

SMALL = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 3, "num_classes": 0}
VARIANTS = {
    "plain": {},
    "patch 5": {"patch_size": 5, "img_size": 30},
    "registers": {"reg_tokens": 4},
    "registers without positions": {"reg_tokens": 4, "no_embed_class": True},
    "no class token": {"class_token": False, "global_pool": "avg"},
    "pre-norm": {"pre_norm": True},
    "layer scale and query norm": {"init_values": 0.1, "qk_norm": True},
    "average pooling, fc_norm": {"global_pool": "avg"},
    "attention pooling": {"global_pool": "map", "class_token": False},
    "no positions": {"pos_embed": "none"},
}


def vit(**changes: object) -> VisionTransformer:
    torch.manual_seed(3)
    module = VisionTransformer(**{**SMALL, **changes}).eval()
    for parameter in module.parameters():  # timm's initialisation is so small that mistakes would hide
        torch.nn.init.normal_(parameter, std=0.3)
    return module


def wrapped(module: torch.nn.Module, embedding: str = "default", positions: str = "plain") -> Backbone:
    return wrap(module, embedding, PreprocessCard(), "test", positions=positions).eval()


def images_for(module: VisionTransformer) -> torch.Tensor:
    return torch.randn(2, 3, *module.patch_embed.img_size, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_forward_and_layers_are_timms(name: str) -> None:
    module = vit(**VARIANTS[name])
    backbone, images = wrapped(module), images_for(module)
    torch.testing.assert_close(backbone(images), module(images))
    assert backbone(images).shape == (2, backbone.embed_dim)
    expected = module.forward_intermediates(
        images, indices=2, norm=True, intermediates_only=True, return_prefix_tokens=True
    )
    for layer, given in zip(backbone.layers(images, 2), expected, strict=True):
        maps, prefix = given if isinstance(given, tuple) else (given, None)
        torch.testing.assert_close(layer.map, maps)
        if module.has_class_token:
            torch.testing.assert_close(layer.cls, prefix[:, 0])
        else:
            assert layer.cls is None


@torch.no_grad()
def test_embeddings_are_those_of_the_normalised_last_tokens() -> None:
    module = vit(reg_tokens=2)
    images = images_for(module)
    tokens = module.forward_features(images)
    cls, mean = tokens[:, 0], tokens[:, 3:].mean(1)
    for embedding, expected in {"cls": cls, "mean_patch": mean, "cls_mean": torch.cat([cls, mean], 1)}.items():
        backbone = wrapped(module, embedding)
        torch.testing.assert_close(backbone(images), expected)
        assert backbone.embed_dim == expected.shape[1]


@pytest.mark.parametrize("positions", ["plain", "antialias"])
@pytest.mark.parametrize("size", [(48, 48), (64, 40), (24, 24)])
@torch.no_grad()
def test_other_resolutions_against_a_vit_built_for_them(size: tuple[int, int], positions: str) -> None:
    """The same weights in a ViT of that size, with positions resampled by torch as the convention says."""
    module = vit()
    other = VisionTransformer(**{**SMALL, "img_size": size}).eval()
    weights = dict(module.state_dict())
    table = weights["pos_embed"]
    grid = table[:, 1:].reshape(1, 4, 4, -1).permute(0, 3, 1, 2)
    resampled = F.interpolate(
        grid, size=(size[0] // 8, size[1] // 8), mode="bicubic", antialias=positions == "antialias"
    )
    weights["pos_embed"] = torch.cat([table[:, :1], resampled.flatten(2).transpose(1, 2)], 1)
    other.load_state_dict(weights)
    images = torch.randn(2, 3, *size)
    backbone = wrapped(module, positions=positions)
    torch.testing.assert_close(backbone(images), other(images))
    assert backbone.layers(images)[0].map.shape[-2:] == (size[0] // 8, size[1] // 8)


@pytest.mark.parametrize("name", ["plain", "registers", "layer scale and query norm"])
@torch.no_grad()
def test_attention_is_softmax_of_query_key(name: str) -> None:
    module = vit(**VARIANTS[name])
    images = images_for(module)
    seen: list[torch.Tensor] = []
    hook = module.blocks[-1].attn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    module(images)
    hook.remove()
    attn, x, dim = module.blocks[-1].attn, seen[0], SMALL["embed_dim"]
    weight, bias = attn.qkv.weight, attn.qkv.bias
    per_head = dim // 3
    first = x.shape[1] - 16
    expected = torch.empty(2, 3, 4, 4)
    for b in range(2):
        for h in range(3):
            rows = slice(h * per_head, (h + 1) * per_head)
            q = x[b] @ weight[:dim][rows].T + bias[:dim][rows]
            k = x[b] @ weight[dim : 2 * dim][rows].T + bias[dim : 2 * dim][rows]
            q, k = attn.q_norm(q), attn.k_norm(k)
            full = torch.softmax(q @ k.T / per_head**0.5, dim=1)
            expected[b, h] = full[0, first:].reshape(4, 4)
    found = wrapped(module).attention(images)
    torch.testing.assert_close(found, expected)
    assert (found.sum((2, 3)) < 1).all()


@torch.no_grad()
def test_pyramid_resamples_the_last_map() -> None:
    module = vit(img_size=64, patch_size=16)
    images = images_for(module)
    backbone = wrapped(module)
    last = backbone.layers(images)[0].map
    four, eight, sixteen, thirty_two = backbone.pyramid(images)
    assert [m.shape[-1] for m in (four, eight, sixteen, thirty_two)] == [16, 8, 4, 2]
    assert torch.equal(sixteen, last)
    torch.testing.assert_close(eight, F.interpolate(last, scale_factor=2, mode="bilinear"))
    torch.testing.assert_close(four, F.interpolate(last, scale_factor=4, mode="bilinear"))
    torch.testing.assert_close(thirty_two, F.max_pool2d(last, 2))


def test_what_a_vit_does_not_have_is_refused() -> None:
    without = vit(class_token=False, global_pool="avg")
    with pytest.raises(SettingsError, match="no embedding 'pool'"):
        wrapped(vit(), "pool")
    with pytest.raises(SettingsError, match="no class token"):
        wrapped(without, "cls")
    with pytest.raises(SettingsError, match="no class-token attention"):
        wrapped(without).attention(images_for(without))
    with pytest.raises(SettingsError, match="3 blocks"):
        wrapped(vit()).layers(images_for(without), 4)
    with pytest.raises(SettingsError, match="no patch"):
        wrapped(vit())(torch.zeros(1, 3, 7, 7))


@torch.no_grad()
def test_gradients_and_mode_stay_with_the_module() -> None:
    module = vit().train()
    backbone = wrap(module, "cls", PreprocessCard(), "test")
    assert backbone.training
    assert module.blocks.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())


@torch.no_grad()
def test_distilled_vit_goes_through_timms_intermediates() -> None:
    module = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=0).eval()
    images = torch.randn(1, 3, 224, 224)
    backbone = wrapped(module)
    torch.testing.assert_close(backbone(images), module(images))
    layer = backbone.layers(images)[0]
    tokens = module.forward_features(images)
    torch.testing.assert_close(layer.cls, tokens[:, 0])
    torch.testing.assert_close(layer.map.flatten(2).transpose(1, 2), tokens[:, 2:])
