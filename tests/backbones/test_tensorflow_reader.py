"""TensorFlow checkpoints are read without TensorFlow: real ones, and many more of an independent writer."""

from __future__ import annotations

import shutil
import struct
import tempfile
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from proofs.tensorflow_writer import TYPES, add_block, entry, masked_crc, save, table

from ssl_bench.backbones.readers import checkpoint_files, open_checkpoint, sha256_of_checkpoint
from ssl_bench.errors import CheckpointError

REAL = Path(__file__).parent / "files" / "tensorflow"
SUFFIX = "/.ATTRIBUTES/VARIABLE_VALUE"


@pytest.mark.parametrize("name", ["saver/model.ckpt-7", "saver/model.ckpt-7.index", "saver"])
def test_what_tensorflow_1_saved(name: str) -> None:
    found = open_checkpoint(REAL / name)
    kernel = torch.arange(48.0).reshape(2, 2, 3, 4)
    expected = {
        "base_model/conv2d/kernel": kernel,
        "global_step": torch.tensor(250228),
        "double": torch.tensor([0.1, -1e300], dtype=torch.float64),
        "half": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "brain": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "flags": torch.tensor([True, False, True]),
        "int32": torch.tensor([[1], [-2]], dtype=torch.int32),
        "empty": torch.zeros(0, 3),
    }
    gammas = ["base_model/batch_normalization" + (f"_{i}" if i else "") + "/gamma" for i in range(20)]
    expected |= {gamma: torch.full((4,), i / 8) for i, gamma in enumerate(gammas)}
    same(found, expected)  # not: words


def test_what_tensorflow_2_saved() -> None:
    same(
        open_checkpoint(REAL / "object" / "two-1"),
        {
            f"model/w{SUFFIX}": torch.arange(6.0).reshape(2, 3),
            f"model/part/b{SUFFIX}": torch.tensor([1, 2]),
            f"save_counter{SUFFIX}": torch.tensor(1),
        },
    )


def same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


names = st.lists(st.sampled_from(["conv2d", "conv2d_1", "gamma", "ä", "_", "x" * 200]), min_size=1, max_size=4)
tensors = st.tuples(st.sampled_from(list(TYPES)), st.lists(st.integers(0, 5), max_size=4), st.integers(0, 99))


@settings(deadline=None, max_examples=60)
@given(
    st.dictionaries(names.map("/".join), tensors, min_size=1, max_size=40),
    st.integers(1, 4),
    st.integers(1, 3000),
    st.integers(1, 20),
)
def test_whatever_is_written_is_read(
    drawn: dict[str, tuple[torch.dtype, list[int], int]], shards: int, block: int, restart: int
) -> None:
    expected = {
        name: torch.randn(shape, generator=torch.Generator().manual_seed(seed)).mul(9).to(dtype)
        for name, (dtype, shape, seed) in drawn.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        prefix = Path(folder) / "model.ckpt-3"
        save(prefix, expected, shards=shards, block=block, restart=restart)
        assert len(checkpoint_files(prefix)) == shards + 1
        same({name: tensor.clone() for name, tensor in open_checkpoint(prefix).items()}, expected)


BERT = {
    "bert/embeddings/word_embeddings": (30, 8),
    "bert/embeddings/position_embeddings": (16, 8),
    "bert/embeddings/LayerNorm/gamma": (8,),
    "bert/encoder/layer_0/attention/self/query/kernel": (8, 8),
    "bert/encoder/layer_0/attention/output/LayerNorm/beta": (8,),
    "bert/encoder/layer_11/intermediate/dense/kernel": (8, 32),
    "bert/pooler/dense/bias": (8,),
    "cls/predictions/output_bias": (30,),
    "cls/seq_relationship/output_weights": (2, 8),
}


def test_berts_archive_is_read(tmp_path: Path) -> None:
    expected = {name: torch.randn(shape) for name, shape in BERT.items()}
    index = save(tmp_path / "bert_model.ckpt", expected)
    with zipfile.ZipFile(tmp_path / "uncased_L-12_H-768_A-12.zip", "w") as archive:
        for file in (index, index.with_name("bert_model.ckpt.data-00000-of-00001")):
            archive.write(file, f"uncased_L-12_H-768_A-12/{file.name}")
        archive.writestr("uncased_L-12_H-768_A-12/bert_model.ckpt.meta", b"graph")
        archive.writestr("uncased_L-12_H-768_A-12/vocab.txt", "[PAD]\n")
        archive.writestr("uncased_L-12_H-768_A-12/bert_config.json", "{}")
    same(open_checkpoint(tmp_path / "uncased_L-12_H-768_A-12.zip"), expected)


def test_the_module_deeper_down_is_not_another_checkpoint(tmp_path: Path) -> None:
    """SimCLR's archives hold model.ckpt-225206 and hub/variables/variables."""
    save(tmp_path / "ResNet50_1x" / "model.ckpt-225206", {"w": torch.ones(2)})
    save(tmp_path / "ResNet50_1x" / "hub" / "variables" / "variables", {"w": torch.zeros(2)})
    same(open_checkpoint(tmp_path / "ResNet50_1x"), {"w": torch.ones(2)})
    same(open_checkpoint(tmp_path / "ResNet50_1x" / "hub"), {"w": torch.zeros(2)})


def test_two_steps_in_a_folder_are_named(tmp_path: Path) -> None:
    for step in (1, 2):
        save(tmp_path / f"model.ckpt-{step}", {"w": torch.ones(2)})
    with pytest.raises(CheckpointError, match=r"2 checkpoints \(model\.ckpt-1\.index, model\.ckpt-2\.index\)"):
        open_checkpoint(tmp_path)


def test_a_change_in_memory_stays_there(tmp_path: Path) -> None:
    index = save(tmp_path / "model.ckpt", {"w": torch.ones(300), "x": torch.ones(1)})
    before = sha256_of_checkpoint(index)
    open_checkpoint(index)["w"].zero_()
    assert sha256_of_checkpoint(index) == before


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """A checkpoint of two data files."""
    big = {f"layer_{i}/kernel": torch.randn(20, 20) for i in range(5)}
    return save(tmp_path / "model.ckpt-9", {**big, "layer_0/bias": torch.ones(20), "z": torch.ones(3)}, shards=2)


def refused(path: Path, said: str) -> None:
    with pytest.raises(CheckpointError, match=said):
        open_checkpoint(path)


def test_a_missing_data_file_is_named(written: Path) -> None:
    written.with_name("model.ckpt-9.data-00001-of-00002").unlink()
    refused(written, r"needs 2 data files beside it; model\.ckpt-9\.data-00001-of-00002 is missing")


@pytest.mark.parametrize("part", ["data-00000-of-00002", "meta"])
def test_another_of_its_files_is_no_name_for_it(written: Path, part: str) -> None:
    path = written.with_suffix(f".{part}")
    path.touch()
    refused(path, r"(?s)is one of the several files of a TensorFlow checkpoint.*Give .*model\.ckpt-9\.index")


def test_a_missing_index_is_said_so(written: Path) -> None:
    written.unlink()
    refused(written, "cannot be read: No such file")


@pytest.mark.parametrize("size", [0, 5, 47, 48, 100, -1, -49])
def test_a_cut_index_is_refused(written: Path, size: int) -> None:
    written.write_bytes(written.read_bytes()[:size])
    refused(written, r"model\.ckpt-9\.index .*is damaged or cut off")


@pytest.mark.parametrize("shard", [0, 1])
def test_a_cut_data_file_is_refused(written: Path, shard: int) -> None:
    data = written.with_name(f"model.ckpt-9.data-0000{shard}-of-00002")
    data.write_bytes(data.read_bytes()[:-1])
    refused(written, rf"data-0000{shard}-of-00002 .*is damaged or cut off: .* should end at byte")


def test_the_data_of_another_model_is_refused(written: Path, tmp_path: Path) -> None:
    """Of the same names and shapes, as two runs of one network are."""
    other = {name: tensor + 1 for name, tensor in open_checkpoint(written).items()}
    save(tmp_path / "other" / "model.ckpt-9", other, shards=2)
    shutil.copy(tmp_path / "other" / "model.ckpt-9.index", written)
    refused(written, "has a wrong checksum; is this the data of another checkpoint")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.integers(1, 255))
