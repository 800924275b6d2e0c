"""Archives and folders: the one checkpoint in them is opened, and nothing is written outside the temporary folder."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch

from ssl_bench.backbones.readers import open_checkpoint
from ssl_bench.errors import CheckpointError

TENSORS = {"weight": torch.arange(6.0).reshape(2, 3)}


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where archives are unpacked in this test; empty again afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def torch_file(new: bool = True) -> bytes:
    buffer = io.BytesIO()
    torch.save({"state_dict": TENSORS}, buffer, _use_new_zipfile_serialization=new)
    return buffer.getvalue()


def packed(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path


both = pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])


@both
@pytest.mark.parametrize("new", [True, False])
def test_the_checkpoint_inside_is_opened(name: str, new: bool, tmp_path: Path, temporary: Path) -> None:
    files = {
        "run/": b"",
        "run/readme.md": b"words",
        "run/feature_extractor.pth.tar": torch_file(new),
        "__MACOSX/run/._feature_extractor.pth.tar": b"litter",
        "run/.hidden.pth": b"litter",
    }
    if name == "a.tar.gz":
        del files["run/"]
    opened = open_checkpoint(packed(tmp_path / name, files))
    assert list(temporary.iterdir()) == []
    assert torch.equal(opened["state_dict"]["weight"], TENSORS["weight"])


@both
def test_a_single_file_needs_no_suffix(name: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"model_net_epoch50": torch_file(new=False)})
    assert torch.equal(open_checkpoint(path)["state_dict"]["weight"], TENSORS["weight"])


@both
def test_the_checkpoint_nearest_to_the_top_is_taken(name: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"run/hub/copy.pth": b"no checkpoint at all", "run/best.pth": torch_file()})
    assert torch.equal(open_checkpoint(path)["state_dict"]["weight"], TENSORS["weight"])


def test_a_folder_is_searched_too(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_bytes(torch_file())
    (tmp_path / "log.txt").write_text("words")
    assert torch.equal(open_checkpoint(tmp_path)["state_dict"]["weight"], TENSORS["weight"])


@both
def test_several_checkpoints_are_named(name: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"run/a.pth": torch_file(), "run/b.pth": torch_file()})
    with pytest.raises(CheckpointError, match=r"holds 2 checkpoints \(run/a\.pth, run/b\.pth\)") as caught:
        open_checkpoint(path)
    assert str(path) in caught.value.message
    assert str(temporary) not in str(caught.value)


@both
def test_none_is_said_so(name: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"run/readme.md": b"words", "run/config.json": b"{}"})
    with pytest.raises(CheckpointError, match=r"holds no checkpoint that is known here \(run/config\.json, run/readme"):
        open_checkpoint(path)


@both
def test_what_is_wrong_inside_is_told_with_the_archives_name(name: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"run/a.pth": torch_file()[:-100]})
    with pytest.raises(CheckpointError, match=r"a\.(zip|tar\.gz)/run/a\.pth .*is damaged or cut off") as caught:
        open_checkpoint(path)
    assert str(temporary) not in str(caught.value)
    assert list(temporary.iterdir()) == []


BAD_NAMES = ["../outside.pth", "run/../../outside.pth", "/outside.pth", "C:\\outside.pth", "run\\..\\..\\outside.pth"]


@both
@pytest.mark.parametrize("bad", BAD_NAMES)
def test_nothing_is_written_outside(name: str, bad: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"a.pth": torch_file(), bad: b"attack"})
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match="was not unpacked: its entry .*outside.pth' is no plain file below"):
        open_checkpoint(path)
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/outside.pth").exists()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_tar_with_links_or_devices_is_refused(kind: bytes, tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "a.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("a.pth")
        entry.type, entry.linkname = kind, "/etc/passwd"
        tar.addfile(entry)
    with pytest.raises(CheckpointError, match="its entry 'a.pth' is no plain file"):
        open_checkpoint(path)


def test_a_zip_with_a_link_is_refused(tmp_path: Path, temporary: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        entry = zipfile.ZipInfo("a.pth")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(CheckpointError, match="its entry 'a.pth' is no plain file"):
        open_checkpoint(path)


@both
def test_the_same_name_twice_is_refused(name: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"a.pth": torch_file(), "./a.pth": torch_file()})
    with pytest.raises(CheckpointError, match=r"its entry '\./a\.pth' is no plain file"):
        open_checkpoint(path)


@both
def test_an_archive_that_unpacks_to_far_more_than_its_size_is_refused(
    name: str, tmp_path: Path, temporary: Path
) -> None:
    path = packed(tmp_path / name, {"a.pth": bytes(20_000_000)})
    assert path.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="unpacks to over 100 times its size"):
        open_checkpoint(path)
    assert list(temporary.iterdir()) == []


@both
@pytest.mark.parametrize("how", ["cut", "flipped"])
def test_a_damaged_archive_is_refused(name: str, how: str, tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / name, {"a.pth": os.urandom(50_000)})
    content = bytearray(path.read_bytes())
    if how == "cut":
        del content[30_000:]
    else:
        content[30_000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged or cut off"):
        open_checkpoint(path)
    assert list(temporary.iterdir()) == []


def test_an_encrypted_zip_is_refused(tmp_path: Path, temporary: Path) -> None:
    path = packed(tmp_path / "a.zip", {"a.pth": torch_file()})
    content = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="is damaged or cut off: .*encrypted"):
        open_checkpoint(path)


def test_a_full_disk_is_said_so(tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = packed(tmp_path / "a.zip", {"a.pth": torch_file()})
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(CheckpointError, match="cannot be unpacked into .*No space left"):
        open_checkpoint(path)
