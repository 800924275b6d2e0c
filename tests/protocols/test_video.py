"""Video: which frames, which crops, how views are averaged, training that resumes, motion."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from media_nets import Flow, Sums, named, settings_of, video_vit
from torch import nn

from ssl_bench.compute import Compute
from ssl_bench.data.builders import first_of_each_class, load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.videos import Change, Length, VideoSplit, videos
from ssl_bench.errors import ImageError, SettingsError
from ssl_bench.protocols.media.samples import Skipped, loaded
from ssl_bench.protocols.media.training import plan
from ssl_bench.protocols.video.augment import AugmentNumbers, TrainClips, erased, mixed, randaugment
from ssl_bench.protocols.video.finetune import Video, VideoSettings, mean_probability, score
from ssl_bench.protocols.video.frozen import VideoFrozen
from ssl_bench.protocols.video.net import build, clip_vectors
from ssl_bench.protocols.video.views import ClipNumbers, frame_numbers, square, starts, views_of
from ssl_bench.training import supervised
from ssl_bench.training.trainable import groups_of

TINY = {"frames": 4, "stride": 4, "crop": 32, "epochs": 2, "batch_size": 8, "clips": 2}


@pytest.fixture(scope="module")
def moving() -> Dataset:
    return first_of_each_class(load_dataset("shapes_video"), 16)


@pytest.fixture(scope="module")
def few(moving: Dataset) -> Dataset:
    return first_of_each_class(moving, 4)


class Numbered(VideoSplit):
    """Videos whose frame n is grey of value n, with a column of the number of its place."""

    name, classes = "numbered", ("a", "b")

    def __init__(self, frames: int, rate: float, size: tuple[int, int] = (8, 8), broken: tuple[int, ...] = ()) -> None:
        self.frames, self.rate, self.size, self.broken = frames, rate, size, broken
        self.labels = np.array([0, 1, 0, 1])

    def length(self, index: int) -> Length:
        if index in self.broken:
            raise ImageError(f"video {index} is broken")
        return Length(self.frames, self.rate)

    def clip(self, index: int, numbers: object, each: Change | None = None) -> np.ndarray:
        frames = [np.full((*self.size, 3), value, dtype=np.uint8) for value in np.asarray(numbers)]
        return np.stack([frame if each is None else each(frame) for frame in frames])

    def identity(self, index: int) -> str:
        return f"{index}"


def test_ten_clips_start_where_mae_st_starts_them() -> None:
    # 300 frames at 30: a clip of 16 x 4 spans 64; slack 236; floor(236 / 9) = 26.
    numbers = ClipNumbers()
    assert starts(Length(300, 30.0), numbers) == [26 * i for i in range(10)]
    assert frame_numbers(26, Length(300, 30.0), numbers).tolist() == [int(26 + 63 * i / 15) for i in range(16)]
    assert starts(Length(300, 30.0), numbers.model_copy(update={"clips": 1})) == [118]
    # at 25 a second the same time is 53.3 frames
    assert starts(Length(250, 25.0), numbers)[1] == int((250 - 64 * 25 / 30) // 9)
    assert frame_numbers(0, Length(250, 25.0), numbers)[-1] == int(64 * 25 / 30 - 1)


def test_a_short_video_repeats_its_last_frame() -> None:
    numbers = ClipNumbers()
    assert starts(Length(20, 30.0), numbers) == [0] * 10
    assert frame_numbers(0, Length(20, 30.0), numbers).tolist() == [min(int(63 * i / 15), 19) for i in range(16)]


def test_views_are_clip_after_clip_with_three_crops_along_the_longer_side() -> None:
    wide = torch.arange(11).repeat(5, 1)  # 5 x 11
    assert [square(wide, 5, p)[0].tolist() for p in range(3)] == [[0, 1, 2, 3, 4], [3, 4, 5, 6, 7], [6, 7, 8, 9, 10]]
    tall = wide.T.flip(0)
    assert [square(tall, 5, p)[:, 0].tolist()[0] for p in range(3)] == [10, 7, 4]
    assert torch.equal(square(wide, 5, None), square(wide, 5, 1))
    numbers = ClipNumbers(frames=4, stride=2, rate=10.0, crop=8, clips=2)
    views = views_of(Numbered(20, 10.0), 0, numbers)
    assert views.shape == (6, 4, 3, 8, 8)
    assert views[:, :, 0, 0, 0].tolist() == [[0, 2, 4, 7]] * 3 + [[12, 14, 16, 19]] * 3


def test_the_shorter_side_is_resized_and_crops_cover_the_longer() -> None:
    views = views_of(Numbered(20, 10.0, (8, 16)), 0, ClipNumbers(frames=4, crop=16, clips=1, crops=3))
    assert views.shape == (3, 4, 3, 16, 16)
    assert views_of(Numbered(20, 10.0, (8, 16)), 0, ClipNumbers(frames=4, crop=16, side=20, clips=1)).shape[0] == 3


class Probabilities(nn.Module):
    """Logits of a view: a fixed function of its first pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = video_vit()

    def forward(self, clips: torch.Tensor) -> torch.Tensor:
        first = clips[:, 0, 0, 0, 0]
        return torch.stack([first, 2 * first, -first], dim=1)


