"""Videos: exact frames at exact numbers, layouts, damaged files."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from ssl_bench.cards import DatasetCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.check import check_dataset
from ssl_bench.data.kinetics import kinetics
from ssl_bench.data.video_files import VideoFiles, decode, length_of
from ssl_bench.data.videos import videos
from ssl_bench.errors import DataError, ImageError, MissingExtraError
from ssl_bench.protocols.media.samples import loaded
from ssl_bench.protocols.video.views import ClipNumbers, views_of

FRAMES = 30


def write_video(path: Path, frames: int = FRAMES, rate: int = 10, seed: int = 0) -> np.ndarray:
    """A lossless video; (T, 24, 32, 3): its frames."""
    pixels = np.random.default_rng(seed).integers(0, 256, (frames, 24, 32, 3), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())
    return pixels


def card(classes: int | None = 2) -> DatasetCard:
    return DatasetCard(name="clips", builder="kinetics", title="", options={"folder": "clips"}, classes=classes)


def test_frames_by_number_are_those_that_were_written(tmp_path: Path) -> None:
    pixels = write_video(tmp_path / "a.mkv")
    assert length_of(tmp_path / "a.mkv") == (FRAMES, 10.0)  # Matroska has no count: the packets are counted
    numbers = [29, 0, 7, 7, 13]
    assert np.array_equal(decode(tmp_path / "a.mkv", numbers), pixels[numbers])
    assert np.array_equal(decode(tmp_path / "a.mkv", numbers, lambda frame: frame[::2]), pixels[numbers, ::2])


def test_a_real_film_has_390_frames_each_where_a_plain_decoder_has_it(shared_data: Path) -> None:
    path = shared_data / "video_clips" / "nasa_13013.mp4"
    assert length_of(path).frames == 390
    assert length_of(path).rate == pytest.approx(30000 / 1001)
    with av.open(str(path)) as container:
        stream = max(container.streams.video, key=lambda s: s.width)
        times, wanted = [], {0: None, 100: None, 389: None}
        for number, frame in enumerate(container.decode(stream)):
            times.append(frame.time)
            if number in wanted:
                wanted[number] = frame.to_ndarray(format="rgb24")
    assert len(times) == 390
    assert np.allclose(np.subtract(times, times[0]), np.arange(390) / length_of(path).rate, atol=1e-3)
    found = decode(path, list(wanted))
    assert found.shape == (3, 270, 480, 3)
    assert np.array_equal(found, np.stack(list(wanted.values())))


def test_a_few_promised_frames_may_lack_but_not_many(tmp_path: Path) -> None:
    pixels = write_video(tmp_path / "a.mkv")
    assert np.array_equal(decode(tmp_path / "a.mkv", [3, FRAMES])[1], pixels[-1])
    with pytest.raises(ImageError, match="a.mkv: cannot be read as a video: frame 60 was asked for, and only 30"):
        decode(tmp_path / "a.mkv", [60])


@pytest.mark.parametrize("content", [b"", b"this is no video" * 50])
def test_a_damaged_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.mp4"
    path.write_bytes(content)
    for read in (lambda: length_of(path), lambda: decode(path, [0])):
        with pytest.raises(ImageError, match=r"broken\.mp4: cannot be read as a video"):
            read()


def test_a_file_that_was_cut_off_is_named(tmp_path: Path, shared_data: Path) -> None:
    whole = (shared_data / "video_clips" / "nasa_13013.mp4").read_bytes()
    path = tmp_path / "short.mp4"
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(ImageError, match=r"short\.mp4"):
        decode(path, [380])


def test_without_pyav_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ssl-bench\[video\]'"):
        length_of(tmp_path / "a.mp4")


def test_class_folders_and_lists_give_the_same_videos(tmp_path: Path) -> None:
    for part in ("train", "val"):
        for number, name in enumerate(("dancing, slowly", "running")):
            write_video(tmp_path / "clips" / part / name / f"{part} {number}.mkv", seed=number)
    folders = kinetics(tmp_path, card())
    assert folders.classes == ("dancing, slowly", "running")
    assert folders.test.labels.tolist() == [0, 1]
    for part in ("train", "val"):
        lines = [
            f"{part}/dancing, slowly/{part} 0.mkv 0",
            f"{(tmp_path / 'clips' / part).absolute()}/running/{part} 1.mkv,1",
        ]
        (tmp_path / "clips" / f"{part}.csv").write_text("\n".join([*lines, ""]))
    lists = kinetics(tmp_path, card())
    assert lists.train.labels.tolist() == [0, 1]
    for one, other in zip(videos(folders).values(), videos(lists).values(), strict=True):
        for index in range(2):
            assert np.array_equal(one.clip(index, [4, 5]), other.clip(index, [4, 5]))
            assert one.image(index).size == (32, 24)
        assert np.array_equal(one.subset([1]).clip(0, [3]), one.clip(1, [3]))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "There is no folder"),
        ({"train.csv": "a.mp4 0\n"}, "There is no file .*val.csv"),
        (
            {"train.csv": "a.mp4 0\n", "val.csv": "a.mp4 two\n"},
            "val.csv:1: .* is no path with a class number from 0 to 1",
        ),
        ({"train.csv": "a.mp4 0\nb.mp4 2\n", "val.csv": "a.mp4 0\n"}, "train.csv:2"),
        ({"train.csv": "\n", "val.csv": ""}, "train.csv: the list is empty"),
        ({"train/a/x.txt": "", "val/a/x.mp4": ""}, "train: its class folders hold no videos"),
        ({"train/a/x.mp4": "", "val/b/x.mp4": ""}, "not in the training split: b"),
        ({"train/a/x.mp4": ""}, "There is no folder .*val"),
    ],
)
def test_wrong_layouts_are_one_clear_message(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, content in files.items():
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / name).write_text(content)
    with pytest.raises(DataError, match=message):
        kinetics(tmp_path, card())


def test_data_check_names_missing_and_damaged_videos(tmp_path: Path) -> None:
    write_video(tmp_path / "kinetics400" / "train" / "a" / "0.mkv")
    (tmp_path / "kinetics400" / "val" / "a").mkdir(parents=True)
    (tmp_path / "kinetics400" / "val" / "a" / "1.mp4").write_bytes(b"nothing")
    report = check_dataset("kinetics400", tmp_path, decode=True)
    assert report.usable
    assert any("1.mp4" in line and "cannot be read as a video" in line for line in report.lines())


def test_workers_decode_the_same_views(tmp_path: Path) -> None:
    split = VideoFiles(tmp_path, ["0.mkv", "1.mkv", "2.mkv"], [0, 0, 0], ("a",))
    for number in range(3):
        write_video(tmp_path / f"{number}.mkv", seed=number)
    make = partial(views_of, split, numbers=ClipNumbers(frames=4, stride=2, crop=16, clips=2, crops=1))
    alone = [item for (item,) in loaded(make, range(3), 1, Compute())]
    apart = [item for (item,) in loaded(make, range(3), 1, Compute(workers=2))]
    assert all(torch.equal(one, other) for one, other in zip(alone, apart, strict=True))
    (tmp_path / "1.mkv").write_bytes(b"nothing")
    with pytest.raises(ImageError, match=r"1\.mkv: cannot be read as a video"):
        list(loaded(make, range(3), 1, Compute(workers=2)))


def test_images_are_no_videos() -> None:
    with pytest.raises(DataError, match="digits has no videos"):
        videos(load_dataset("digits"))
