"""Detectors' parts against restatements, and the recipes' numbers against the sheet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import roi_align
from trained_backbone import PREPROCESS, trained_backbone

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.data.scene_checks import check_targets
from ssl_bench.data.scenes import Instances
from ssl_bench.data.shapes import ShapesSplit
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.detection.heads import BoxCrops
from ssl_bench.protocols.detection.models import Padding, detector
from ssl_bench.protocols.detection.pyramids import C4, SimplePyramid
from ssl_bench.protocols.detection.recipes import MOCO, MOCO_VOC, VITDET, recipe_of
from ssl_bench.protocols.detection.samples import sample_with, size_at_test, training_transform


def vit(**changes: Any) -> Backbone:
    return wrap(
        build("vit_small32", {"img_size": 64, "patch_size": 8, "dim": 32, **changes}), "default", PREPROCESS, "v"
    )


def test_numbers_of_moco_and_vitdet() -> None:
    resnet = trained_backbone("resnet")
    voc = recipe_of("voc", resnet, {})
    assert (voc.detector, voc.steps, voc.milestones, voc.warmup) == ("c4", 24_000, (18_000, 22_000), 100)
    assert (voc.batch_size, voc.lr, voc.test_side, voc.max_side) == (16, 0.02, 800, 1333)
    assert voc.sides == (480, 512, 544, 576, 608, 640, 672, 704, 736, 768, 800)
    coco = recipe_of("coco", resnet, {})
    assert (coco.steps, coco.milestones, coco.sides[0]) == (180_000, (120_000, 160_000), 640)
    short = recipe_of("coco_1x", resnet, {})
    assert (short.steps, short.milestones) == (90_000, (60_000, 80_000))
    # B, L and H by their number of blocks.
    for depth, expected in {
        12: (0.7, 0.1, 184_375, (163_889, 177_546)),
        24: (0.8, 0.4, 184_375, (163_889, 177_546)),
        32: (0.9, 0.5, 138_281, (122_917, 133_160)),
    }.items():
        found = recipe_of("coco", vit(depth=depth), {})
        assert (found.layer_decay, found.drop_path, found.steps, found.milestones) == expected
        assert (found.detector, found.batch_size, found.lr, found.weight_decay) == ("simple", 64, 1e-4, 0.1)


def test_the_small_recipe_is_small() -> None:
    for backbone in (trained_backbone("resnet"), vit()):
        found = recipe_of("small", backbone, {})
        assert (found.width, found.rois, found.layer_decay, found.precise_bn) == (32, 32, 1.0, 0)


def test_given_values_replace_the_recipes() -> None:
    found = recipe_of("voc", trained_backbone("resnet"), {"steps": 240, "lr": 0.1})
    assert (found.steps, found.milestones, found.lr) == (240, (180, 220), 0.1)
    with pytest.raises(SettingsError, match="no stages for the detector c4"):
        recipe_of("voc", vit(), {"detector": "c4"})
    with pytest.raises(SettingsError, match="five levels, 3 sides"):
        recipe_of("coco", vit(), {"anchors": (8, 16, 32)})


def test_c4_is_the_pretrained_network_cut_in_two() -> None:
    backbone = trained_backbone("resnet")
    net = detector(backbone, 5, replace(MOCO, anchors=(16,)), masks=True).eval()
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = net.backbone(images)["0"]
        whole = net.roi_heads.box_head.stage(maps)
        torch.testing.assert_close(whole, backbone.layers(images)[0].map)
    assert isinstance(net.backbone, C4)
    assert net.backbone.strides == (8,)  # this small network's stem has stride 2
    # One copy of each weight, all trained.
    names = [name for name, _ in net.named_parameters()]
    assert len(names) == len(set(names))
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_the_mean_of_the_normalised_stage_is_classified() -> None:
    net = detector(trained_backbone("resnet"), 5, MOCO, masks=False).eval()
    heads = net.roi_heads
    maps, boxes = torch.randn(1, 32, 8, 8), torch.tensor([[4.0, 4.0, 40.0, 50.0]])
    with torch.no_grad():
        crop = roi_align(maps, [boxes], 14, 1 / 8, aligned=True)
        mean = heads.box_head.norm(heads.box_head.stage(crop)).mean((2, 3))
        expected = nn.functional.linear(mean, heads.box_predictor.cls_score.weight, heads.box_predictor.cls_score.bias)
        found, _ = heads._classify(heads.box_head(heads.box_roi_pool({"0": maps}, [boxes], [(64, 64)])))
    torch.testing.assert_close(found, expected)


def test_boxes_are_cut_out_of_the_level_of_their_size() -> None:
    crops = BoxCrops(7, (4, 8, 16, 32))
    sides = torch.tensor([10.0, 111, 112, 223, 224, 447, 448, 2000])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], dim=1)
    # Lin et al. 2017: level 4 (stride 16) for 224 pixels, one finer for half of it.
    assert crops.level(boxes).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    maps = {str(i): torch.randn(2, 3, 256 // s, 256 // s) for i, s in enumerate((4, 8, 16, 32))}
    maps["pool"] = torch.randn(2, 3, 4, 4)
    first, second = (
        torch.tensor([[3.0, 5.0, 120.0, 140.0]]),
        torch.tensor([[0.0, 0.0, 250.0, 250.0], [9.0, 9.0, 20.0, 30.0]]),
    )
    found = crops(maps, [first, second], [(256, 256)] * 2)
    one = roi_align(maps["1"][:1], [first], 7, 1 / 8, aligned=True)
    large = roi_align(maps["2"][1:], [second[:1]], 7, 1 / 16, aligned=True)
    small = roi_align(maps["0"][1:], [second[1:]], 7, 1 / 4, aligned=True)
    torch.testing.assert_close(found, torch.cat([one, large, small]))
    assert crops(maps, [torch.zeros(0, 4), torch.zeros(0, 4)], [(256, 256)] * 2).shape == (0, 3, 7, 7)


@pytest.mark.parametrize("patch", [4, 7, 8, 16])
def test_the_simple_pyramid_has_strides_4_to_32(patch: int) -> None:
    """Patches of 7 pixels get the grid of patches of 8."""
    pyramid = SimplePyramid(vit(img_size=16 * patch, patch_size=patch), 16, frozen=False).eval()
    side = 64 if patch < 16 else 128
    with torch.no_grad():
        maps = pyramid(torch.randn(1, 3, side, side))
    assert {name: m.shape[1:] for name, m in maps.items()} == {
        name: (16, side // stride, side // stride)
        for name, stride in {"0": 4, "1": 8, "2": 16, "3": 32, "pool": 64}.items()
    }


def test_the_simple_pyramid_is_vitdets() -> None:
    """Level of stride 4 from patches of 16: 2 x (transposed convolution), LayerNorm and GELU between; no bias after."""
    backbone = vit(img_size=64, patch_size=16)
    pyramid = SimplePyramid(backbone, 16, frozen=False).eval()
    kinds = [[type(layer).__name__ for layer in level] for level in pyramid.levels]
    end = ["Conv2d", "LayerNorm2d", "Conv2d", "LayerNorm2d"]
    assert kinds == [
        ["ConvTranspose2d", "LayerNorm2d", "GELU", "ConvTranspose2d", *end],
        ["ConvTranspose2d", *end],
        end,
        ["MaxPool2d", *end],
    ]
    widths = [layer.out_channels for layer in pyramid.levels[0] if isinstance(layer, (nn.ConvTranspose2d, nn.Conv2d))]
    assert widths == [16, 8, 16, 16]
    assert all(layer.bias is None for level in pyramid.levels for layer in level if isinstance(layer, nn.Conv2d))
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        last = backbone.layers_at(images, [2], norm=False)[0].map
        torch.testing.assert_close(pyramid(images)["2"], pyramid.levels[2](last))


def test_swin_and_resnet_get_an_fpn() -> None:
    swin = wrap(
        build(
            "swin_tiny_patch4_window7_224", {"img_size": 64, "window_size": 2, "embed_dim": 12, "depths": (1, 1, 1, 1)}
        ),
        *("default", PREPROCESS, "swin"),
    )
    recipe = recipe_of("small", swin, {"test_side": 96})
    assert (recipe.detector, recipe.optimizer) == ("fpn", "adamw")
    net = detector(swin.eval(), 5, recipe, masks=False).eval()
    with torch.inference_mode():
        (found,) = net([torch.randn(3, 90, 70)])
    assert set(found) == {"boxes", "labels", "scores"}


def test_raw_pixels_cannot_detect() -> None:
    pixels = wrap(build("raw_pixels", {}), "default", PREPROCESS, "raw_pixels")
    with pytest.raises(SettingsError, match="raw_pixels"):
        detector(pixels, 5, recipe_of("small", pixels, {}), masks=False)


def test_a_network_of_one_size_is_named() -> None:
    arguments = {"img_size": 56, "depth": 1, "embed_dim": 24, "num_heads": 2}
    eva = wrap(build("eva02_tiny_patch14_224", arguments), "default", PreprocessCard(resize=56, crop=56), "eva")
    with pytest.raises(SettingsError, match="Model eva does not take images of 64 x 64"):
        detector(eva, 5, recipe_of("small", eva, {}), masks=False)


def test_batches_are_padded_with_zeros_below_and_to_the_right() -> None:
    images = [torch.ones(3, 40, 50), torch.ones(3, 33, 64)]
    batch, _ = Padding(32, None)(images)
    assert batch.tensors.shape == (2, 3, 64, 64)
    assert batch.image_sizes == [(40, 50), (33, 64)]
    assert batch.tensors.sum() == 3 * (40 * 50 + 33 * 64)
    assert Padding(32, 100)(images)[0].tensors.shape == (2, 3, 128, 128)


@pytest.mark.parametrize("resizing", ["short", "long", "jitter"])
def test_boxes_move_with_their_masks(resizing: Any) -> None:
    recipe = replace(VITDET, resizing=resizing, sides=(96, 128), test_side=100, max_side=1000)
    transform, split = training_transform(recipe), ShapesSplit("shapes", 0, 0, 40)
    near, sides = [], []
    for index in range(40):
        torch.manual_seed(index)
        moved = transform(sample_with(True)(split, index))
        target = moved["target"]
        assert len(target["boxes"]) == len(target["labels"]) == len(target["masks"])
        sides.append(tuple(moved["image"].shape[-2:]))
        assert target["masks"].shape[1:] == moved["image"].shape[1:]
        for box, mask in zip(target["boxes"], target["masks"].numpy(), strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            if len(rows):
                edges = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
                near.append(abs(edges - box.numpy()).max())
    assert np.mean(np.array(near) < 2) > 0.9
    if resizing == "jitter":
        assert max(map(max, sides)) == 100
        assert min(map(min, sides)) < 50
    else:
        assert set(sides) == {(96, 96), (128, 128)}


def test_sizes_of_test_images() -> None:
    assert size_at_test(480, 640, MOCO_VOC) == [800, 1067]
    assert size_at_test(300, 900, MOCO_VOC) == [444, 1333]  # the longer side may have 1,333 pixels
    assert size_at_test(480, 640, VITDET) == [768, 1024]


def changed(**changes: Any) -> ShapesSplit:
    class Changed(ShapesSplit):
        def instances(self, index: int, masks: bool = True) -> Instances:
            return replace(super().instances(index), **changes)

    return Changed("shapes/changed", 0, 0, 1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.array([[1, 1, 70, 9]], np.float32)}, "a box does not lie in the image of 64 x 64"),
        ({"masks": np.zeros((1, 64, 32), bool)}, "the image is 64 x 64 pixels, its target 32 x 64"),
        ({"labels": np.array([6])}, "an object has class 6"),
    ],
)
def test_objects_that_do_not_fit_are_named(changes: dict[str, Any], message: str) -> None:
    split = changed(**changes)
    with pytest.raises(DataError, match=message):
        sample_with(True)(split, 0)
    with pytest.raises(DataError, match=message):
        check_targets(split, 0)