def test_probabilities_are_averaged_and_not_logits() -> None:
    net = Probabilities()
    views = torch.randint(0, 256, (7, 4, 3, 8, 8), dtype=torch.uint8)
    found = mean_probability(net, views, 3, Compute())
    first = (views[:, 0, 0, 0, 0].numpy() / 255 - 0.45) / 0.225
    logits = np.stack([first, 2 * first, -first], axis=1)
    each = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.allclose(found, each.mean(axis=0), atol=1e-6)
    of_mean = np.exp(logits.mean(0)) / np.exp(logits.mean(0)).sum()
    assert not np.allclose(found, of_mean, atol=1e-3)


def test_a_network_of_clips_gets_time_second_and_one_of_images_the_mean_over_frames() -> None:
    clips = torch.rand(2, 4, 3, 32, 32)
    vit = video_vit()
    assert torch.allclose(clip_vectors(vit, clips), vit.module(clips.transpose(1, 2)))
    sums = named(Sums(), "default", "image")
    assert torch.allclose(clip_vectors(sums, clips), torch.stack([sums(clip).mean(0) for clip in clips]))
    assert torch.allclose(clip_vectors(sums, clips.flip(1)), clip_vectors(sums, clips), atol=1e-6)


def test_motion_is_seen_by_a_network_of_clips_and_by_none_of_frames(moving: Dataset, tmp_path: Path) -> None:
    compute = Compute(cache=tmp_path)
    settings = settings_of("video_linear_shapes_frames", lrs=[0.1, 1.0])
    flow = VideoFrozen().evaluate(named(Flow(), "default", "video"), moving, settings, compute)
    blind = VideoFrozen().evaluate(named(Sums(), "default", "image"), moving, settings, compute)
    assert flow.selection == "held_out"
    assert flow.metrics["top1"] > 85
    assert blind.metrics["top1"] < 45
    assert flow.interval is not None
    assert blind.interval is not None
    assert flow.interval.low > blind.interval.high
    again = VideoFrozen().evaluate(named(Flow(), "default", "video"), moving, settings, compute)
    assert again.metrics == flow.metrics
    neighbours = settings_of("video_knn_shapes_video", crop=64, frames=4, stride=4)
    assert VideoFrozen().evaluate(named(Flow(), "default", "video"), moving, neighbours, compute).metrics["top1"] > 60


def test_fine_tuning_learns_motion(moving: Dataset, tmp_path: Path) -> None:
    settings = settings_of(
        "video_shapes_video", crop=64, train_side=64, epochs=6, lr=1.0, frames=4, stride=4, clips=1, weight_decay=0.0
    )
    outcome = Video().evaluate(named(Flow(), "default", "video"), moving, settings, Compute(cache=tmp_path))
    assert outcome.metrics["top1"] > 80
    assert outcome.predictions is not None
    assert (outcome.predictions.label == moving.test.labels).all()
    assert not list(tmp_path.glob("video/*"))  # the state is removed when the result is there


