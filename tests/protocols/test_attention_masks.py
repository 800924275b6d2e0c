"""Attention masks: closed cases, the official way of keeping the mass restated, and a trained ViT against an untrained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from timm.models.vision_transformer import VisionTransformer
from trained_backbone import trained_backbone

from ssl_bench.backbones.archs import wrap
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scene_files import LabelFiles, SceneFiles
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.training_free.attention import (
    AttentionMasks,
    AttentionSettings,
    keep_mass,
    label_jaccards,
    upsampled,
)

PLAIN = PreprocessCard(resize=None, crop=None, mean=(0, 0, 0), std=(1, 1, 1))


class Bright(Backbone):
    """Two heads: one attends to the patches whose red is 1, the other to the rest. Patches of 4 pixels."""

    def __init__(self, patch: int = 4) -> None:
        super().__init__()
        self.name, self.embed_dim, self.preprocess = "bright", 1, Preprocess(PLAIN)
        self.pool = torch.nn.Conv2d(3, 1, patch, patch, bias=False)
        torch.nn.init.zeros_(self.pool.weight)
        self.pool.weight.data[:, 0] = 1 / patch**2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((1, 2, 3))[:, None]

    def attention(self, images: torch.Tensor) -> torch.Tensor:
        red = self.pool(images)
        return torch.cat([red, 1 - red], 1).clamp(min=0)


def scene(root: Path, label_maps: list[np.ndarray], colours: list[np.ndarray]) -> Dataset:
    """PNG images whose red channel is ``colours``."""
    for i, (labels, red) in enumerate(zip(label_maps, colours, strict=True)):
        Image.fromarray(np.stack([red, 0 * red, 0 * red], -1).astype(np.uint8)).save(root / f"{i}.png")
        Image.fromarray(labels.astype(np.uint8)).save(root / f"map{i}.png")
    maps = LabelFiles(tuple(f"map{i}.png" for i in range(len(colours))))
    split = SceneFiles(root, [f"{i}.png" for i in range(len(colours))], ("room", "a", "b"), maps)
    return Dataset("scenes", split, split)


def test_attention_that_is_the_object_scores_100(tmp_path: Path) -> None:
    labels = np.zeros((16, 16), int)
    labels[4:12, 8:12] = 2
    labels[0, 0] = 255  # counts as background
    found = AttentionMasks().evaluate(
        Bright(), scene(tmp_path, [labels], [255 * (labels == 2)]), AttentionSettings(mass=1, side=16), Compute()
    )
    assert found.metrics["jaccard"] == found.metrics["jaccard_head1"] == 100
    assert found.metrics["jaccard_head2"] == 0
    # half of the mass is half of the patches, all inside
    half = AttentionMasks().evaluate(
        Bright(), scene(tmp_path, [labels], [255 * (labels == 2)]), AttentionSettings(mass=0.5, side=16), Compute()
    )
    assert half.metrics["jaccard"] == 50


def test_the_best_head_is_chosen_for_each_label_then_labels_then_images_are_averaged(tmp_path: Path) -> None:
    labels = np.zeros((16, 16), int)
    labels[:, :8], labels[:, 8:12] = 1, 2
    red = 255 * (labels == 1)
    only = np.zeros((16, 16), int)  # an image without objects is left out
    data = scene(tmp_path, [labels, only, labels == 1], [red, red, red])
    found = AttentionMasks().evaluate(Bright(), data, AttentionSettings(mass=1, side=16), Compute(batch_size=2))
    first = (1.0 + 64 / 128) / 2  # label 2 by the head of the rest: 4 of its 8 columns
    assert found.metrics["jaccard"] == pytest.approx(100 * (first + 1) / 2)
    assert found.metrics["jaccard_head1"] == pytest.approx(100 * (0.5 + 1) / 2)
    assert found.details == {"images_with_objects": 2, "images": 3}
    assert found.interval is not None
    assert 100 * first <= found.interval.low <= found.metrics["jaccard"] <= found.interval.high <= 100


def test_sides_that_are_no_multiple_of_the_patch_lose_the_rest(tmp_path: Path) -> None:
    labels = np.zeros((16, 16), int)
    labels[:5, :5] = labels[15, 15] = 1  # the last pixel is in no whole patch of 5
    data = scene(tmp_path, [labels], [255 * (labels == 1)])
    found = AttentionMasks().evaluate(Bright(patch=5), data, AttentionSettings(mass=1, side=16), Compute())
    assert found.metrics["jaccard"] == 100


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.05, 1.0))
def test_the_mass_is_held_by_the_smallest_set(seed: int, mass: float) -> None:
    weights = torch.rand(2, 3, 4, 5, generator=torch.Generator().manual_seed(seed))
    kept = keep_mass(weights, mass)
    for i in range(2):
        for h in range(3):
            flat, mask = weights[i, h].flatten(), kept[i, h].flatten()
            order = sorted(range(20), key=lambda j: -float(flat[j]))
            total, count = 0.0, 0
            while count < 20 and total < mass * float(flat.sum()) - 1e-5:
                total += float(flat[order[count]])
                count += 1
            assert abs(int(mask.sum()) - count) <= 1  # one more where the sum meets the share to rounding
            assert set(order[: int(mask.sum())]) == set(mask.nonzero().flatten().tolist())


def test_jaccards_are_those_of_a_pixel_loop() -> None:
    random = np.random.RandomState(3)
    masks, labels = torch.from_numpy(random.rand(3, 6, 7) < 0.4), random.choice([0, 1, 5, 255], (6, 7))
    found = label_jaccards(masks, torch.from_numpy(labels.astype(np.uint8)))
    for row, label in enumerate((1, 5)):
        for head in range(3):
            both = either = 0
            for y in range(6):
                for x in range(7):
                    a, b = bool(masks[head, y, x]), labels[y, x] == label
                    both, either = both + (a and b), either + (a or b)
            assert float(found[row, head]) == pytest.approx(both / either)


def test_patches_are_repeated_as_nearest_interpolation_does() -> None:
    masks = torch.rand(2, 3, 4) < 0.5
    nearest = torch.nn.functional.interpolate(masks[None].float(), scale_factor=8, mode="nearest")[0]
    assert torch.equal(upsampled(masks, 8).float(), nearest)


def test_a_trained_vit_looks_at_the_objects_more_than_an_untrained_one() -> None:
    data, few = load_dataset("shapes", limit=12), AttentionSettings(side=64)
    scores = [AttentionMasks().evaluate(trained_backbone("vit", t), data, few, Compute()) for t in (False, True)]
    assert scores[1].metrics["jaccard"] > scores[0].metrics["jaccard"] + 10
    assert scores[0].interval.high < scores[1].interval.low


def test_what_cannot_be_scored_is_said(tmp_path: Path) -> None:
    data, small = load_dataset("shapes", limit=2), AttentionSettings(side=64)
    with pytest.raises(SettingsError, match="no class-token attention"):
        AttentionMasks().evaluate(trained_backbone("resnet"), data, small, Compute())
    net = VisionTransformer(
        img_size=64,
        patch_size=8,
        embed_dim=16,
        depth=1,
        num_heads=2,
        class_token=False,
        global_pool="avg",
        num_classes=0,
    )
    without = wrap(net, "mean_patch", PLAIN, "no_token")
    with pytest.raises(SettingsError, match="no_token has no class-token attention"):
        AttentionMasks().evaluate(without.eval(), data, small, Compute())
    with pytest.raises(SettingsError, match="less than a patch"):
        AttentionMasks().evaluate(Bright(16), data, AttentionSettings(side=8), Compute())
    with pytest.raises(DataError, match="has no label maps"):
        AttentionMasks().evaluate(trained_backbone("vit"), load_dataset("digits", limit=1), small, Compute())
    empty = scene(tmp_path, [np.zeros((8, 8))], [np.zeros((8, 8))])
    with pytest.raises(DataError, match="No test image of scenes has an object"):
        AttentionMasks().evaluate(Bright(), empty, AttentionSettings(side=8), Compute())
