"""Recordings: training samples, the network, folds, scores, training that resumes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media_nets import Sums, audio_vit, named, settings_of
from sklearn.metrics import average_precision_score
from torch.nn import functional as F

from ssl_bench.cards import DatasetCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.recordings import AudioSplit, Tags, folds_of
from ssl_bench.data.tones import CLASSES, TonesSplit, tones
from ssl_bench.errors import DataError, ImageError, SettingsError
from ssl_bench.protocols.audio.augment import AudioAugmentNumbers, TrainSounds, balanced, hide, mix, targets
from ssl_bench.protocols.audio.finetune import Audio, AudioSettings, loss_of
from ssl_bench.protocols.audio.front_end import FrontEnd, spectrogram_of
from ssl_bench.protocols.audio.frozen import AudioFrozen
from ssl_bench.protocols.audio.net import AudioClassifier, build, for_frames, masked
from ssl_bench.protocols.audio.score import tagging
from ssl_bench.training import supervised

PLAIN = AudioAugmentNumbers(roll=False, mixup=0.0, mask_bins=0, mask_frames=0)
SMALL = FrontEnd(frames=96, bins=32)


def some_tones(train: int = 48, test: int = 24, folds: int = 0) -> Dataset:
    options = {"seed": 0, "train": train, "test": test, "folds": folds}
    return tones(Path(), DatasetCard(name="tones", builder="tones", title="", options=options))


class Tagged(TonesSplit):
    """Tones with the labels (class) and (whether the number is even); ``broken`` cannot be read."""

    def __init__(self, name: str, start: int, count: int, broken: int = -1) -> None:
        super().__init__(name, 0, start, count)
        self.tags = Tags.of([[int(c), 6 + i % 2] for i, c in enumerate(self.labels)], 8)
        self.labels, self.broken = np.zeros(count, np.int64), broken
        self.classes = (*CLASSES, "even", "odd")  # type: ignore[assignment]

    def waveform(self, index: int) -> tuple[np.ndarray, int]:
        if index == self.broken:
            raise ImageError(f"{self.name} {index} is broken")
        return super().waveform(index)

    def identity(self, index: int) -> str:
        return f"{self.name} {index}"


def test_without_augmentation_a_training_sample_is_the_test_sample() -> None:
    split = some_tones().train
    x, target = TrainSounds(split, SMALL, PLAIN, 0)(0, 3)
    assert torch.equal(x, spectrogram_of(split, 3, SMALL))
    assert target.tolist() == [0, 0, 0, 1, 0, 0]


def test_samples_follow_from_seed_epoch_and_number() -> None:
    split = some_tones().train
    make = TrainSounds(split, SMALL, AudioAugmentNumbers(noise=True, mask_bins=8, mask_frames=20, mixup=1.0), 5)
    x, target = make(2, 7)
    again, same = make(2, 7)
    assert torch.equal(x, again)
    assert torch.equal(target, same)
    assert not torch.equal(x, make(3, 7)[0])
    assert target.sum() == pytest.approx(1)
    assert 0.05 < target.max() <= 1


def test_mixing_takes_the_first_ones_length_and_no_mean() -> None:
    one, other = np.arange(6, dtype=np.float32), np.ones(4, dtype=np.float32)
    expected = 0.7 * one + 0.3 * np.array([1, 1, 1, 1, 0, 0])
    assert np.allclose(mix(one, other, 0.7), expected - expected.mean(), atol=1e-6)
    assert len(mix(other, one, 0.5)) == 4


def test_hidden_stretches_are_zero_and_not_longer_than_allowed() -> None:
    np.random.seed(0)
    widths = []
    for _ in range(300):
        x = torch.ones(20, 12)
        hide(x, 1, 5)
        columns = (x == 0).all(dim=0)
        assert ((x == 0) == columns).all()
        where = columns.nonzero().flatten()
        assert len(where) == 0 or where[-1] - where[0] + 1 == len(where)
        widths.append(len(where))
    assert set(widths) == {0, 1, 2, 3, 4}  # int(U(0, 5))
    x = torch.ones(4, 3)
    hide(x, 0, 100)  # no more than there is
    assert x.shape == (4, 3)


def test_rare_labels_are_drawn_as_often_as_frequent_ones() -> None:
    split = Tagged("t", 0, 60)
    labels = [[0]] * 50 + [[1]] * 5 + [[1, 2]] * 5
    split.tags = Tags.of(labels, 8)
    counts = np.zeros(60)
    for epoch in range(400):
        drawn = balanced(split, 6, Compute(), epoch)
        assert len(set(drawn.tolist())) == 6  # without putting back
        counts[drawn] += 1
    weights = np.array([1000 / 50.01] * 50 + [1000 / 10.01] * 5 + [1000 / 10.01 + 1000 / 5.01] * 5)
    first = counts[:50].sum() / counts.sum()
    assert counts[55:].mean() > counts[50:55].mean() > 3 * counts[:50].mean()
    assert first < 50 / 60
    assert weights[:50].sum() == pytest.approx(weights.sum() / 3, rel=0.01)  # three labels, a third each
    assert np.array_equal(balanced(split, 6, Compute(), 3), balanced(split, 6, Compute(), 3))


def test_left_out_times_and_frequencies_are_rows_and_columns_of_the_grid() -> None:
    tokens = torch.arange(60).reshape(1, 60, 1).expand(3, -1, -1)  # 10 times x 6 frequencies
    torch.manual_seed(0)
    kept = masked(tokens, (10, 6), 0.2, 0.5)
    assert kept.shape == (3, 8 * 3, 1)
    for sample in kept[..., 0]:
        rows, columns = {int(t) // 6 for t in sample}, {int(t) % 6 for t in sample}
        assert (len(rows), len(columns)) == (8, 3)
        assert {int(t) for t in sample} == {r * 6 + c for r in rows for c in columns}
    assert not torch.equal(kept[0].sort(dim=0).values, kept[1].sort(dim=0).values)


def test_the_network_is_mean_of_patches_then_its_own_norm() -> None:
    backbone = audio_vit()
    net = build(backbone, 5, 0.0, 0.0, 0.0, Compute()).eval()
    x = torch.randn(2, 1, 96, 32)
    vit = net.backbone.module
    tokens = vit.patch_embed(x) + vit.pos_embed[:, 1:]
    tokens = torch.cat([(vit.cls_token + vit.pos_embed[:, :1]).expand(2, -1, -1), tokens], dim=1)
    mean = vit.blocks(tokens)[:, 1:].mean(dim=1)
    assert torch.allclose(net(x), net.head(F.layer_norm(mean, (32,), eps=1e-6)), atol=1e-6)
    assert not net.backbone.module.pos_embed.requires_grad
    masks = build(backbone, 5, 0.5, 0.5, 0.0, Compute())
    with torch.no_grad():
        masks.head.weight.normal_()
    assert not torch.allclose(masks(x), masks(x))
    masks.eval()
    assert torch.equal(masks(x), masks(x))


def test_fewer_frames_keep_the_positions_of_the_first_times() -> None:
    backbone = audio_vit(96, 32)  # 6 x 2 patches
    short = for_frames(backbone, 32, 32)
    assert for_frames(backbone, 96, 32) is backbone
    assert torch.equal(short.module.pos_embed, backbone.module.pos_embed[:, : 1 + 2 * 2])
    assert backbone.module.pos_embed.shape[1] == 13
    x = torch.randn(2, 1, 32, 32)
    long = torch.cat([x, torch.zeros(2, 1, 64, 32)], dim=2)
    assert torch.allclose(short.embed_tokens(x), backbone.embed_tokens(long)[:, :5], atol=1e-6)
    assert short(x).shape == (2, 32)
    for frames, bins in ((100, 32), (112, 32), (96, 48)):
        with pytest.raises(SettingsError, match="takes spectrograms of up to 96 frames and 32 frequencies"):
            for_frames(backbone, frames, bins)


def test_a_network_without_patches_cannot_leave_some_out() -> None:
    plain = named(Sums(), "default", "audio")
    assert AudioClassifier(plain, 3, 0.0, 0.0)(torch.rand(2, 3, 8, 8)).shape == (2, 3)
    with pytest.raises(SettingsError, match="no grid of patches"):
        AudioClassifier(plain, 3, 0.2, 0.0)


def test_losses() -> None:
    class Fixed(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    logits, target = torch.randn(4, 3), torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0.3, 0.7], [0, 0, 1]])
    p = logits.sigmoid()
    bce = -(target * p.log() + (1 - target) * (1 - p).log()).mean()
    assert torch.allclose(loss_of(AudioSettings())(Fixed(), (logits, target))["loss"], bce, atol=1e-6)
    smooth = 0.9 * target + 0.1 / 3
    ce = -(smooth * logits.log_softmax(1)).sum(1).mean()
    found = loss_of(AudioSettings(loss="ce", smoothing=0.1))(Fixed(), (logits, target))["loss"]
    assert torch.allclose(found, ce, atol=1e-6)


def test_map_is_scikit_learns_mean_over_the_classes_that_occur() -> None:
    random = np.random.default_rng(0)
    present = (random.uniform(size=(50, 6)) < 0.3).astype(np.int8)
    present[:, 4] = 0
    scores = random.normal(size=(50, 6)) + present
    outcome = tagging(present, scores, tuple("abcdef"), {})
    each = [average_precision_score(present[:, c], scores[:, c]) for c in (0, 1, 2, 3, 5)]
    assert outcome.metrics["map"] == pytest.approx(100 * np.mean(each), abs=1e-9)
    assert set(outcome.details["ap"]) == set("abcdf")
    assert outcome.interval is not None
    assert outcome.interval.low < outcome.metrics["map"] < outcome.interval.high


def test_fine_tuning_learns_tones(tmp_path: Path) -> None:
    dataset = some_tones()
    settings = settings_of("audio_tones", epochs=6)
    outcome = Audio().evaluate(audio_vit(), dataset, settings, Compute(cache=tmp_path))
    assert outcome.metrics["top1"] > 40  # chance: 16.7
    assert outcome.predictions is not None
    assert outcome.predictions.index.tolist() == list(range(24))
    assert not list(tmp_path.glob("audio/*"))
    untrained = Audio().evaluate(
        audio_vit(), dataset, settings_of("audio_tones", epochs=1, lr=1e-9, min_lr=0), Compute(cache=tmp_path)
    )
    assert untrained.metrics["top1"] < outcome.metrics["top1"]


def test_folds_are_trained_apart_and_averaged(tmp_path: Path) -> None:
    dataset = some_tones(36, folds=3)
    outcome = Audio().evaluate(audio_vit(), dataset, settings_of("audio_tones", epochs=1), Compute(cache=tmp_path))
    assert list(outcome.details["folds"]) == ["fold 1", "fold 2", "fold 3"]
    assert outcome.metrics["top1"] == pytest.approx(np.mean(list(outcome.details["folds"].values())), abs=1e-3)
    found = outcome.predictions
    assert found is not None
    assert found.index.tolist() == list(range(36))
    assert (found.label == dataset.test.labels).all()
    for number, fold in enumerate(folds_of(dataset), start=1):
        members = dataset.test.folds == number
        right = (found.prediction == found.label)[members].mean()
        assert outcome.details["folds"][fold.name] == pytest.approx(100 * right, abs=1e-3)


def test_an_interrupted_training_equals_an_uninterrupted_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = some_tones(24, folds=2)
    settings = settings_of(
        "audio_tones", epochs=2, batch_size=4, roll=True, mixup=0.5, mask_bins=8, drop_path=0.3, mask_time=0.3
    )
    whole = Audio().evaluate(audio_vit(), dataset, settings, Compute(cache=tmp_path / "a"))

    class Stop:
        calls = 0

        def __enter__(self) -> Stop:
            return self

        def __exit__(self, *_: object) -> None: ...

        @property
        def requested(self) -> bool:
            Stop.calls += 1
            return Stop.calls == 8  # in the second fold, within an epoch

    monkeypatch.setattr(supervised, "StopRequest", Stop)
    with pytest.raises(KeyboardInterrupt):
        Audio().evaluate(audio_vit(), dataset, settings, Compute(cache=tmp_path / "b"))
    assert len(list((tmp_path / "b" / "audio").iterdir())) == 2  # the first fold is kept
    before = Stop.calls
    resumed = Audio().evaluate(audio_vit(), dataset, settings, Compute(cache=tmp_path / "b"))
    assert Stop.calls - before == 4  # what was left of the second fold, and nothing of the first
    assert np.array_equal(whole.predictions.score, resumed.predictions.score)


def test_tags_are_trained_and_scored_by_map(tmp_path: Path) -> None:
    dataset = Dataset("tagged", Tagged("tagged/train", 0, 36), Tagged("tagged/test", 36, 18))
    settings = settings_of("audio_tones", loss="bce", epochs=1, draws=24)
    outcome = Audio().evaluate(audio_vit(), dataset, settings, Compute(cache=tmp_path))
    assert outcome.primary == "map"
    assert len(outcome.details["ap"]) == 8
    frozen = AudioFrozen().evaluate(audio_vit(), dataset, settings_of("audio_linear_tones"), Compute(cache=tmp_path))
    assert frozen.primary == "map"
    with pytest.raises(DataError, match="several labels a recording"):
        Audio().evaluate(audio_vit(), dataset, settings_of("audio_tones"), Compute(cache=tmp_path))


def test_frozen_vectors_are_stored_and_folds_share_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = some_tones(60, folds=2)
    asked: list[int] = []
    plain = TonesSplit.waveform

    def counting(self: TonesSplit, index: int) -> tuple[np.ndarray, int]:
        asked.append(index)
        return plain(self, index)

    assert dataset.fingerprint  # reads every sound once
    monkeypatch.setattr(TonesSplit, "waveform", counting)
    outcome = AudioFrozen().evaluate(audio_vit(), dataset, settings_of("audio_knn_tones"), Compute(cache=tmp_path))
    assert sorted(asked) == list(range(60))
    assert outcome.predictions.index.tolist() == list(range(60))
    assert outcome.metrics["top1"] > 25  # chance: 16.7
    again = AudioFrozen().evaluate(audio_vit(), dataset, settings_of("audio_knn_tones"), Compute(cache=tmp_path))
    assert again.metrics == outcome.metrics
    assert len(asked) == 60
    linear = AudioFrozen().evaluate(
        audio_vit(), dataset, settings_of("audio_linear_tones", epochs=5), Compute(cache=tmp_path)
    )
    assert linear.selection == "held_out"
    assert len(asked) == 60


def test_real_sounds_in_five_folds(shared_data: Path, tmp_path: Path) -> None:
    dataset = load_dataset("esc10_mini", shared_data)
    settings = settings_of("audio_linear_esc10_mini", epochs=20, lrs=[0.01])
    outcome = AudioFrozen().evaluate(audio_vit(1024, 128), dataset, settings, Compute(cache=tmp_path))
    assert len(outcome.details["folds"]) == 5
    assert outcome.metrics["top1"] > 20  # chance: 10
    assert outcome.selection == "fixed"


def test_a_broken_recording_is_named_or_left_out(tmp_path: Path) -> None:
    train, test = Tagged("tagged/train", 0, 24, broken=3), Tagged("tagged/test", 24, 12, broken=5)
    settings = settings_of("audio_tones", loss="bce", epochs=1)
    with pytest.raises(ImageError, match="tagged/train 3 is broken"):
        Audio().evaluate(audio_vit(), Dataset("tagged", train, test), settings, Compute(cache=tmp_path))
    outcome = Audio().evaluate(
        audio_vit(), Dataset("tagged", train, test), settings, Compute(cache=tmp_path, skip_broken=True)
    )
    assert outcome.details["skipped"] == ["tagged/test 5"]


def test_targets_of_one_and_of_several_labels() -> None:
    split = Tagged("t", 0, 4)
    assert targets(split, np.array([1])).tolist() == [[0, 1, 0, 0, 0, 0, 0, 1]]
    assert isinstance(replace(some_tones()).train, AudioSplit)
    assert targets(some_tones().train, np.array([7])).tolist() == [[0, 1, 0, 0, 0, 0]]
