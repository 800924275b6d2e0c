"""Segmentation from end to end: right answers, ignored pixels, rates, resumption, messages, trained against untrained."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_toys import Answer, Painted, compute, network, painted
from trained_backbone import trained_backbone

from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.errors import DataError, SettingsError, TrainingError
from ssl_bench.protocols.dense import segmentation
from ssl_bench.protocols.dense.rates import choose_rate, hold_out
from ssl_bench.protocols.dense.recipes import RECIPES
from ssl_bench.protocols.dense.segmentation import Segmentation, pixel_loss
from ssl_bench.protocols.dense.segmentation_settings import SegmentationSettings, filled
from ssl_bench.registry import registry
from ssl_bench.settings import resolve
from ssl_bench.training import supervised

QUICK = {"crop": 24, "scale": (1.0, 1.0), "steps": 60, "batch_size": 4, "lr": 0.05, "curve": "constant"}


def settings(**changes) -> SegmentationSettings:
    return resolve(SegmentationSettings, {**QUICK, **changes}, "segment")


def run(tmp_path, data=None, backbone=None, folder="a", **changes):
    return Segmentation().evaluate(
        backbone or Answer(), data or painted(), settings(**changes), compute(tmp_path / folder)
    )


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"test": "slide", "crop": 16, "stride": 11},
        {"test": "centre", "crop": 40},
        {"test": "pad", "crop": 32, "test_side": 32},
        {"test_side": 24},
    ],
)
def test_maps_that_are_the_answer_score_100(tmp_path, how) -> None:
    outcome = run(tmp_path, **how)
    assert outcome.metrics["miou"] == pytest.approx(100)
    assert outcome.metrics["pixel_accuracy"] == pytest.approx(100)
    assert set(outcome.details["iou"]) == {"black", "red", "green", "blue"}
    assert outcome.selection == "fixed"
    assert outcome.interval is not None
    assert not list((tmp_path / "a/cache").rglob("*.pt"))


def test_a_larger_view_is_nearly_as_good(tmp_path) -> None:
    assert run(tmp_path, test_side=40).metrics["miou"] > 90  # blurred borders


def test_ignored_pixels_enter_neither_loss_nor_score(tmp_path) -> None:
    plain, ignoring = painted(), painted(ignored=8)
    for part in (ignoring.train, ignoring.test):  # what is ignored is of another colour
        part.shown[:, :8] = (part.shown[:, :8] + 1) % 4
    assert run(tmp_path, ignoring).metrics["miou"] == pytest.approx(100)
    assert run(tmp_path, plain).metrics["miou"] == pytest.approx(100)
    net = segmentation.build(Answer(), 4, settings(), compute(tmp_path))
    images, target = torch.randn(2, 3, 24, 32), torch.randint(0, 4, (2, 24, 32))
    target[:, :8] = 255
    net.eval()
    with torch.no_grad():
        scores = net(images)
        by_hand = [
            -scores[b, :, y, x].log_softmax(0)[target[b, y, x]] for b in (0, 1) for y in range(8, 24) for x in range(32)
        ]
        assert float(pixel_loss(net, (images, target))["loss"]) == pytest.approx(
            float(torch.stack(by_hand).mean()), rel=1e-5
        )
        assert float(pixel_loss(net, (images, torch.full_like(target, 255)))["loss"]) == 0


def test_a_picture_of_ignored_pixels_changes_nothing(tmp_path) -> None:
    data = painted()
    data.test.maps[0] = 255
    assert run(tmp_path, data).metrics["miou"] == pytest.approx(100)


def test_the_auxiliary_head_counts_two_fifths(tmp_path) -> None:
    net = segmentation.build(network("vit"), 4, settings(head="upernet", width=16, blocks="thirds"), compute(tmp_path))
    images, target = torch.randn(2, 3, 32, 32), torch.randint(0, 4, (2, 32, 32))
    net.eval().requires_grad_(False)
    main, auxiliary = (torch.nn.functional.cross_entropy(s, target) for s in net.with_auxiliary(images))
    assert float(pixel_loss(net, (images, target))["loss"]) == pytest.approx(float(main + 0.4 * auxiliary), rel=1e-5)


@pytest.mark.parametrize("head", ["fcn", "upernet", "convnext"])
@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_fine_tuning_leaves_the_shared_backbone_alone(tmp_path, kind, head) -> None:
    backbone = network(kind)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    extra = {"blocks": "thirds"} if head == "upernet" else {}
    outcome = run(
        tmp_path, backbone=backbone, head=head, frozen=False, width=16, crop=32, steps=2, lr=1e-3, drop_path=0.1,
        layer_decay=0.7, dilate=kind == "resnet", **extra,
    )  # fmt: skip
    assert np.isfinite(outcome.metrics["miou"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert not backbone.training
    assert not any(p.requires_grad for p in backbone.parameters())


def test_the_rate_is_chosen_on_held_out_training_images(tmp_path) -> None:
    outcome = run(tmp_path, rates=(1e-6, 0.05), held_out=3)
    assert outcome.selection == "held_out"
    assert outcome.details["rate"] == 0.05
    scores = outcome.details["held_out_miou"]
    assert scores["0.05"] > scores["1e-06"]
    assert not list((tmp_path / "a/cache").rglob("*.pt"))
    with pytest.raises(SettingsError, match="held_out=8: painted has 8 images"):
        run(tmp_path, rates=(0.1,), held_out=8)


def test_a_rate_that_diverges_is_not_chosen(tmp_path) -> None:
    def score(rate: float) -> float:
        if rate > 1:
            raise TrainingError("The loss is nan.")
        return 7.0

    assert choose_rate((10.0, 0.1, 0.2), score) == (0.1, {"10": None, "0.1": 7.0, "0.2": 7.0})
    with pytest.raises(TrainingError, match="not finite at any of the rates 10, 20"):
        choose_rate((10.0, 20.0), score)
    rest, held = hold_out(Painted(9), 4, compute(tmp_path))
    both = {split.identity(i) for split in (rest, held) for i in range(len(split))}
    assert (len(rest), len(held), len(both)) == (5, 4, 9)


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, monkeypatch) -> None:
    whole = run(tmp_path, folder="whole", backbone=network("resnet"), frozen=False, head="fcn", width=16, steps=9)
    monkeypatch.setattr(supervised, "SAVE_EVERY", 1)
    calls, real = [], pixel_loss

    def breaks(net, batch):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return real(net, batch)

    again = {"folder": "stopped", "frozen": False, "head": "fcn", "width": 16, "steps": 9}
    monkeypatch.setattr(segmentation, "pixel_loss", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, backbone=network("resnet"), **again)
    assert len(list((tmp_path / "stopped/cache/segment").glob("*.pt"))) == 1
    resumed = run(tmp_path, backbone=network("resnet"), **again)
    assert len(calls) == 6 + 4
    assert resumed.metrics == whole.metrics
    assert not list((tmp_path / "stopped/cache").rglob("*.pt"))


def test_messages(tmp_path) -> None:
    with pytest.raises(DataError, match="Data set digits has no label maps"):
        run(tmp_path, load_dataset("digits", tmp_path))
    data = painted()
    data.train.maps[:] = 9
    with pytest.raises(DataError, match=r"has class 9, and painted has 4 \(0 to 3\)"):
        run(tmp_path, data)
    data = painted()
    data.train.maps = data.train.maps[:, :20]
    with pytest.raises(DataError, match="the image is 32 x 24 pixels, its target 32 x 20"):
        run(tmp_path, data)
    with pytest.raises(SettingsError, match="batch norm needs at least two"):
        run(tmp_path, batch_size=1)
    with pytest.raises(SettingsError, match="no intermediate layers"):
        run(tmp_path, backbone=_plain())
    with pytest.raises(SettingsError, match="head = 'fnc'"):
        settings(head="fnc")


def _plain():
    from ssl_bench.backbones.archs import build, wrap
    from ssl_bench.cards import PreprocessCard

    return wrap(build("raw_pixels"), "default", PreprocessCard(resize=None, crop=32), "raw_pixels")


def test_recipes_by_size() -> None:
    class Sized:
        token_dim = 384

    def values(name: str, width: int) -> tuple[float | None, ...]:
        Sized.token_dim = width
        chosen, facts = filled(SegmentationSettings(recipe=name, lr=None, layer_decay=None, drop_path=None), Sized())
        assert facts["recipe"]["lr"] == chosen.lr
        return chosen.lr, chosen.layer_decay, chosen.drop_path

    assert values("beit", 768) == (3e-5, 0.9, 0.1)
    assert values("beit", 1024) == (2e-5, 0.95, 0.2)
    assert values("mae", 768) == (1e-4, 0.65, 0.1)
    assert values("ibot", 384) == (3e-5, 0.9, 0.1)
    assert values("ibot", 768) == (8e-5, 0.65, 0.1)
    Sized.token_dim = 1280
    assert RECIPES["mae"].facts(Sized())["stated_for"] == "ViT-B"
    chosen, _ = filled(SegmentationSettings(recipe="mae", lr=0.5, layer_decay=None, drop_path=None), Sized())
    assert (chosen.lr, chosen.layer_decay) == (0.5, 0.65)


def test_the_tasks_have_the_papers_numbers() -> None:
    def of(task: str) -> SegmentationSettings:
        return resolve(SegmentationSettings, registry().task(task).settings, task)

    moco, byol = of("segment_voc12"), of("segment_byol_voc12")
    assert (moco.crop, moco.steps, moco.batch_size, moco.lr, moco.dilate, moco.test) == (
        513,
        30_000,
        16,
        0.003,
        True,
        "whole",
    )
    training = moco.training()
    assert [training.schedule.at(step) for step in (0, 20_999, 21_000, 27_000)] == pytest.approx([1, 1, 0.1, 0.01])
    assert byol.rates == pytest.approx(np.logspace(-3, -1, 5), rel=1e-5)
    assert (byol.held_out, byol.test, byol.crop) == (2119, "centre", 513)
    mae, beit, ibot = of("segment_ade20k"), of("segment_beit_ade20k"), of("segment_ibot_ade20k")
    assert (mae.view.window, mae.view.stride, mae.view.side, mae.norm) == (512, 341, 512, False)
    assert (beit.view.window, beit.view.stride, beit.view.side) == (640, 426, 640)
    assert ibot.norm
    assert of("segment_cityscapes").crop == 769
    linear = of("segment_linear_ade20k")
    assert (linear.frozen, linear.blocks, linear.steps, linear.norm) == (True, "thirds", 160_000, True)
    warm = mae.model_copy(update={"lr": 1e-4}).training().schedule
    assert warm.at(0) == pytest.approx(1e-6)
    assert warm.at(80_750) == pytest.approx(0.5)


def test_a_trained_backbone_beats_an_untrained_one_on_shapes(tmp_path) -> None:
    data = load_dataset("shapes", tmp_path)
    task = registry().task("segment_linear_shapes")
    small = Dataset("shapes", data.train.subset(range(384)), data.test.subset(range(64)))
    chosen = resolve(SegmentationSettings, {**task.settings, "steps": 40}, "segment")
    low, high = (
        Segmentation().evaluate(trained_backbone("resnet", trained), small, chosen, compute(tmp_path))
        for trained in (False, True)
    )
    assert high.metrics["miou"] > low.metrics["miou"] + 10
    assert high.interval.low > low.interval.high


def test_camvid_is_learnt(tmp_path, shared_data) -> None:
    data = load_dataset("camvid", shared_data)
    small = Dataset("camvid", data.train.subset(range(0, 367, 6)), data.test.subset(range(0, 233, 16)))
    changes = {
        "side": 120,
        "crop": 96,
        "test_side": 120,
        "steps": 25,
        "lr": 0.02,
        "blocks": "quarters",
        "batch_size": 8,
    }
    chosen = resolve(SegmentationSettings, {**registry().task("segment_linear_camvid").settings, **changes}, "segment")
    low, high = (
        Segmentation().evaluate(trained_backbone("vit", trained), small, chosen, compute(tmp_path))
        for trained in (False, True)
    )
    assert high.metrics["miou"] > low.metrics["miou"]
    assert high.metrics["pixel_accuracy"] > 50
    assert 255 not in high.details["iou"]
