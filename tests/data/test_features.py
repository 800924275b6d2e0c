from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from data_common import AS_IT_IS, MeanColour, random_split
from PIL import Image

from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data import feature_key, features
from ssl_bench.data.feature_key import major
from ssl_bench.data.features import extract, extract_many
from ssl_bench.data.splits import ArraySplit, FileSplit
from ssl_bench.data.store import Entry, Writer
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import FeatureError, ImageError, StoreError
from ssl_bench.progress import Silent

HERE = Path(__file__).resolve().parent


def stored(cache: Path) -> set[str]:
    return {path.name for path in (cache / "features").glob("*") if path.is_dir()}


def expected(backbone: MeanColour, split: ArraySplit) -> np.ndarray:
    x = (split.pixels.astype(np.float64) / 255 - 0.5) / 0.25
    return x.mean(axis=(1, 2)) @ backbone.weight.detach().double().numpy()


def test_features_are_the_models_and_come_from_the_store_the_second_time(tmp_path: Path) -> None:
    backbone, split, compute = MeanColour(), random_split(21), Compute(cache=tmp_path, batch_size=4)
    first = extract(backbone, split, compute)
    np.testing.assert_allclose(first.x, expected(backbone, split), atol=1e-5)
    assert first.x.dtype == np.float32
    assert first.y.tolist() == split.labels.tolist()
    assert first.index.tolist() == list(range(21))
    assert first.classes == 3

    def refuse(images: torch.Tensor) -> torch.Tensor:
        raise AssertionError("the model was asked again")

    backbone.forward = refuse  # type: ignore[method-assign]
    np.testing.assert_array_equal(extract(backbone, split, compute).x, first.x)


def test_every_part_of_the_key_gives_another_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    split, compute = random_split(), Compute(cache=tmp_path)
    seen: set[str] = set()

    def is_new(backbone: MeanColour, split: ArraySplit, compute: Compute, embedding: str = "default") -> bool:
        extract(backbone, split, compute, embedding)
        grown = stored(tmp_path) - seen
        seen.update(grown)
        return len(grown) == 1

    def changed(**fields: object) -> MeanColour:
        return MeanColour(AS_IT_IS.model_copy(update=fields))

    assert is_new(MeanColour(), split, compute)
    assert not is_new(MeanColour(), split, compute)
    assert is_new(MeanColour(seed=1), split, compute)  # weights
    for fields in ({"mean": (0.4, 0.5, 0.5)}, {"std": (0.2, 0.2, 0.2)}, {"resize": 8}, {"crop": 8}, {"squash": True}):
        assert is_new(changed(**fields), split, compute), fields
    assert is_new(changed(interpolation="bilinear"), split, compute)
    assert is_new(MeanColour(), split, compute.with_(pipeline="fast"))
    assert is_new(MeanColour(), split, compute.with_(precision="bf16"))
    assert is_new(MeanColour(), split.subset(np.arange(19)), compute)  # fewer images
    assert is_new(MeanColour(), split.subset(np.arange(20)[::-1].copy()), compute)  # another order
    pixels = split.pixels.copy()
    pixels[3, 0, 0, 0] ^= 1
    assert is_new(MeanColour(), ArraySplit(pixels, split.labels, split.classes), compute)
    assert is_new(MeanColour(), ArraySplit(split.pixels, split.labels[::-1].copy(), split.classes), compute)
    named = MeanColour()
    named.definition = "another architecture"
    assert is_new(named, split, compute)
    in_place = MeanColour()
    assert not is_new(in_place, split, compute)
    with torch.no_grad():
        in_place.weight.mul_(2)
    assert is_new(in_place, split, compute)
    for library in feature_key.LIBRARIES:
        with monkeypatch.context() as patch:
            patch.setattr(feature_key, "version", lambda name, library=library: "99.0" if name == library else "1.0")
            assert is_new(MeanColour(), split, compute), library
    monkeypatch.setattr(feature_key, "VERSION", 99)
    assert is_new(MeanColour(), split, compute)


def test_compute_details_do_not_give_another_entry(tmp_path: Path) -> None:
    compute = Compute(cache=tmp_path)
    for same in (compute, compute.with_(batch_size=3), compute.with_(workers=1), compute.with_(seed=5)):
        extract(MeanColour(), random_split(), same)
    assert len(stored(tmp_path)) == 1


