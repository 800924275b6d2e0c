"""Faster and Mask R-CNN, put together from torchvision's parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from timm.layers.norm import LayerNorm2d
from torch import nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNConvFCHead, TwoMLPHead
from torchvision.models.detection.generalized_rcnn import GeneralizedRCNN
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.protocols.detection.heads import (
    BoxCrops,
    BoxPredictor,
    MaskPredictor,
    ProposalHead,
    SharedRoIHeads,
    StageHead,
)
from ssl_bench.protocols.detection.pyramids import C4, Fpn, Pyramid, SimplePyramid
from ssl_bench.protocols.detection.recipes import Recipe
from ssl_bench.training.drop_path import set_drop_path
from ssl_bench.training.trainable import trainable_copy

RATIOS = (0.5, 1.0, 2.0)
PROPOSALS = {
    "c4": ({"training": 12_000, "testing": 6000}, {"training": 2000, "testing": 1000}),
    "fpn": ({"training": 2000, "testing": 1000}, {"training": 1000, "testing": 1000}),
    "simple": ({"training": 2000, "testing": 1000}, {"training": 1000, "testing": 1000}),
}
"""Boxes of the RPN before and after its suppression, as detectron2's; of a pyramid the former is for each level."""
DETECTIONS, LEAST_SCORE = 100, 0.05


class Padding(GeneralizedRCNNTransform):  # type: ignore[misc]
    """Images of several sizes -> one batch. They come resized and normalised, so that this only pads: with zeros (the mean
    colour) to multiples, or to a square of ``square`` pixels."""

    def __init__(self, multiple: int, square: int | None) -> None:
        super().__init__(1, 1, [0.0] * 3, [1.0] * 3, size_divisible=multiple)
        self.square = square

    def normalize(self, image: torch.Tensor) -> torch.Tensor:
        return image

    def resize(self, image: torch.Tensor, target: Any = None) -> tuple[torch.Tensor, Any]:
        return image, target

    def batch_images(self, images: list[torch.Tensor], size_divisible: int = 32) -> torch.Tensor:
        if self.square is None:
            batch: torch.Tensor = super().batch_images(images, size_divisible)
            return batch
        side = -(-self.square // size_divisible) * size_divisible
        return torch.stack([nn.functional.pad(i, (0, side - i.shape[-1], 0, side - i.shape[-2])) for i in images])

    def postprocess(self, result: Any, image_shapes: Any, original_image_sizes: Any) -> Any:
        """Boxes and masks (n, 1, 28, 28) stay as they are: the caller knows the images' own sizes."""
        return result


def detector(backbone: Backbone, classes: int, recipe: Recipe, masks: bool, frozen: bool = False) -> GeneralizedRCNN:
    """A detector of ``classes`` (without background) around a copy of ``backbone``, new layers at their random start.

    In training, (images, targets) -> losses by name; in evaluation, images -> ``boxes``, ``labels`` from 1, ``scores`` and
    ``masks`` of each. ``frozen``: the pretrained weights are not trained (of ``c4``: but the last stage is).
    """
    body = accept_any_size(trainable_copy(backbone), recipe.test_side, own=True)
    set_drop_path(body, recipe.drop_path)
    build: Callable[..., tuple[Pyramid, RoIHeads]] = {"c4": _c4, "fpn": _fpn, "simple": _simple}[recipe.detector]
    pyramid, roi = build(body, classes + 1, recipe.width, masks, frozen)
    roi.fg_bg_sampler.batch_size_per_image = recipe.rois
    square = recipe.test_side if recipe.resizing == "jitter" else None
    net = GeneralizedRCNN(pyramid, _rpn(pyramid, recipe), roi, Padding(pyramid.multiple, square))
    return net.to(next(backbone.parameters()).device)


def _rpn(pyramid: Pyramid, recipe: Recipe) -> RegionProposalNetwork:
    one_map = recipe.detector == "c4"
    sizes = (recipe.anchors,) if one_map else tuple((side,) for side in recipe.anchors)
    anchors = AnchorGenerator(sizes, (RATIOS,) * len(sizes))
    depth = 2 if recipe.detector == "simple" else 1
    head = ProposalHead(pyramid.out_channels, anchors.num_anchors_per_location()[0], depth)
    before, after = PROPOSALS[recipe.detector]
    return RegionProposalNetwork(
        anchors,
        head,
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n=before,
        post_nms_top_n=after,
        nms_thresh=0.7,
    )


def _c4(body: Backbone, classes: int, width: int, masks: bool, frozen: bool) -> tuple[Pyramid, RoIHeads]:
    module: Any = body.module
    pyramid, channels = C4(module, frozen), int(module.num_features)
    parts = BoxCrops(14, pyramid.strides), StageHead(module.layer4, channels), BoxPredictor(channels, classes)
    heads = _roi(SharedRoIHeads, *parts)
    heads.mask_predictor = MaskPredictor(channels, width, classes) if masks else None
    return pyramid, heads


def _fpn(body: Backbone, classes: int, width: int, masks: bool, frozen: bool) -> tuple[Pyramid, RoIHeads]:
    """Two fully connected layers for boxes, four convolutions for masks (Mask R-CNN)."""
    pyramid, hidden = Fpn(body, width, frozen), 4 * width
    heads = _roi(RoIHeads, BoxCrops(7, pyramid.strides), TwoMLPHead(width * 49, hidden), BoxPredictor(hidden, classes))
    return pyramid, _with_masks(heads, pyramid, classes, None) if masks else heads


def _simple(body: Backbone, classes: int, width: int, masks: bool, frozen: bool) -> tuple[Pyramid, RoIHeads]:
    """Four convolutions and one fully connected layer for boxes, four convolutions for masks, LayerNorm (ViTDet)."""
    pyramid, hidden = SimplePyramid(body, width, frozen), 4 * width
    box_head = FastRCNNConvFCHead((width, 7, 7), [width] * 4, [hidden], norm_layer=LayerNorm2d)
    heads = _roi(RoIHeads, BoxCrops(7, pyramid.strides), box_head, BoxPredictor(hidden, classes))
    return pyramid, _with_masks(heads, pyramid, classes, LayerNorm2d) if masks else heads


def _roi(kind: type[RoIHeads], crops: nn.Module, box_head: nn.Module, predictor: nn.Module) -> RoIHeads:
    return kind(
        crops,
        box_head,
        predictor,
        fg_iou_thresh=0.5,
        bg_iou_thresh=0.5,
        batch_size_per_image=512,
        positive_fraction=0.25,
        bbox_reg_weights=(10.0, 10.0, 5.0, 5.0),
        score_thresh=LEAST_SCORE,
        nms_thresh=0.5,
        detections_per_img=DETECTIONS,
    )


def _with_masks(heads: RoIHeads, pyramid: Pyramid, classes: int, norm: Any) -> RoIHeads:
    width = pyramid.out_channels
    heads.mask_roi_pool = BoxCrops(14, pyramid.strides)
    heads.mask_head = MaskRCNNHeads(width, (width,) * 4, 1, norm_layer=norm)
    heads.mask_predictor = MaskPredictor(width, width, classes)
    return heads
