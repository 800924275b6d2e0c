"""Backbones of BEiT's kind against plain functions on tensors, at the trained resolution and at others."""

from typing import Any

import pytest
import torch
from proofs import beits
from proofs.beits import SHARED, beit_blocks
from proofs.vits import layer_norm
from test_relative_positions import by_fitpack
from torch import nn

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.beit import BeitBackbone
from ssl_bench.backbones.embeddings import embed, embedding_dim
from ssl_bench.cards import PreprocessCard
from ssl_bench.errors import SettingsError

SMALL = {"img_size": 96, "embed_dim": 24, "depth": 3, "num_heads": 2}
PRETRAINED = {"use_shared_rel_pos_bias": True, "use_rel_pos_bias": False, "global_pool": "token"}
ABSOLUTE = {"use_abs_pos_emb": True, "use_rel_pos_bias": False, "init_values": 0, "global_pool": "token"}
KINDS = {"shared": PRETRAINED, "each": {}, "absolute": ABSOLUTE}
IMAGES = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))


def make(kind: str = "shared", embedding: str = "default", **changes: Any) -> tuple[Backbone, dict[str, torch.Tensor]]:
    torch.manual_seed(1)
    module = build("beit_base_patch16_224", {**SMALL, **KINDS[kind], **changes}).eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    backbone = wrap(module, embedding, PreprocessCard(), "beit").requires_grad_(False)
    return backbone, dict(module.state_dict())


@pytest.mark.parametrize("kind", KINDS)
def test_is_timms_network(kind: str) -> None:
    backbone, _ = make(kind)
    assert isinstance(backbone, BeitBackbone)
    torch.testing.assert_close(backbone(IMAGES), backbone.module(IMAGES))
    norm = {"intermediates_only": True, "return_prefix_tokens": True, "norm": True}
    for found, (maps, prefix) in zip(
        backbone.layers(IMAGES, 3), backbone.module.forward_intermediates(IMAGES, **norm), strict=True
    ):
        torch.testing.assert_close(found.map, maps)
        torch.testing.assert_close(found.cls, prefix[:, 0])


def test_every_named_vector() -> None:
    backbone, t = make()
    blocks = beit_blocks(t, IMAGES, 2)
    normed = [layer_norm(t, "norm", tokens) for tokens in blocks]
    cls, mean = [x[:, 0] for x in normed], normed[-1][:, 1:].mean(dim=1)
    expected = {
        "default": cls[-1],
        "cls": cls[-1],
        "mean_patch": mean,
        "cls_mean": torch.cat([cls[-1], mean], 1),
        "last2_cls": torch.cat(cls[-2:], 1),
        "last3_cls_mean": torch.cat([*cls, mean], 1),
        **{f"block{k}_cls_mean": torch.cat([x[:, 0], x[:, 1:].mean(dim=1)], 1) for k, x in enumerate(blocks, 1)},
    }
    for name, vectors in expected.items():
        torch.testing.assert_close(embed(backbone, IMAGES, name), vectors)
        assert embedding_dim(backbone, name) == vectors.shape[1]
    own = {**expected, "cls_mean_before_norm": expected["block3_cls_mean"], "mean_token": normed[-1].mean(dim=1)}
    for name in ("cls", "mean_patch", "cls_mean", "block2_cls_mean", "cls_mean_before_norm", "mean_token"):
        vectors = make(embedding=name)[0](IMAGES)
        torch.testing.assert_close(vectors, own[name])
        assert make(embedding=name)[0].embed_dim == vectors.shape[1]


def test_a_block_that_is_not_there() -> None:
    with pytest.raises(SettingsError, match="no embedding 'block4_cls_mean'"):
        make(embedding="block4_cls_mean")
    with pytest.raises(SettingsError, match="3 blocks"):
        embed(make()[0], IMAGES, "block4_cls_mean")


@pytest.mark.parametrize("kind", KINDS)
def test_attention(kind: str) -> None:
    backbone, t = make(kind)
    x, at = beit_blocks(t, IMAGES, 2)[-2], "blocks.2"
    table = t.get(SHARED, t.get(f"{at}.attn.relative_position_bias_table"))
    added = None if table is None else beits.bias(table, 6, 6)
    scores = beits.scores(t, f"{at}.attn", layer_norm(t, f"{at}.norm1", x), 2, added)
    expected = scores.softmax(dim=-1)[:, :, 0, 1:].reshape(2, 2, 6, 6)
    torch.testing.assert_close(backbone.attention(IMAGES), expected)
    assert (backbone.attention(IMAGES).sum(dim=(2, 3)) < 1).all()


def test_attention_of_a_single_block() -> None:
    backbone, t = make(depth=1)
    x = layer_norm(t, "blocks.0.norm1", beits.embedded(t, IMAGES))
    scores = beits.scores(t, "blocks.0.attn", x, 2, beits.bias(t[SHARED], 6, 6))
    torch.testing.assert_close(backbone.attention(IMAGES), scores.softmax(dim=-1)[:, :, 0, 1:].reshape(2, 2, 6, 6))


@pytest.mark.parametrize("size", [(128, 128), (64, 64), (96, 144), (80, 208), (105, 101)])
def test_other_resolutions(size: tuple[int, int]) -> None:
    """The blocks see a table for the image's own grid; pixels that fill no patch are left out."""
    backbone, t = make()
    grid = size[0] // 16, size[1] // 16
    images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(2))
    tokens = beit_blocks(
        {**t, SHARED: by_fitpack(t[SHARED], (6, 6), grid)}, images[..., : 16 * grid[0], : 16 * grid[1]], 2
    )[-1]
    expected = layer_norm(t, "norm", tokens)
    torch.testing.assert_close(backbone(images), expected[:, 0], atol=1e-4, rtol=1e-3)
    (layer,) = backbone.layers(images)
    assert layer.map.shape == (2, 24, *grid)
    torch.testing.assert_close(layer.map.flatten(2).transpose(1, 2), expected[:, 1:], atol=1e-4, rtol=1e-3)
    assert backbone.attention(images).shape == (2, 2, *grid)
    maps = backbone.pyramid(images)
    assert [round(size[0] / m.shape[-2]) for m in maps[:2]] == [4, 8]


def test_absolute_positions_at_another_resolution() -> None:
    backbone, t = make("absolute")
    images = torch.randn(2, 3, 128, 64, generator=torch.Generator().manual_seed(2))
    maps = t["pos_embed"][:, 1:].reshape(1, 6, 6, 24).permute(0, 3, 1, 2)
    patches = nn.functional.interpolate(maps, size=(8, 4), mode="bicubic").flatten(2).transpose(1, 2)
    resampled = {**t, "pos_embed": torch.cat([t["pos_embed"][:, :1], patches], dim=1)}
    expected = layer_norm(t, "norm", beit_blocks(resampled, images, 2)[-1])[:, 0]
    torch.testing.assert_close(backbone(images), expected, atol=1e-4, rtol=1e-3)


def test_tables_of_every_block_are_for_the_trained_resolution() -> None:
    backbone, _ = make("each")
    with pytest.raises(SettingsError, match=r"a position table each, for \(6, 6\) patches; the image has \(8, 6\)"):
        backbone(torch.zeros(1, 3, 128, 96))


def test_an_image_without_a_patch() -> None:
    with pytest.raises(SettingsError, match=r"an image of \(15, 96\) pixels holds no patch of \(16, 16\)"):
        make()[0](torch.zeros(1, 3, 15, 96))
