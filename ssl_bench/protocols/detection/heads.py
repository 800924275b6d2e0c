"""Heads of a detector: what cuts boxes out of maps, and what says class, box and mask. All scores are float32."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.mask_rcnn import MaskRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss, maskrcnn_inference, maskrcnn_loss
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import roi_align

CELLS = 14
"""A box is cut out of the coarsest map on which its side has at least so many cells (Lin et al. 2017, eq. 1: 224 / 16)."""

Boxes = list[torch.Tensor]
Sizes = list[tuple[int, int]]
Targets = list[dict[str, torch.Tensor]] | None


class BoxCrops(nn.Module):
    """Boxes as maps of ``size`` x ``size`` cells by RoIAlign, moved by half a pixel (``aligned``) as in detectron2's newer
    version, which torchvision's own pooling of several maps is not. ``strides``: of the maps."""

    def __init__(self, size: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        self.size, self.strides = size, strides

    def forward(self, maps: dict[str, torch.Tensor], boxes: Boxes, sizes: Sizes) -> torch.Tensor:
        """``boxes``: (n_i, 4) in pixels of each image -> (sum n_i, C, size, size). ``sizes`` of the images do not matter."""
        image = torch.cat([boxes[i].new_full((len(boxes[i]), 1), i) for i in range(len(boxes))])
        rois = torch.cat([image, torch.cat(boxes)], dim=1)
        level = self.level(rois[:, 1:])
        first = maps["0"]
        crops = first.new_zeros((len(rois), first.shape[1], self.size, self.size))
        for number, stride in enumerate(self.strides):
            rows = torch.where(level == number)[0]
            found = roi_align(maps[str(number)], rois[rows].to(first.dtype), self.size, 1 / stride, aligned=True)
            crops = crops.index_put((rows,), found.to(crops.dtype))
        return crops

    def level(self, boxes: torch.Tensor) -> torch.Tensor:
        """(n, 4) -> (n,): floor(log2(sqrt(w h) / (14 x finest stride))), within the levels that there are."""
        side = (boxes[:, 2:] - boxes[:, :2]).prod(1).clamp(min=1e-6).sqrt()
        return (side / (CELLS * self.strides[0])).log2().floor().clamp(0, len(self.strides) - 1)


class ProposalHead(RPNHead):  # type: ignore[misc]
    """The RPN's scores and boxes."""

    def forward(self, maps: list[torch.Tensor]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        scores, boxes = super().forward(maps)
        return [s.float() for s in scores], [b.float() for b in boxes]


class BoxPredictor(FastRCNNPredictor):  # type: ignore[misc]
    """Class scores and a box for each class; initialised as detectron2's, with standard deviations 0.01 and 0.001."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(channels, classes)
        for layer, std in ((self.cls_score, 0.01), (self.bbox_pred, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores, boxes = super().forward(features)
        return scores.float(), boxes.float()


class MaskPredictor(MaskRCNNPredictor):  # type: ignore[misc]
    """Transposed convolution, ReLU, one mask for each class."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        masks: torch.Tensor = super().forward(features).float()
        return masks


class StageHead(nn.Module):
    """The last stage of a ResNet on each box, then one more BatchNorm (MoCo's Res5ROIHeadsExtraNorm)."""

    def __init__(self, stage: nn.Module, channels: int) -> None:
        super().__init__()
        self.stage, self.norm = stage, nn.BatchNorm2d(channels)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """(n, C, 14, 14) -> (n, 2 C, 7, 7)."""
        found: torch.Tensor = self.norm(self.stage(crops))
        return found


class SharedRoIHeads(RoIHeads):  # type: ignore[misc]
    """C4's heads: class and box from the mean of the last stage's map, the mask from the same map, computed once. (As
    torchvision has it, boxes and masks would pass the stage separately, and its BatchNorm would count them twice.)"""

    def forward(
        self, features: dict[str, torch.Tensor], proposals: Boxes, image_shapes: Sizes, targets: Targets = None
    ) -> tuple[list[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
        if self.training:
            return [], self._losses(features, proposals, image_shapes, targets)
        maps = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        found = self.postprocess_detections(*self._classify(maps), proposals, image_shapes)
        keys = ("boxes", "scores", "labels")
        results: list[dict[str, torch.Tensor]] = [dict(zip(keys, one, strict=True)) for one in zip(*found, strict=True)]
        if self.mask_predictor is not None:
            boxes, labels = [one["boxes"] for one in results], [one["labels"] for one in results]
            maps = self.box_head(self.box_roi_pool(features, boxes, image_shapes))
            for one, masks in zip(results, maskrcnn_inference(self.mask_predictor(maps), labels), strict=True):
                one["masks"] = masks
        return results, {}

    def _losses(self, features: Any, proposals: Boxes, sizes: Sizes, targets: Targets) -> dict[str, torch.Tensor]:
        proposals, matched, labels, boxes = self.select_training_samples(proposals, targets)
        maps = self.box_head(self.box_roi_pool(features, proposals, sizes))
        loss_class, loss_box = fastrcnn_loss(*self._classify(maps), labels, boxes)
        losses = {"loss_classifier": loss_class, "loss_box_reg": loss_box}
        if self.mask_predictor is not None:
            assert targets is not None
            positive = [torch.where(one > 0)[0] for one in labels]
            scores = self.mask_predictor(maps[torch.cat(labels) > 0])
            losses["loss_mask"] = maskrcnn_loss(
                scores,
                [p[rows] for p, rows in zip(proposals, positive, strict=True)],
                [target["masks"] for target in targets],
                [target["labels"] for target in targets],
                [m[rows] for m, rows in zip(matched, positive, strict=True)],
            )
        return losses

    def _classify(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scores, boxes = self.box_predictor(maps.mean(dim=(2, 3)))
        return scores, boxes
