"""Attention masks (DINO, Table 4): do the heads of the last block look at the objects?

Of each head's attention of the class token, the smallest set of patches that holds ``mass`` of it is the head's mask,
brought to pixels by repeating each patch. For every object label of an image::

    J = max over heads |mask and object| / |mask or object|

Mean over the image's labels, then over the images. Source: facebookresearch/dino visualize_attention.py and issue 54;
Muzammal-Naseer/IPViT evaluate_segmentation.py (labels 0 and 255 are no objects; 255 counts as background).
"""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.features import evaluating
from ssl_bench.data.scene_checks import label_map_of
from ssl_bench.data.scenes import IGNORE, SceneSplit, scenes
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.dense.samples import Sample, loaded
from ssl_bench.protocols.protocol import Outcome, Protocol
from ssl_bench.protocols.training_free.patches import patch_side
from ssl_bench.results.parts import of_values
from ssl_bench.settings import Settings


class AttentionSettings(Settings):
    """``mass``: the share of the attention that a head's mask holds. ``side``: image and label map are brought to ``side``
    x ``side`` pixels (bilinear and nearest), as in DINO's pictures; what is left over below and to the right of the
    last whole patch is cut off."""

    mass: float = Field(0.6, gt=0, le=1)
    side: int = Field(480, ge=8)


class AttentionMasks(Protocol):
    """Metrics in percent: ``jaccard``, of the best head for each label; ``jaccard_head<h>``, as if head h alone had been
    taken for all. An interval from drawing the images again. Images without objects are left out."""

    name = "attention"
    summary = "Jaccard of the class token's attention with the objects, best head, 60 % of the mass (DINO)"
    settings = AttentionSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: AttentionSettings, compute: Compute) -> Outcome:
        split = scenes(dataset, "label_map")["test"]
        each = np.array(jaccards(backbone, split, settings, compute))
        if not len(each):
            raise DataError(
                f"No test image of {dataset.name} has an object.", "Take a data set with label maps of objects."
            )
        best, heads = each[:, 0], each[:, 1:].mean(0)
        parts = of_values(best)
        return Outcome(
            {"jaccard": 100 * float(best.mean())}
            | {f"jaccard_head{h}": 100 * float(j) for h, j in enumerate(heads, 1)},
            primary="jaccard",
            interval=parts.interval(),
            details={"images_with_objects": len(best), "images": len(split)},
            parts=parts,
        )


def jaccards(backbone: Backbone, split: SceneSplit, settings: AttentionSettings, compute: Compute) -> list[np.ndarray]:
    """For every image with objects: (1 + heads,) in [0, 1], the best head's Jaccard and each head's, meant over labels."""
    patch = patch_side(backbone)
    if settings.side < patch:
        raise SettingsError(f"side = {settings.side} is less than a patch of {backbone.name}: {patch} pixels.")
    backbone = accept_any_size(backbone, settings.side)
    whole = settings.side // patch * patch
    preprocess, make = squashed(backbone, settings.side), partial(_sample, settings.side, whole)
    batch_size, found = compute.batch_size or 16, []
    with evaluating(backbone, compute), compute.progress.bar("attention of test images", len(split)) as advance:
        for items in loaded(split, make, np.arange(len(split)), batch_size, compute):
            images = preprocess.normalise(torch.stack([item["image"] for item in items]).to(compute.device))
            with compute.autocast():
                attention = backbone.attention(images)
            masks = keep_mass(attention.float(), settings.mass)
            for item, mask in zip(items, upsampled(masks, patch).cpu(), strict=True):
                if len(scores := label_jaccards(mask, item["target"])):
                    found.append(torch.cat([scores.amax(1, keepdim=True), scores], 1).mean(0).numpy())
            advance(len(items))
    return found


def keep_mass(attention: torch.Tensor, mass: float) -> torch.Tensor:
    """(..., h, w) weights -> bool: the smallest set of places that holds ``mass`` of their sum."""
    values, order = attention.flatten(-2).sort(dim=-1, stable=True)
    kept = (values / values.sum(-1, keepdim=True)).cumsum(-1) > 1 - mass
    return torch.zeros_like(kept).scatter(-1, order, kept).reshape(attention.shape)


def upsampled(masks: torch.Tensor, patch: int) -> torch.Tensor:
    """(..., h, w) -> (..., h x patch, w x patch), each place repeated."""
    return masks.repeat_interleave(patch, dim=-2).repeat_interleave(patch, dim=-1)


def label_jaccards(masks: torch.Tensor, label_map: torch.Tensor) -> torch.Tensor:
    """(heads, H, W) bool and (H, W) labels -> (labels, heads) in [0, 1]; 0 and 255 are no labels."""
    labels = [label for label in np.unique(label_map.numpy()).tolist() if label not in {0, IGNORE}]
    scores = torch.zeros(len(labels), len(masks))
    for row, label in enumerate(labels):
        thing = label_map == label
        scores[row] = (masks & thing).sum((1, 2)) / (masks | thing).sum((1, 2))
    return scores


def squashed(backbone: Backbone, side: int, interpolation: str = "bilinear") -> Preprocess:
    """The whole image as a square of ``side`` pixels, normalised as the model wants it."""
    card = backbone.preprocess.card.model_dump() | {"resize": side, "crop": None, "crop_first": None, "squash": True}
    return Preprocess(PreprocessCard.model_validate(card | {"interpolation": interpolation}))


def _sample(side: int, whole: int, split: SceneSplit, index: int) -> Sample:
    """``image``: (3, whole, whole) uint8; ``target``: (whole, whole) uint8."""
    image = split.image(index)
    label_map = label_map_of(split, index, (image.height, image.width))
    pixels = np.array(image.resize((side, side), Image.Resampling.BILINEAR))
    small = np.array(Image.fromarray(label_map).resize((side, side), Image.Resampling.NEAREST))
    return {
        "image": torch.from_numpy(pixels).permute(2, 0, 1)[:, :whole, :whole],
        "target": torch.from_numpy(small)[:whole, :whole],
    }
