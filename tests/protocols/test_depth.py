"""Depth from end to end, losses written out, both conventions of scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from dense_toys import Answer, compute, network, painted
from trained_backbone import trained_backbone

from ssl_bench.backbones.backbone import Layer
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.dense import depth
from ssl_bench.protocols.dense.depth import Depth, DepthLoss, DepthSettings
from ssl_bench.protocols.dense.depth_losses import berhu, silog
from ssl_bench.protocols.dense.depth_score import DepthScores
from ssl_bench.registry import registry
from ssl_bench.settings import resolve
from ssl_bench.training import supervised

QUICK = {
    "crop": [24, 32],
    "scale": (1.0, 1.0),
    "steps": 60,
    "batch_size": 4,
    "lr": 0.05,
    "curve": "constant",
    "head": "linear",
}


def settings(**changes) -> DepthSettings:
    return resolve(DepthSettings, {**QUICK, **changes}, "depth")


class Metric(Answer):
    """A map for each of the four colours, of 1 where it is, with a quarter of the image's resolution."""

    def layers(self, images, last=1):
        colours = torch.tensor([[-1, -1, -1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1.0]])
        images = images[..., 2::4, 2::4]
        where = [((images - colour[:, None, None]).abs().sum(1) < 0.5).float() for colour in colours]
        return [Layer(None, torch.stack(where, 1))]


def run(tmp_path, data=None, backbone=None, folder="a", **changes):
    return Depth().evaluate(backbone or Metric(), data or painted(), settings(**changes), compute(tmp_path / folder))


def test_maps_that_are_the_answer_come_close(tmp_path) -> None:
    outcome = run(tmp_path, steps=150, loss="silog", test="centre", test_side=24)
    assert outcome.metrics["delta1"] > 90  # scores are made four times finer and coarse again: borders blur
    assert outcome.metrics["delta1"] > run(tmp_path, backbone=Answer(), steps=2, loss="silog").metrics["delta1"]
    assert outcome.primary == "delta1"
    assert outcome.interval is not None
    assert outcome.interval.low <= outcome.metrics["delta1"] <= outcome.interval.high
    assert not list((tmp_path / "a/cache").rglob("*.pt"))


def test_what_was_not_measured_enters_neither_loss_nor_score(tmp_path) -> None:
    data = painted(ignored=8)
    for part in (data.train, data.test):
        part.shown[:, :8] = (part.shown[:, :8] + 1) % 4
    assert run(tmp_path, data, steps=150, loss="silog").metrics["delta1"] > 85
    net = depth.build(Metric(), settings(), compute(tmp_path)).eval().requires_grad_(False)
    images, truth = torch.randn(2, 3, 24, 32), torch.rand(2, 24, 32) * 12
    truth[:, :8] = 0
    changed = truth.clone()
    changed[truth > 10] = 77.0
    for loss in ("berhu", "silog"):
        of = DepthLoss(settings(loss=loss))
        assert torch.equal(of(net, (images, truth))["loss"], of(net, (images, changed))["loss"])
        assert float(of(net, (images, torch.zeros_like(truth)))["loss"]) == 0


def test_berhu_written_out() -> None:
    random = np.random.RandomState(0)
    prediction, truth = random.rand(3, 4, 5), random.rand(3, 4, 5) * 2
    known = random.rand(3, 4, 5) < 0.7
    errors = abs(prediction - truth)[known]
    c = 0.2 * errors.max()
    expected = np.mean([e if e <= c else (e * e + c * c) / (2 * c) for e in errors])
    given = torch.from_numpy(prediction).requires_grad_()
    found = berhu(given, torch.from_numpy(truth), torch.from_numpy(known))
    assert found.item() == pytest.approx(expected)
    found.backward()
    assert given.grad is not None
    assert (given.grad.numpy()[~known] == 0).all()
    assert float(berhu(torch.ones(2), torch.ones(2), torch.ones(2, dtype=torch.bool))) == 0


def test_silog_forgives_a_common_factor() -> None:
    truth = torch.rand(2, 8, 8) * 5 + 1
    known = torch.ones_like(truth, dtype=torch.bool)
    assert float(silog(truth, truth, known)) < 1e-5
    double = float(silog(2 * truth, truth, known))
    assert double == pytest.approx(np.sqrt(0.15) * np.log(2), rel=1e-3)
    noisy = truth * torch.exp(torch.randn_like(truth) * np.log(2))
    assert float(silog(noisy, truth, known)) > 1.5 * double
    g = np.log(noisy.double().numpy() + 1e-3) - np.log(truth.double().numpy() + 1e-3)
    assert float(silog(noisy, truth, known)) == pytest.approx(np.sqrt(g.var(ddof=1) + 0.15 * g.mean() ** 2), rel=1e-4)


def test_means_of_batches_are_other_numbers() -> None:
    random = np.random.RandomState(0)
    truths = [random.uniform(0.5, 9, (4, 5)) for _ in range(5)]
    guesses = [truth * np.exp(0.1 * (i + 1) * random.randn(4, 5)) for i, truth in enumerate(truths)]
    truths[4][:3] = 0
    scores = DepthScores(1e-3, 10, batch=2)
    for truth, guess in zip(truths, guesses, strict=True):
        scores.add(truth, guess)
    found = scores.scores()
    rel, rms, logs, hits = [], [], [], []
    for rows in ([0, 1], [2, 3], [4]):
        g, d = (np.concatenate([part[i][truths[i] > 0] for i in rows]) for part in (truths, guesses))
        rel.append(np.mean(abs(d - g) / g))
        rms.append(np.sqrt(np.mean((d - g) ** 2)))
        logs.append(np.sqrt(np.mean((np.log(d) - np.log(g)) ** 2)))
        hits.append(100 * np.mean(np.maximum(d / g, g / d) < 1.25))
    assert found["rel_batch_mean"] == pytest.approx(np.mean(rel))
    assert found["rms_batch_mean"] == pytest.approx(np.mean(rms))
    assert found["rms_log_batch_mean"] == pytest.approx(np.mean(logs))
    assert found["delta1_batch_mean"] == pytest.approx(np.mean(hits))
    assert abs(found["delta1_batch_mean"] - found["delta1"]) > 1


