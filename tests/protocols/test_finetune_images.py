"""What a step of fine-tuning sees: transforms, order, repetition, mixup."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from protocols.finetune_toys import CARD, SIDE, TINY, compute, jpeg, split
from timm.data.transforms_factory import create_transform

from ssl_bench.compute import Compute
from ssl_bench.data.splits import FileSplit
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import ImageError
from ssl_bench.protocols.finetune import images as module
from ssl_bench.protocols.finetune.images import MIX, ImageBatches, TrainTransform, posterize
from ssl_bench.protocols.finetune.plan import Plan
from ssl_bench.protocols.finetune.train import loss_of
from ssl_bench.training.draws import drawn_from

MIXING = replace(TINY, mixup=0.8, cutmix=1.0, smoothing=0.1)


def batches(tmp_path: Path, recipe: Any = TINY, count: int = 40, processes: int = 1, **fields: Any) -> ImageBatches:
    data = split(count, 0)
    return ImageBatches(data, Plan(recipe, count, processes), Preprocess(CARD), SIDE, compute(tmp_path, **fields))


def test_the_transform_is_timms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crop, flip, RandAugment, normalisation, erasing: the same draws as timm's whole transform, as MAE's script has it."""
    recipe = replace(TINY, randaugment="rand-m9-mstd0.5-inc1", erasing=0.5, crop_scale=(0.08, 1.0))
    ours = TrainTransform(recipe, Preprocess(CARD), 32)
    theirs = create_transform(
        32, is_training=True, auto_augment=recipe.randaugment, interpolation="bicubic", re_prob=0.5, re_mode="pixel",
        re_count=1, mean=CARD.mean, std=CARD.std, color_jitter=None,
    )  # fmt: skip
    image = Image.fromarray(np.random.RandomState(0).randint(0, 255, (50, 40, 3), np.uint8))
    changed = 0
    for seed in range(40):
        results = []
        for transform in (ours, theirs):
            with drawn_from(seed):
                try:
                    results.append(transform(image))
                except ValueError:  # newer Pillow refuses to keep 0 bits
                    results.append(results[0])
        torch.testing.assert_close(*results, atol=1e-6, rtol=0)
        changed += bool((results[0] != ours.normalise(ours.pixels(image))).any())
    assert changed


@pytest.mark.parametrize("bits", [1, 4, 7, 8])
def test_posterize_is_pillows(bits: int) -> None:
    image = Image.fromarray(np.random.RandomState(0).randint(0, 255, (9, 9, 3), np.uint8))
    assert posterize(image, bits).tobytes() == ImageOps.posterize(image, bits).tobytes()


def test_posterize_to_no_bit_is_black() -> None:
    assert not np.asarray(posterize(Image.new("RGB", (3, 3), (255, 128, 7)), 0)).any()


