"""Files that are not what they should be: one clear message each, and no code is ever run."""

import argparse
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ssl_bench.backbones.readers import open_checkpoint, sha256_of_tensors
from ssl_bench.errors import CheckpointError

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


class Attack:
    """Unpickling this creates a file, in any way that pickle offers."""

    def __init__(self, path: Path, way: str) -> None:
        self.path, self.way = path, way

    def __reduce__(self) -> Any:
        if self.way == "system":
            return os.system, (f"touch '{self.path}'",)
        return eval, (f"open({str(self.path)!r}, 'w').close()",)


@pytest.mark.parametrize("way", ["system", "eval"])
@pytest.mark.parametrize("container", ["zip", "legacy", "bare pickle"])
def test_malicious_pickle_is_not_run(way: str, container: str, tmp_path: Path) -> None:
    target, path = tmp_path / "attacked", tmp_path / "bad.pth"
    content = {**TENSORS, "args": Attack(target, way)}
    if container == "bare pickle":
        path.write_bytes(pickle.dumps({"args": Attack(target, way)}, protocol=2))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")
    with pytest.raises(CheckpointError, match=r"was not opened: it asks to run [\w.]*(system|eval)"):
        open_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("new", [True, False])
def test_what_old_files_carry_is_allowed(new: bool, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    extra = {
        "args": argparse.Namespace(arch="vit_small", sizes=[1, 2]),
        "best": np.float64(3.5),
        "epoch": np.int64(9),
        "mean": np.arange(3, dtype=np.float32),
        "epochs": 100,
    }
    torch.save({"model": TENSORS, **extra}, path, _use_new_zipfile_serialization=new)
    opened = open_checkpoint(path)
    assert torch.equal(opened["model"]["weight"], TENSORS["weight"])
    assert opened["args"] == extra["args"]
    assert (opened["best"], opened["epoch"]) == (3.5, 9)
    np.testing.assert_array_equal(opened["mean"], extra["mean"])


def test_numpy_1_names_are_allowed(tmp_path: Path) -> None:
    """A file written under numpy 1 names ``numpy.core.multiarray``; numpy 2 calls it ``numpy._core``."""
    modern, old = tmp_path / "modern.pth", tmp_path / "old.pth"
    torch.save({"w": torch.ones(2), "best": np.float64(2.5)}, modern)
    with zipfile.ZipFile(modern) as source, zipfile.ZipFile(old, "w") as target:
        for entry in source.infolist():
            target.writestr(entry, source.read(entry).replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert b"numpy.core.multiarray" in old.read_bytes()
    assert open_checkpoint(old)["best"] == 2.5


@pytest.mark.parametrize("form", ["torch", "legacy", "safetensors", "npz"])
def test_forms_agree(form: str, tmp_path: Path) -> None:
    path = write(form, tmp_path / "weights.bin")
    opened = open_checkpoint(path)
    for name, tensor in TENSORS.items():
        assert torch.equal(opened[name], tensor)


def write(form: str, path: Path) -> Path:
    if form == "safetensors":
        save_file(TENSORS, path)
    elif form == "npz":
        with open(path, "wb") as file:
            np.savez(file, **{name: t.numpy() for name, t in TENSORS.items()})
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=form == "torch")
    return path


@pytest.mark.parametrize("form", ["torch", "legacy", "safetensors", "npz"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.98])
def test_cut_off_files_are_refused(form: str, keep: float, tmp_path: Path) -> None:
    path = write(form, tmp_path / "weights.bin")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CheckpointError, match="damaged or cut off|no checkpoint of"):
        open_checkpoint(path)


@pytest.mark.parametrize("form", ["torch", "npz"])
def test_one_flipped_bit_is_noticed(form: str, tmp_path: Path) -> None:
    path = write(form, tmp_path / "weights.bin")
    whole = bytearray(path.read_bytes())
    at = whole.index(np.float32(4.0).tobytes() + np.float32(5.0).tobytes())
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(CheckpointError, match="wrong checksum|damaged"):
        open_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>403 Forbidden</html>", "web page"),
        (b"\n  <html></html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "no checkpoint of torch"),
        (b"\x80\x02}q\x00(X\x01\x00\x00\x00a", "damaged or cut off"),
        (b"\xff" * 100, "no checkpoint of torch"),
    ],
)
def test_files_of_another_kind(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(path)


def test_missing_file_folder_and_other_archives(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        open_checkpoint(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        open_checkpoint(tmp_path)
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(CheckpointError, match="photos.zip/a.txt is no checkpoint"):
        open_checkpoint(tmp_path / "photos.zip")


def test_npz_with_pickled_objects_is_refused(tmp_path: Path) -> None:
    path, target = tmp_path / "bad.npz", tmp_path / "attacked"
    np.savez(path, x=np.array([Attack(target, "eval")], dtype=object))
    with pytest.raises(CheckpointError, match="damaged.*allow_pickle"):
        open_checkpoint(path)
    assert not target.exists()


def test_archive_that_unpacks_to_gigabytes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, x=np.zeros((1 << 22,)))
    with pytest.raises(CheckpointError, match="100 times"):
        open_checkpoint(path)


def test_tensors_hash_tells_values_names_shapes_and_label() -> None:
    torch.manual_seed(0)
    first = nn.Linear(2, 3)
    same = nn.Linear(2, 3)
    same.load_state_dict(first.state_dict())
    assert sha256_of_tensors(first, "a") == sha256_of_tensors(same, "a")
    assert sha256_of_tensors(first, "a") != sha256_of_tensors(first, "b")
    with torch.no_grad():
        same.bias[0] += 1e-6
    assert sha256_of_tensors(first, "a") != sha256_of_tensors(same, "a")
    empty = [nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(3, 2))]
    hashes = set()
    for parameter in empty:
        module = nn.Module()
        module.register_parameter("p", parameter)
        hashes.add(sha256_of_tensors(module, ""))
    assert len(hashes) == 2
