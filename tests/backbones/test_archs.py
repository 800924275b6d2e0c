"""Architectures by name: own ones against torchvision, timm ones as timm builds them."""

import pytest
import timm
import torch
import torchvision

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.convnet import ConvNetBackbone
from ssl_bench.backbones.hierarchical import HierarchicalBackbone
from ssl_bench.backbones.plain import PlainBackbone
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.errors import SettingsError, UnknownNameError


def shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(t.shape) for name, t in module.state_dict().items()}


@pytest.mark.parametrize("depth", [18, 50])
def test_own_resnet_of_width_one_is_torchvisions(depth: int) -> None:
    theirs = torchvision.models.get_model(f"resnet{depth}", weights=None).eval()
    theirs.fc = torch.nn.Identity()
    ours = build(f"resnet{depth}w1").eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_wide_resnet_widens_every_layer() -> None:
    """Twice the channels everywhere but at the image: SimCLR's, BYOL's, SwAV's kind (not timm's wide_resnet50_2)."""
    with torch.device("meta"):
        narrow, wide = shapes(build("resnet50")), shapes(build("resnet50w2"))
    assert narrow.keys() == wide.keys()
    for name, shape in narrow.items():
        doubled = tuple(
            size if size == 3 and i == 1 and name == "conv1.weight" else 2 * size for i, size in enumerate(shape[:2])
        )
        assert wide[name] == (*doubled, *shape[2:]), name
    assert wide["conv1.weight"] == (128, 3, 7, 7)
    with torch.device("meta"):
        assert build("resnet200w2").num_features == 4096
        assert build("resnet50w4").num_features == 8192


@pytest.mark.parametrize(
    ("arch", "size", "kind"),
    [
        ("resnet_small32", 32, ConvNetBackbone),
        ("vit_small32", 32, ViTBackbone),
        ("raw_pixels", 32, PlainBackbone),
        ("vit_tiny_patch16_224", 224, ViTBackbone),
        ("resnet18", 96, ConvNetBackbone),
        ("timm:resnet10t", 96, ConvNetBackbone),
        ("swin_tiny_patch4_window7_224", 224, HierarchicalBackbone),
        ("convnext_atto", 96, HierarchicalBackbone),
        ("mobilenetv3_small_050", 96, HierarchicalBackbone),
        ("mixer_s32_224", 224, HierarchicalBackbone),
    ],
)
@torch.no_grad()
def test_encoders_map_images_to_vectors_of_the_length_they_state(arch: str, size: int, kind: type) -> None:
    module = build(arch).eval()
    images = torch.randn(2, 3, size, size)
    backbone = wrap(module, "default", PreprocessCard(), arch)
    assert type(backbone) is kind
    vectors = backbone(images)
    torch.testing.assert_close(vectors, module(images))
    assert vectors.shape == (2, backbone.embed_dim)


@pytest.mark.parametrize(
    ("arch", "size"),
    [("resnet18", 64), ("swin_tiny_patch4_window7_224", 224), ("convnext_atto", 64), ("efficientnet_lite0", 64)],
)
@torch.no_grad()
def test_layers_and_pyramid_are_timms_intermediates(arch: str, size: int) -> None:
    module = build(arch).eval()
    images = torch.randn(1, 3, size, size)
    backbone = wrap(module, "default", PreprocessCard(), arch)
    expected = module.forward_intermediates(images, norm=True, intermediates_only=True)
    layers = backbone.layers(images, 3)
    assert all(layer.cls is None for layer in layers)
    for layer, given in zip(layers, expected[-3:], strict=True):
        torch.testing.assert_close(layer.map, given)
    levels = backbone.pyramid(images)
    assert [level.shape[-1] for level in levels] == [size // s for s in (4, 8, 16, 32)]
    for level, given in zip(levels, expected[-4:], strict=True):
        torch.testing.assert_close(level, given)
    with pytest.raises(SettingsError):
        backbone.layers(images, 9)
    with pytest.raises(SettingsError, match="no class-token attention"):
        backbone.attention(images)


@torch.no_grad()
def test_pyramid_of_a_network_without_the_strides() -> None:
    """Strides 1, 2, 4, 8: the coarser levels are max-pooled from the last map."""
    backbone = wrap(build("resnet_small32", {"width": 4, "stem_stride": 1}).eval(), "pool", PreprocessCard(), "small")
    images = torch.randn(1, 3, 32, 32)
    stages = [layer.map for layer in backbone.layers(images, 4)]
    levels = backbone.pyramid(images)
    assert [stage.shape[-1] for stage in stages] == [32, 16, 8, 4]
    torch.testing.assert_close(levels[0], stages[2])
    torch.testing.assert_close(levels[1], stages[3])
    torch.testing.assert_close(levels[2], torch.nn.functional.max_pool2d(stages[3], 2))
    torch.testing.assert_close(levels[3], stages[3].amax((2, 3), keepdim=True))


@torch.no_grad()
def test_raw_pixels_are_the_pixels() -> None:
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(build("raw_pixels")(images), images.reshape(2, 3072))
    assert build("raw_pixels", {"size": 8}).embed_dim == 192
    with pytest.raises(SettingsError, match="32 x 32"):
        build("raw_pixels")(torch.zeros(1, 3, 28, 28))


def test_arguments_reach_the_network() -> None:
    assert build("resnet_small32", {"width": 8}).num_features == 64
    cifar = build("resnet_small32", {"width": 64, "blocks": [2, 2, 2, 2], "stem_stride": 1})
    assert sum(p.numel() for p in cifar.parameters()) == 11_168_832  # torchvision's ResNet-18 less 7 x 7 stem and fc
    small = build("vit_small32", {"dim": 32, "depth": 2, "heads": 2, "class_token": False, "global_pool": "avg"})
    assert (small.embed_dim, len(small.blocks), small.has_class_token) == (32, 2, False)
    assert build("vit_tiny_patch16_224", {"img_size": 64}).pos_embed.shape[1] == 17


def test_unknown_names_and_arguments() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean: .*vit_small_patch16_224"):
        build("vit_small_patch16_225")
    with pytest.raises(UnknownNameError, match="resnet_small32"):
        build("resnet_small_32")
    with pytest.raises(UnknownNameError, match=r"vit_small_patch16_224\.dino"):
        build("vit_small_patch16_224.dyno")
    with pytest.raises(SettingsError, match="nonsense"):
        build("resnet_small32", {"nonsense": 1})
    with pytest.raises(SettingsError, match="nonsense"):
        build("resnet18", {"nonsense": 1})
    with pytest.raises(SettingsError, match="no embedding 'cls'"):
        wrap(build("resnet_small32"), "cls", PreprocessCard(), "x")
    with pytest.raises(SettingsError, match="no embedding 'cls'"):
        wrap(timm.create_model("convnext_atto", num_classes=0), "cls", PreprocessCard(), "x")
    with pytest.raises(SettingsError, match="embed_dim"):
        wrap(torch.nn.Flatten(), "default", PreprocessCard(), "x")