def test_draws_leave_the_global_generators_alone() -> None:
    def state() -> tuple[float, float, float]:
        with drawn_from(1, 2):
            return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(0)
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    first = state()
    assert (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before
    random.random()
    torch.rand(3)
    assert state() == first


def test_an_epoch_shows_every_image_once_and_drops_the_rest(tmp_path: Path) -> None:
    keys = batches(tmp_path).keys(3)
    assert [len(part) for part in keys] == [16, 16]
    shown = [image for part in keys for _, image, _ in part]
    assert len(set(shown)) == 32
    assert {(epoch, copy) for part in keys for epoch, _, copy in part} == {(3, 0)}
    assert shown != [image for part in batches(tmp_path).keys(4) for _, image, _ in part]
    assert shown != [image for part in batches(tmp_path, seed=1).keys(3) for _, image, _ in part]


def test_processes_share_an_update(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = batches(tmp_path).keys(0)
    parts = []
    for number in range(2):
        monkeypatch.setattr(module, "rank", lambda number=number: number)
        parts.append(batches(tmp_path, processes=2).keys(0))
    for update, first, second in zip(whole, *parts, strict=True):
        assert first + second == update


def test_repeated_augmentation_shows_a_third_of_the_images_three_times(tmp_path: Path) -> None:
    recipe = replace(TINY, repeats=3, batch_size=24, forward_batch=24)
    (update,) = batches(tmp_path, recipe, count=24).keys(0)
    images = [image for _, image, _ in update]
    assert len(set(images)) == 8
    assert sorted({(image, copy) for _, image, copy in update}) == sorted((i, c) for i in set(images) for c in range(3))
    for group in range(0, 24, recipe.mix_group):  # copies of one image are not mixed with each other
        assert len(set(images[group : group + recipe.mix_group])) == recipe.mix_group


def test_copies_of_an_image_differ(tmp_path: Path) -> None:
    recipe = replace(TINY, repeats=3, batch_size=24, forward_batch=24)
    made = batches(tmp_path, recipe, count=24)
    ((x, _),) = made.epoch(0)
    (keys,) = made.keys(0)
    one = [x[row] for row, (_, image, _) in enumerate(keys) if image == keys[0][1]]
    assert len(one) == 3
    assert not torch.equal(one[0], one[1])
    assert not torch.equal(one[1], one[2])


def test_a_batch_from_the_middle_is_the_batch_of_the_whole_epoch(tmp_path: Path) -> None:
    whole = list(batches(tmp_path, MIXING).epoch(1))
    (rest,) = batches(tmp_path, MIXING).epoch(1, 1)
    for ours, theirs in zip(rest, whole[1], strict=True):
        assert torch.equal(ours, theirs)


def test_workers_change_nothing(tmp_path: Path) -> None:
    for ours, theirs in zip(
        batches(tmp_path, MIXING).epoch(0), batches(tmp_path, MIXING, workers=1).epoch(0), strict=True
    ):
        assert torch.equal(ours[0], theirs[0])


@pytest.mark.parametrize(("mixup", "cutmix"), [(0.8, 0.0), (0.0, 1.0), (0.8, 1.0)])
def test_mixing_is_the_formula(mixup: float, cutmix: float, tmp_path: Path) -> None:
    """Within a group image b gets a share of image n - 1 - b, by adding or by a box; its target the same share."""
    recipe = replace(TINY, mixup=mixup, cutmix=cutmix, smoothing=0.1)
    plain = list(batches(tmp_path, TINY).epoch(0))
    mixed = list(batches(tmp_path, recipe).epoch(0))
    for step, ((x, y), (seen, target)) in enumerate(zip(plain, mixed, strict=True)):
        for at in range(0, 16, 4):
            a, b = x[at : at + 4], x[at : at + 4].flip(0)
            hot = 0.9 * torch.eye(3)[y[at : at + 4]] + 0.1 / 3
            with drawn_from(0, MIX, 0, 16 * step + at):
                np.random.rand()  # whether to mix at all: always
                cut = np.random.rand() < 0.5 if mixup and cutmix else bool(cutmix)
                share = np.random.beta(cutmix, cutmix) if cut else np.random.beta(mixup, mixup)
            if cut:
                same = (seen[at : at + 4] == a).all(dim=1).all(dim=0)
                assert torch.equal(torch.where(same, a, b), seen[at : at + 4])
                share = float(same.float().mean())  # of the box as it lies in the image
            else:
                torch.testing.assert_close(seen[at : at + 4], share * a + (1 - share) * b)
            torch.testing.assert_close(target[at : at + 4], share * hot + (1 - share) * hot.flip(0))


def test_groups_do_not_depend_on_the_forward(tmp_path: Path) -> None:
    whole = list(batches(tmp_path, MIXING).epoch(0))
    halves = list(batches(tmp_path, replace(MIXING, forward_batch=8)).epoch(0))
    for step, (x, y) in enumerate(whole):
        assert torch.equal(torch.cat([halves[2 * step][0], halves[2 * step + 1][0]]), x)
        assert torch.equal(torch.cat([halves[2 * step][1], halves[2 * step + 1][1]]), y)


def test_the_loss_is_the_formula() -> None:
    scores = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    logs = scores.log_softmax(1)
    hard, soft = torch.tensor([0, 1, 2, 3, 0, 1]), torch.rand(6, 4).softmax(1)
    net = torch.nn.Identity()
    found = loss_of(replace(TINY, smoothing=0.2))(net, (scores, hard))["loss"]
    shares = 0.8 * torch.eye(4)[hard] + 0.2 / 4
    torch.testing.assert_close(found, -(shares * logs).sum(1).mean())
    torch.testing.assert_close(loss_of(TINY)(net, (scores, soft))["loss"], -(soft * logs).sum(1).mean())


@pytest.mark.parametrize("skip", [False, True])
def test_an_image_that_cannot_be_read(skip: bool, tmp_path: Path) -> None:
    for number in range(8):
        (tmp_path / f"{number}.jpg").write_bytes(b"no image" if number == 3 else jpeg(30 * number))
    data = FileSplit(tmp_path, [f"{n}.jpg" for n in range(8)], [0, 1] * 4, ["a", "b"])
    recipe = replace(TINY, batch_size=8)
    made = ImageBatches(data, Plan(recipe, 8), Preprocess(CARD), SIDE, Compute(cache=tmp_path, skip_broken=skip))
    if not skip:
        with pytest.raises(ImageError, match="3.jpg"):
            list(made.epoch(0))
        return
    ((x, y),) = made.epoch(0)
    assert len(x) == len(y) == 8
    assert made.skipped == {str(tmp_path / "3.jpg")}
    assert y.sum() == 3  # image 4, of class 0, is there twice