def test_test_images_without_any_measurement_are_no_scores() -> None:
    scores = DepthScores(1e-3, 10, batch=1)
    scores.add(np.zeros((2, 2)), np.ones((2, 2)))
    assert np.isnan(scores.scores()["delta1"])
    scores.add(np.ones((2, 2)), np.ones((2, 2)))
    assert scores.scores()["delta1_batch_mean"] == 100


@pytest.mark.parametrize(
    ("kind", "head"), [("vit", "dpt"), ("resnet", "dpt"), ("resnet", "up_projection"), ("vit", "linear")]
)
def test_heads_train_on_their_networks(tmp_path, kind, head) -> None:
    backbone = network(kind)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    changes = {"blocks": "quarters", "width": 16} if head == "dpt" else {}
    changes |= {"class_token": True, "loss": "silog"} if head == "linear" else {"frozen": False}
    outcome = run(tmp_path, backbone=backbone, head=head, steps=2, lr=1e-3, mean=2.5, std=1.5, **changes)
    assert all(np.isfinite(value) for value in outcome.metrics.values())
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())


def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, monkeypatch) -> None:
    fixed = {"head": "dpt", "blocks": "quarters", "width": 16, "frozen": False, "steps": 7, "lr": 1e-3}
    whole = run(tmp_path, backbone=network("vit"), folder="whole", **fixed)
    monkeypatch.setattr(supervised, "SAVE_EVERY", 1)
    real, calls = DepthLoss.__call__, []

    def breaks(self, net, batch):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(self, net, batch)

    monkeypatch.setattr(DepthLoss, "__call__", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, backbone=network("vit"), folder="stopped", **fixed)
    resumed = run(tmp_path, backbone=network("vit"), folder="stopped", **fixed)
    assert len(calls) == 5 + 3
    assert resumed.metrics == whole.metrics


def test_messages(tmp_path) -> None:
    with pytest.raises(DataError, match="has no depth maps"):
        run(tmp_path, load_dataset("digits", tmp_path))
    with pytest.raises(SettingsError, match="no class token"):
        run(tmp_path, backbone=network("resnet"), class_token=True)
    data = painted()
    data.train.depth = lambda index: np.full((24, 32), -1.0, np.float32)
    with pytest.raises(DataError, match="negative or no numbers"):
        run(tmp_path, data)
    data = painted()
    data.test.depth = lambda index: np.ones((6, 6), np.float32)
    with pytest.raises(DataError, match="the image is 32 x 24 pixels, its target 6 x 6"):
        run(tmp_path, data, steps=2)


def test_the_tasks_have_the_papers_numbers() -> None:
    def of(task: str) -> DepthSettings:
        return resolve(DepthSettings, registry().task(task).settings, task)

    multimae, byol = of("depth_nyuv2"), of("depth_byol_nyuv2")
    assert (multimae.head, multimae.loss, multimae.crop, multimae.test, multimae.test_side) == (
        "dpt",
        "berhu",
        256,
        "centre",
        256,
    )
    assert multimae.steps == 2000 * (795 // 128)
    assert (multimae.mean, multimae.std) == (2.0707764, 0.7775723)
    assert (byol.head, byol.crop, byol.steps, byol.batch_size, byol.lr) == (
        "up_projection",
        (228, 304),
        7500,
        256,
        0.16,
    )
    assert (byol.low, byol.high, byol.weight_decay) == (1e-3, 10.0, 5e-4)
    linear = of("depth_linear4_nyuv2")
    assert (linear.head, linear.class_token, linear.blocks, linear.frozen) == ("linear", True, "quarters", True)


def test_a_trained_backbone_beats_an_untrained_one_on_shapes(tmp_path) -> None:
    data = load_dataset("shapes", tmp_path)
    small = Dataset("shapes", data.train.subset(range(256)), data.test.subset(range(48)))
    chosen = resolve(DepthSettings, registry().task("depth_shapes").settings, "depth")
    low, high = (
        Depth().evaluate(trained_backbone("vit", trained), small, chosen, compute(tmp_path))
        for trained in (False, True)
    )
    assert high.metrics["delta1"] > low.metrics["delta1"] + 1
    assert high.metrics["rms"] < low.metrics["rms"]


def test_seven_scenes_is_learnt(tmp_path, shared_data) -> None:
    data = load_dataset("depth_7scenes", shared_data)
    small = Dataset("depth_7scenes", data.train.subset(range(0, 88, 2)), data.test.subset(range(0, 24, 3)))
    task = registry().task("depth_7scenes").settings
    changes = {
        "side": 64,
        "crop": 64,
        "test_side": 64,
        "width": 16,
        "frozen": True,
        "lr": 3e-3,
        "warmup": 0,
        "batch_size": 8,
    }

    def of(steps: int):
        chosen = resolve(DepthSettings, {**task, **changes, "steps": steps}, "depth")
        return Depth().evaluate(trained_backbone("vit"), small, chosen, compute(tmp_path)).metrics

    first, later = of(1), of(30)
    assert later["delta1"] > first["delta1"]
    assert later["rms"] < first["rms"] < 10
