"""T5X folders: every way in which flax and TensorStore write an array, and what is refused."""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import pytest
import torch

from ssl_bench.backbones.readers import open_checkpoint
from ssl_bench.errors import CheckpointError

REAL = Path(__file__).parent / "files" / "t5x_tiny"
"""Written by flax and TensorStore themselves: ``files/make_t5x.py``. The optimiser's state is in it too."""

KERNEL = "target.encoder.kernel"


def counted(*shape: int) -> torch.Tensor:
    return torch.arange(torch.Size(shape).numel()).reshape(shape).float()


def check(content: Any) -> None:
    encoder, target = content["target"]["encoder"], content["target"]
    assert content.keys() == {"version", "target"}
    assert torch.equal(encoder["kernel"], counted(3, 5))  # four chunks of 2 x 3, hanging over on both sides
    assert torch.equal(encoder["bias"], torch.zeros(5))
    assert torch.equal(encoder["half"], counted(4).bfloat16())
    assert encoder["half"].dtype == torch.bfloat16
    assert torch.equal(encoder["scalar"], torch.tensor(2.5))
    assert torch.equal(target["logit_scale"], torch.tensor([2.5]))  # this one and the next are in the msgpack file
    assert torch.equal(target["small_half"], counted(3).bfloat16())
    assert torch.equal(target["chunked"], counted(3, 3))  # in flax's pieces, as arrays over a gigabyte are
    assert target["count"] == 7.0


def test_what_flax_and_tensorstore_wrote(tmp_path: Path) -> None:
    check(open_checkpoint(REAL))
    shutil.copytree(REAL, tmp_path / "run" / "checkpoint_9")
    check(open_checkpoint(tmp_path / "run"))
    with zipfile.ZipFile(tmp_path / "published.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in REAL.rglob("*"):
            archive.write(file, Path("published/checkpoint_9") / file.relative_to(REAL))
    check(open_checkpoint(tmp_path / "published.zip"))
    shutil.copytree(REAL, tmp_path / "run" / "checkpoint_10")
    with pytest.raises(CheckpointError, match="2 checkpoints"):
        open_checkpoint(tmp_path / "run")


def meta(**changes: Any) -> Callable[[Path], Any]:
    """Changes what ``.zarray`` of the kernel says."""

    def change(folder: Path) -> None:
        path = folder / KERNEL / ".zarray"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def spec(**changes: Any) -> Callable[[Path], Any]:
    """Changes what the msgpack file says of the kernel."""

    def change(folder: Path) -> None:
        content = msgpack.unpackb((folder / "checkpoint").read_bytes(), strict_map_key=False)
        content["optimizer"]["target"]["encoder"]["kernel"] |= changes
        (folder / "checkpoint").write_bytes(msgpack.packb(content))

    return change


def content(**changes: Any) -> Callable[[Path], Any]:
    def change(folder: Path) -> None:
        whole = msgpack.unpackb((folder / "checkpoint").read_bytes(), strict_map_key=False)
        (folder / "checkpoint").write_bytes(msgpack.packb(whole | changes))

    return change


def chunk(edit: Callable[[bytes], bytes]) -> Callable[[Path], Any]:
    return lambda folder: (folder / KERNEL / "0.1").write_bytes(edit((folder / KERNEL / "0.1").read_bytes()))


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "a chunk is missing": (lambda folder: (folder / KERNEL / "0.1").unlink(), "lacks 1 of its 4 chunks .0.1."),
    "an array is missing": (lambda folder: shutil.rmtree(folder / KERNEL), "No such file"),
    "a chunk is cut off": (chunk(lambda data: data[:-9]), "is cut off"),
    "a chunk's checksum is wrong": (
        chunk(lambda data: data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]),
        "incorrect data check",
    ),
    "a chunk has more behind it": (chunk(lambda data: data + b"a"), "longer than it should be"),
    "a chunk is no gzip": (chunk(lambda data: b"hello"), "incorrect header"),
    "another compressor": (meta(compressor={"id": "blosc", "cname": "lz4"}), "compressed with blosc; only gzip"),
    "filters": (meta(filters=[{"id": "delta"}]), "went through filters"),
    "objects": (meta(dtype="|O"), "only numbers are read"),
    "records": (meta(dtype=[["a", "<f4"]]), "only numbers are read"),
    "another order": (meta(order="K"), "contradicts itself"),
    "another format": (meta(zarr_format=3), "not of the format zarr 2"),
    "sides below zero": (meta(shape=[-3, 5]), "has sides"),
    "chunks without size": (meta(chunks=[0, 3]), "has sides"),
    "a terabyte of zeros": (meta(shape=[3, 1 << 40], chunks=[3, 1 << 40]), "unpacks to over"),
    "a chunk for each of a million million numbers": (meta(shape=[3, 1 << 40], chunks=[1, 1]), "lacks most"),
    "a path outside": (spec(kvstore={"driver": "file", "path": "../elsewhere"}), "which is not read"),
    "an absolute path": (spec(kvstore={"driver": "file", "path": "/etc/passwd/x"}), "which is not read"),
    "another driver": (spec(driver="n5"), "kept as 'n5'"),
    "another version": (content(version=1), "version 1; 2 and 3 are read"),
    "no weights": (content(optimizer={"state": {}}), "damaged or cut off"),
    "another extension": (content(optimizer={"target": msgpack.ExtType(9, b"a")}), "an extension 9"),
    "an array of objects": (
        content(optimizer={"target": msgpack.ExtType(1, msgpack.packb([[1], "object", b"a"]))}),
        "only numbers",
    ),
    "an array that is too short": (
        content(optimizer={"target": msgpack.ExtType(1, msgpack.packb([[9], "float32", b"aaaa"]))}),
        "has 4 bytes",
    ),
    "half a msgpack file": (
        lambda folder: (folder / "checkpoint").write_bytes(b"\x82\xa7version"),
        "damaged or cut off",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_not_whole_is_refused(what: str, tmp_path: Path) -> None:
    change, said = BROKEN[what]
    folder = tmp_path / "checkpoint_9"
    shutil.copytree(REAL, folder)
    change(folder)
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(folder)


@pytest.mark.parametrize("compressor", [None, {"id": "zlib", "level": 1}])
def test_other_ways_to_write_a_chunk(compressor: dict[str, Any] | None, tmp_path: Path) -> None:
    """Column by column, named with a slash, big-endian, with zlib or as they are."""
    folder = tmp_path / "checkpoint_9"
    shutil.copytree(REAL, folder)
    meta(compressor=compressor, order="F", dtype=">f4", dimension_separator="/", chunks=[3, 5])(folder)
    (folder / KERNEL / "0").mkdir()
    data = counted(3, 5).numpy().astype(">f4").tobytes(order="F")
    (folder / KERNEL / "0" / "0").write_bytes(zlib.compress(data) if compressor else data)
    check(open_checkpoint(folder))