def test_a_changed_byte_of_the_index_is_refused_or_harmless(at: int, change: int) -> None:
    """Every block has a checksum; the footer's padding has none."""
    expected = {f"layer_{i}/kernel": torch.full((3,), float(i)) for i in range(9)}
    with tempfile.TemporaryDirectory() as folder:
        index = save(Path(folder) / "model.ckpt", expected, block=60)
        content = bytearray(index.read_bytes())
        content[at % len(content)] ^= change
        index.write_bytes(content)
        try:
            found = open_checkpoint(index)
        except CheckpointError:
            return
        same(found, expected)


def rewritten(path: Path, entries: list[tuple[bytes, bytes]]) -> Path:
    path.with_suffix(".data-00000-of-00001").write_bytes(bytes(64))
    path.write_bytes(table(entries, 4096, 16))
    return path


HEADER = (b"", b"\x08\x01\x1a\x02\x08\x01")


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([(b"", b"\x08\x01\x10\x01")], "big-endian"),
        ([(b"", b"")], "does not say how many data files"),
        ([(b"w", b"")], "does not say how many data files"),
        ([HEADER, (b"w", b"\x08\x01\x3a\x00")], "stored in slices"),
        ([HEADER, (b"w", b"\x08\x01\x12\x09\x01")], "message is cut off"),
        ([HEADER, (b"w", b"\x0b")], "field of kind 3"),
        ([HEADER, (b"w", b"\x08\x01\x28\x05")], "of shape .* is said to have 5 bytes"),
        ([HEADER, (b"w", b"\x08\x01\x18\x01\x28\x04")], "said to be in data file 1 of 1"),
        ([HEADER, (b"w", b"\x08\x01\x20\x40\x28\x04")], "should end at byte 68"),
        ([HEADER, (b"w", b"\x08\x01\x28\x04")], "wrong checksum"),
        ([HEADER, (b"w", b"\x08" + b"\xff" * 10 + b"\x01")], "number is too long"),
        ([HEADER, (b"\xff\xfe", b"\x08\x01")], "can't decode"),
    ],
)
def test_an_index_that_says_the_impossible_is_refused(
    entries: list[tuple[bytes, bytes]], said: str, tmp_path: Path
) -> None:
    refused(rewritten(tmp_path / "model.index", entries), said)


def test_compressed_blocks_are_refused(tmp_path: Path) -> None:
    content = bytearray()
    block = bytearray()
    add_block(block, [HEADER, (b"w", entry(torch.zeros(1), 0, 0, bytes(4)))], 16)
    body = bytes(block[:-5]) + b"\1"
    content += body + struct.pack("<I", masked_crc(body))
    index = add_block(content, [(b"w", bytes([0, len(body) - 1]))], 1)
    content += (bytes([0, 0]) + index).ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    path = tmp_path / "model.index"
    path.write_bytes(content)
    refused(path, "its blocks are compressed .*snappy")