def test_an_interrupted_training_equals_an_uninterrupted_one(
    few: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(
        "video_shapes_video", **TINY, mixup=0.8, cutmix=1.0, erasing=0.5, repeats=2, drop_path=0.2, dropout=0.3
    )
    whole = Video().evaluate(video_vit(), few, settings, Compute(cache=tmp_path / "a"))

    class Stop:
        calls = 0

        def __enter__(self) -> Stop:
            return self

        def __exit__(self, *_: object) -> None: ...

        @property
        def requested(self) -> bool:
            Stop.calls += 1
            return Stop.calls == 3

    monkeypatch.setattr(supervised, "StopRequest", Stop)
    with pytest.raises(KeyboardInterrupt):
        Video().evaluate(video_vit(), few, settings, Compute(cache=tmp_path / "b"))
    resumed = Video().evaluate(video_vit(), few, settings, Compute(cache=tmp_path / "b"))
    assert whole.predictions is not None
    assert resumed.predictions is not None
    assert np.array_equal(whole.predictions.score, resumed.predictions.score)
    assert Stop.calls > 3


def test_workers_change_nothing(few: Dataset) -> None:
    clips = TrainClips(videos(few)["train"], ClipNumbers(frames=4, crop=32), AugmentNumbers(train_side=40), 0)
    alone = [clips(1, index) for index in range(4)]
    apart = [item for (item,) in loaded(lambda index: clips(1, index), range(4), 1, Compute(workers=2))]
    for (one, label), (other, same) in zip(alone, apart, strict=True):
        assert torch.equal(one, other)
        assert label == same
    assert not torch.equal(clips(2, 0)[0], alone[0][0])
    assert alone[0][0].shape == (2, 4, 3, 32, 32)
    assert not torch.equal(alone[0][0][0], alone[0][0][1])  # two clips of a video are cut and changed apart


def test_all_frames_of_a_clip_are_changed_alike() -> None:
    frame = torch.randint(0, 256, (1, 3, 40, 40), dtype=torch.uint8)
    for seed in range(5):
        changed = randaugment(frame.expand(3, -1, -1, -1), "rand-m7-mstd0.5-inc1", seed)
        assert (changed == changed[0]).all()
    x = erased(torch.zeros(6, 4, 3, 16, 16), 1.0)
    boxes = x.abs().amax(dim=2) > 0  # (B, T, H, W)
    assert boxes.any(dim=(1, 2, 3)).all()
    assert (boxes == boxes[:, :1]).all()
    assert not torch.equal(x[0, 0], x[0, 1])


def test_mixing_pairs_clips_of_a_group_and_their_labels() -> None:
    numbers = AugmentNumbers(mixup=0.8, cutmix=0.0, mix_group=4, smoothing=0.1)
    values = torch.arange(10.0)
    clips = values[:, None, None, None, None].expand(10, 2, 3, 4, 4).clone()
    np.random.seed(0)
    x, y = mixed(clips.clone(), torch.arange(10) % 5, 5, numbers)
    partner = torch.tensor([3, 2, 1, 0, 7, 6, 5, 4, 9, 8])
    share = (x[:, 0, 0, 0, 0] - values[partner]) / (values - values[partner])
    assert torch.allclose(share[:4], share[0].expand(4), atol=1e-5)
    assert not torch.isclose(share[0], share[4])
    one_hot = torch.eye(5)[torch.arange(10) % 5] * 0.9 + 0.02
    assert torch.allclose(y, share[:, None] * one_hot + (1 - share[:, None]) * one_hot[partner], atol=1e-5)
    odd, soft = mixed(clips[:3].clone(), torch.arange(3), 5, numbers)
    assert (odd[2] == 2).all()
    assert torch.allclose(soft[2], one_hot[2])
    boxes, target = mixed(clips[:4].clone(), torch.arange(4), 5, AugmentNumbers(mixup=0, cutmix=1, smoothing=0))
    assert (boxes == boxes[:, :1, :1]).all()  # the same box in all frames
    assert torch.allclose(target[0, 0], (boxes[0, 0, 0] == 0).float().mean())


def test_positions_in_time_and_place_learn_as_the_first_layer_and_do_not_decay() -> None:
    net = build(video_vit(), 2, 0.0, 0.0, Compute())
    groups = groups_of(net.backbone, net.head, 0.5)
    found = {id(p): group for group in groups for p in group["params"]}
    module = net.backbone.module
    for table in (module.pos_embed_spatial, module.pos_embed_temporal, module.pos_embed_class, module.cls_token):
        assert (found[id(table)]["lr_scale"], found[id(table)]["decay"]) == (0.5**3, False)
    assert found[id(module.patch_embed["proj"].weight)]["lr_scale"] == 0.5**3
    assert [found[id(block.attn.qkv.weight)]["lr_scale"] for block in module.blocks] == [0.25, 0.5]
    assert found[id(module.norm.weight)]["lr_scale"] == found[id(net.head.weight)]["lr_scale"] == 1
    assert len(found) == len(list(net.parameters()))


def test_the_batch_is_taken_in_equal_parts_and_scales_the_rate() -> None:
    size, training = plan(VideoSettings(), 240_000, 2)
    assert (size, training.accumulate) == (8, 32)  # 256 videos of two clips, 16 clips at once
    assert training.optimizer.lr == pytest.approx(2.4e-3 * 512 / 256)
    assert training.schedule.total == 240_000 // 8 // 32 * 50
    assert training.schedule.warmup == training.schedule.total // 10
    assert training.schedule.final * training.optimizer.lr == pytest.approx(1e-6)
    assert training.optimizer.clip == 5.0
    with pytest.raises(SettingsError, match="too small"):
        plan(VideoSettings(batch_size=1), 100, 2)


def test_broken_videos_are_named_or_left_out() -> None:
    split = Numbered(20, 10.0, broken=(1,))
    numbers = ClipNumbers(frames=2, crop=8, clips=1, crops=1)
    with pytest.raises(ImageError, match="video 1 is broken"):
        list(loaded(lambda index: views_of(split, index, numbers), range(4), 2, Compute()))
    kept = list(loaded(lambda index: views_of(split, index, numbers), range(4), 2, Compute(skip_broken=True)))
    assert kept[0][1] == Skipped(1, "video 1 is broken")
    net = build(video_vit(), 2, 0.0, 0.0, Compute())
    settings = settings_of("video_shapes_video", frames=4, crop=32, clips=1)
    outcome = score(net, split, settings, Compute(skip_broken=True))
    assert outcome.predictions is not None
    assert outcome.predictions.index.tolist() == [0, 2, 3]
    assert outcome.details["skipped"] == ["1"]


def test_a_broken_training_video_gives_its_place_to_another(tmp_path: Path) -> None:
    split = Numbered(20, 10.0, broken=(1,))
    dataset = Dataset("numbered", split, Numbered(20, 10.0))
    settings = settings_of("video_shapes_video", **TINY)
    with pytest.raises(ImageError, match="video 1 is broken"):
        Video().evaluate(video_vit(), dataset, settings, Compute(cache=tmp_path))
    outcome = Video().evaluate(video_vit(), dataset, settings, Compute(cache=tmp_path, skip_broken=True))
    assert len(outcome.predictions.index) == 4


def test_the_frozen_backbone_stays_as_it_is(few: Dataset, tmp_path: Path) -> None:
    backbone = video_vit()
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    Video().evaluate(backbone, few, settings_of("video_shapes_video", **TINY), Compute(cache=tmp_path))
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    wrong = settings_of("video_shapes_video", **{**TINY, "frames": 6})
    with pytest.raises(SettingsError, match="takes clips of"):
        Video().evaluate(backbone, replace(few), wrong, Compute(cache=tmp_path))