def test_files_are_known_by_path_and_size(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{name}.bmp")
    both = FileSplit(tmp_path, ["a.bmp", "b.bmp"], [0, 1], ["x", "y"]).fingerprint
    assert FileSplit(tmp_path, ["b.bmp", "a.bmp"], [0, 1], ["x", "y"]).fingerprint != both
    Image.new("RGB", (8, 9)).save(tmp_path / "a.bmp")
    assert FileSplit(tmp_path, ["a.bmp", "b.bmp"], [0, 1], ["x", "y"]).fingerprint != both


def test_major_versions() -> None:
    assert [major(v) for v in ("2.15.0+cu130", "0.29.2", "13.0.0")] == ["2", "0.29", "13"]


class Bounded(MeanColour):
    """Runs out of memory with more than ``limit`` images."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.limit, self.sizes = limit, list[int]()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.limit:
            raise torch.OutOfMemoryError("too much")
        self.sizes.append(len(images))
        return super().forward(images)


def test_the_batch_halves_itself_and_the_numbers_stay(tmp_path: Path) -> None:
    split, progress = random_split(40), Silent()
    small = Bounded(3)
    found = extract(small, split, Compute(cache=tmp_path / "a", batch_size=16, progress=progress))
    np.testing.assert_array_equal(found.x, extract(MeanColour(), split, Compute(cache=tmp_path / "b", batch_size=16)).x)
    assert max(small.sizes) == 2
    assert [note for note in progress.notes if "Out of memory" in note][-1].endswith("batches of 2.")


def test_a_model_that_never_fits_is_one_clear_message(tmp_path: Path) -> None:
    with pytest.raises(FeatureError, match="does not fit into the memory"):
        extract(Bounded(0), random_split(), Compute(cache=tmp_path))


def test_not_finite_features_name_the_image_and_leave_no_entry(tmp_path: Path) -> None:
    class Sick(MeanColour):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            x = super().forward(images)
            x[2, 1] = float("nan")
            return x

    with pytest.raises(FeatureError, match="image 2 are not finite"):
        extract(Sick(), random_split(), Compute(cache=tmp_path))
    assert all(name.endswith(".partial") for name in stored(tmp_path))


def test_a_model_of_the_wrong_shape_is_refused(tmp_path: Path) -> None:
    class Maps(MeanColour):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images

    with pytest.raises(FeatureError, match=r"must map \(B, 3, H, W\) to \(B, D\)"):
        extract(Maps(), random_split(), Compute(cache=tmp_path))


def broken_folder(folder: Path) -> FileSplit:
    random = np.random.RandomState(0)
    for index in range(6):
        Image.fromarray(random.randint(0, 256, (8, 8, 3)).astype(np.uint8)).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"broken")
    return FileSplit(folder, [f"{index}.png" for index in range(6)], [0, 1, 0, 1, 0, 1], ["x", "y"])


def test_broken_images_stop_or_are_listed(tmp_path: Path) -> None:
    split, compute = broken_folder(tmp_path), Compute(cache=tmp_path / "cache", batch_size=2)
    with pytest.raises(ImageError, match=r"3\.png"):
        extract(MeanColour(), split, compute)
    found = extract(MeanColour(), split, compute.with_(skip_broken=True))
    assert found.index.tolist() == [0, 1, 2, 4, 5]
    assert found.y.tolist() == [0, 1, 0, 0, 1]
    assert len(found.x) == 5
    assert found.broken == (str(tmp_path / "3.png"),)
    again = extract(MeanColour(), split, compute.with_(skip_broken=True))
    assert again.broken == found.broken
    with pytest.raises(ImageError, match=r"3\.png"):  # also when the entry is there
        extract(MeanColour(), split, compute)


def test_several_embeddings_take_one_pass_over_the_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ssl_bench.backbones import embeddings

    def twice(backbone: MeanColour, images: torch.Tensor, name: str) -> torch.Tensor:
        return backbone(images) * (2 if name == "double" else 1)

    monkeypatch.setattr(embeddings, "embed", twice)
    opened: list[int] = []
    split = random_split()
    whole = split.array()
    split.array = lambda: opened.append(1) or whole  # type: ignore[method-assign,assign,return-value,func-returns-value]
    found = extract_many(MeanColour(), split, Compute(cache=tmp_path), ["default", "double"])
    np.testing.assert_allclose(found["double"].x, 2 * found["default"].x)
    assert len(opened) == 1
    assert len(stored(tmp_path)) == 2


def test_training_mode_is_put_back(tmp_path: Path) -> None:
    backbone = MeanColour()
    backbone.frozen = torch.nn.BatchNorm2d(3).eval()
    backbone.train()
    backbone.frozen.eval()
    extract(backbone, random_split(), Compute(cache=tmp_path))
    assert backbone.training
    assert not backbone.frozen.training


def test_a_full_disk_says_how_much_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Usage = namedtuple("Usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 90, 10))
    with pytest.raises(StoreError, match=r"features.*disk is too full; 320 bytes are needed"):
        extract(MeanColour(), random_split(20), Compute(cache=tmp_path))
    monkeypatch.undo()
    assert len(extract(MeanColour(), random_split(20), Compute(cache=tmp_path))) == 20


def test_a_disk_that_fills_while_writing_is_one_clear_message(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device"):
            extract(MeanColour(), random_split(), Compute(cache=tmp_path))
    found = extract(MeanColour(), random_split(), Compute(cache=tmp_path))
    np.testing.assert_allclose(found.x, expected(MeanColour(), random_split()), atol=1e-5)


def test_a_cache_that_is_no_folder_is_one_clear_message(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(StoreError, match="features cannot be stored"):
        extract(MeanColour(), random_split(), Compute(cache=tmp_path / "cache"))


def test_a_damaged_entry_is_named(tmp_path: Path) -> None:
    extract(MeanColour(), random_split(), Compute(cache=tmp_path))
    (name,) = stored(tmp_path)
    path = tmp_path / "features" / name / "features.npy"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(StoreError, match="damaged"):
        extract(MeanColour(), random_split(), Compute(cache=tmp_path))


def test_a_torn_journal_line_is_cut_off(tmp_path: Path) -> None:
    x = np.arange(24, dtype=np.float32).reshape(6, 4)
    entry = Entry(tmp_path, "key")
    writer = Writer(entry, 6)
    for at in (0, 2):
        writer.append(x[at : at + 2], np.arange(at, at + 2))
        writer.commit(at + 2, [])
    with (entry.partial / "journal.jsonl").open("a") as journal:
        journal.write('{"stop": 6, "rows"')
    with (entry.partial / "features.npy").open("ab") as file:
        file.write(b"half a block")
    resumed = Writer(entry, 6)
    assert (resumed.position, resumed.rows) == (4, 4)
    resumed.append(x[3:], np.arange(3, 6))  # image 3 is stored already
    resumed.commit(6, [])
    resumed.finish({})
    found = entry.read()
    assert found is not None
    np.testing.assert_array_equal(found.x, x)
    assert found.index.tolist() == list(range(6))


SLOW = """
import sys, time
from pathlib import Path
sys.path.insert(0, {here!r})
from data_common import MeanColour, random_split
from ssl_bench.compute import Compute
from ssl_bench.data import features
features.BLOCK = 4
class Slow(MeanColour):
    def forward(self, images):
        Path({log!r}).open("a").write("x" * len(images))
        time.sleep({seconds})
        return super().forward(images)
Slow.__qualname__ = "MeanColour"
found = features.extract(Slow(), random_split(40), Compute(cache=Path({cache!r}), batch_size=4))
print(len(found), float(found.x.sum()))
"""


def start(tmp_path: Path, log: Path, seconds: float) -> subprocess.Popen[str]:
    code = SLOW.format(here=str(HERE), log=str(log), seconds=seconds, cache=str(tmp_path / "cache"))
    return subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=HERE.parent.parent
    )


def test_a_killed_extraction_goes_on_after_the_last_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "BLOCK", 4)
    process = start(tmp_path, tmp_path / "log", 0.3)
    journals = (tmp_path / "cache" / "features").glob
    deadline = time.monotonic() + 60
    while sum(len(path.read_text().splitlines()) for path in journals("*.partial/journal.jsonl")) < 3:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    counted: list[int] = []

    class Counting(MeanColour):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            counted.append(len(images))
            return super().forward(images)

    Counting.__qualname__ = "MeanColour"
    split = random_split(40)
    found = extract(Counting(), split, Compute(cache=tmp_path / "cache", batch_size=4))
    assert 0 < sum(counted) <= 40 - 12
    np.testing.assert_array_equal(
        found.x, extract(MeanColour(), split, Compute(cache=tmp_path / "whole", batch_size=4)).x
    )
    assert len(stored(tmp_path / "cache")) == 1


def test_two_processes_on_one_entry_do_the_work_once(tmp_path: Path) -> None:
    both = [start(tmp_path, tmp_path / "log", 0.1) for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert outputs[0][0].startswith("40 ")
    assert len((tmp_path / "log").read_text()) == 40
    assert len(stored(tmp_path / "cache")) == 1


def test_fast_and_exact_pipelines_extract_nearly_the_same(tmp_path: Path, shared_data: Path) -> None:
    from data_common import sample_images

    paths = sample_images(shared_data, 6)
    split = FileSplit(paths[0].parent, [p.name for p in paths], [0] * 6, ["all"])
    backbone = MeanColour(PreprocessCard(resize=96, crop=64))
    assert isinstance(backbone.preprocess, Preprocess)
    exact, fast = (extract(backbone, split, Compute(cache=tmp_path, pipeline=p)).x for p in ("exact", "fast"))
    np.testing.assert_allclose(fast, exact, atol=1e-3)
