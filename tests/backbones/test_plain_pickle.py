"""Pickles that torch did not write: arrays and containers come out, and whatever else a pickle asks for is refused."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ssl_bench.backbones.readers import open_checkpoint
from ssl_bench.errors import CheckpointError

REAL = Path(__file__).parent / "files" / "byol_tiny.pkl"
"""Written by dill, Haiku, optax and JAX themselves: ``files/make_byol.py``."""


def test_what_dill_haiku_and_jax_wrote() -> None:
    content = open_checkpoint(REAL)
    state = content["experiment_state"]
    assert list(content) == ["experiment_state", "step", "rng"]
    assert list(state) == ["online_params", "target_params", "online_state", "target_state", "opt_state"]
    assert torch.equal(content["rng"].to(torch.int64), torch.tensor([0, 1]))  # a JAX array; the rest are numpy's
    first = state["online_params"]["res_net50/~/initial_conv"]["w"]
    assert (first.shape, first.dtype) == ((7, 7, 3, 1), torch.float32)
    assert state["online_state"]["res_net50/~/initial_batchnorm/~/mean_ema"]["counter"].item() == 2
    decay, lars, rest = state["opt_state"]
    assert (decay, rest, list(lars["mu"]["classifier"])) == ({}, {}, ["b", "w"])


def test_the_real_file_names_nothing_unexpected() -> None:
    """The names in it are dill's and JAX's own functions: a reader made from the formats' description alone refuses it."""
    found = {argument for opcode, argument, _ in pickletools.genops(REAL.read_bytes()) if opcode.name == "GLOBAL"}
    assert {"dill._dill _create_namedtuple", "dill._dill _create_array", "jax._src.array _reconstruct_array"} < found


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
def test_every_kind_of_array(protocol: int, core: bytes, tmp_path: Path) -> None:
    arrays: dict[str, Any] = {
        kind: np.arange(6).reshape(2, 3).astype(kind)
        for kind in ("<f4", ">f4", "f2", "f8", "i1", "u1", "<i8", ">i4", "?")
    }
    arrays |= {"fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "empty": np.zeros((0, 3)), "0d": np.array(3)}
    pickled = pickle.dumps(
        {**arrays, "number": np.float32(2.5), "same": arrays["f8"], "plain": (1, None, [True, "a"])}, protocol
    )
    if protocol < 4:  # names are followed by a line feed; in protocol 4 their length stands before them
        pickled = pickled.replace(b"numpy._core", core)
    (tmp_path / "arrays.pkl").write_bytes(pickled)
    opened = open_checkpoint(tmp_path / "arrays.pkl")
    for name, array in arrays.items():
        np.testing.assert_array_equal(opened[name].numpy(), array)
    assert (opened["number"], opened["plain"]) == (2.5, (1, None, [True, "a"]))
    assert opened["same"] is opened["f8"]


def program(*parts: bytes) -> bytes:
    return b"\x80\x02" + b"".join(parts) + b"."


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def call(name: str, *arguments: bytes) -> bytes:
    """``module.function(arguments)``."""
    module, _, function = name.rpartition(".")
    return b"c" + f"{module}\n{function}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def test_bfloat16(tmp_path: Path) -> None:
    """As ml_dtypes pickles it: the type is a class of its own; 1.5 and -2 in 16 bits."""
    kind = (
        b"cnumpy\ndtype\n(cml_dtypes\nbfloat16\n\x89\x88tR"
        + b"(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    data = call("_codecs.encode", text(struct.pack("<HH", 0x3FC0, 0xC000).decode("latin1")), text("latin1"))
    array = call(
        "numpy.core.multiarray._reconstruct",
        b"cnumpy\nndarray\n",
        b"K\x00\x85",
        call("_codecs.encode", text("b"), text("latin1")),
    )
    path = tmp_path / "half.pkl"
    path.write_bytes(program(array, b"(K\x01", b"K\x02\x85", kind, b"\x89", data, b"tb"))
    assert torch.equal(open_checkpoint(path), torch.tensor([1.5, -2.0], dtype=torch.bfloat16))


TOUCH = "touch '{target}'"
ATTACKS = {
    "os.system": lambda cmd: call("os.system", text(cmd)),
    "posix.system": lambda cmd: call("posix.system", text(cmd)),
    "builtins.eval": lambda cmd: call("builtins.eval", text(f"__import__('os').system({cmd!r})")),
    "__builtin__.exec": lambda cmd: call("__builtin__.exec", text(f"__import__('os').system({cmd!r})")),
    "builtins.getattr": lambda cmd: call("builtins.getattr", b"cos\n\n", text("system")),
    "subprocess.Popen": lambda cmd: call("subprocess.Popen", text(cmd)),
    "dill._dill._create_type": lambda cmd: call("dill._dill._create_type", text("type"), text("A")),
    "dill._dill._load_type": lambda cmd: call("dill._dill._load_type", text("CodeType")),
    "dill._dill._create_function": lambda cmd: call("dill._dill._create_function"),
    "dill._dill._import_module": lambda cmd: call("dill._dill._import_module", text("os")),
    "numpy.load": lambda cmd: call("numpy.load", text(cmd)),
    "numpy.core.multiarray.fromfile": lambda cmd: call("numpy.core.multiarray.fromfile", text(cmd)),
    "torch.load": lambda cmd: call("torch.load", text(cmd)),
    "optax.apply_updates": lambda cmd: call("optax.apply_updates"),
    "optax.os.SystemState": lambda cmd: call("optax.os.SystemState"),
    "byol.byol_experiment.ByolExperiment": lambda cmd: call("byol.byol_experiment.ByolExperiment"),
    "haiku._src.data_structures.to_dict": lambda cmd: call("haiku._src.data_structures.to_dict"),
    "jax._src.array.ArrayImpl": lambda cmd: call("jax._src.array.ArrayImpl"),
    "nested.os.system": lambda cmd: call(
        "haiku._src.data_structures.FlatMapping", b"}" + text("a") + call("os.system", text(cmd)) + b"s"
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_asks_to_run_something_is_refused(name: str, tmp_path: Path) -> None:
    target, path = tmp_path / "attacked", tmp_path / "bad.pkl"
    attack = ATTACKS[name](TOUCH.format(target=target))
    path.write_bytes(program(b"}", text("step"), attack, b"s"))
    with pytest.raises(CheckpointError, match=f"was not opened: it asks to run {name.removeprefix('nested.')}"):
        open_checkpoint(path)
    assert not target.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_objects_of_any_class_are_refused(protocol: int, tmp_path: Path) -> None:
    """The same through pickle's own writer, which uses other opcodes in each protocol."""

    class Attack:
        def __reduce__(self) -> Any:
            return os.system, (f"touch '{tmp_path / 'attacked'}'",)

    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"x": [Attack()]}, protocol))
    with pytest.raises(CheckpointError, match=r"it asks to run \w+\.system"):
        open_checkpoint(tmp_path / "bad.pkl")
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"x": np.array([Attack()], dtype=object)}, protocol))
    with pytest.raises(CheckpointError, match=r"it asks to run|only numbers"):
        open_checkpoint(tmp_path / "bad.pkl")
    assert not (tmp_path / "attacked").exists()


HUGE = (1 << 40).to_bytes(8, "little")
MAPPING = b"chaiku._src.data_structures\nFlatMapping\n"
CLASS = b"cbyol.utils.optimizers\nScaleByLarsState\n"
BROKEN = {
    "a text longer than the file": b"\x8d" + HUGE + b"a",
    "bytes longer than the file": b"\x8e" + HUGE + b"a",
    "a byte array, which nobody writes": b"\x96" + HUGE + b"a",
    "a frame longer than the file": b"\x95" + HUGE,
    "an extension": b"\x82\x01",
    "a persistent name": b"Pname\n",
    "a state set on a name": MAPPING + b"}" + text("__code__") + b"K\x01sb",
    "attributes set on a class": CLASS + b"N}" + text("__new__") + MAPPING + b"s\x86b",
    "a function as the content": MAPPING,
    "a list that holds itself": b"]q\x00h\x00a",
    "lists without end": b"]" * 100 + b"a" * 99,
    "a mapping made of a number": MAPPING + b"K\x01\x85R",
    "a named tuple with too few fields": b"cbyol.byol_experiment\n_ByolExperimentState\nK\x01\x85\x81",
    "a set": b"\x8f",
    "an array of objects": call("numpy.dtype", text("O8"), b"\x89", b"\x88"),
    "an array of text": call("numpy.dtype", text("S3"), b"\x89", b"\x88"),
    "text in another encoding": call("_codecs.encode", text("a"), text("rot13")),
    "nothing on the stack": b"R",
}


@pytest.mark.parametrize("what", BROKEN)
def test_whatever_makes_no_sense_is_damaged(what: str, tmp_path: Path) -> None:
    (tmp_path / "bad.pkl").write_bytes(program(BROKEN[what]))
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        open_checkpoint(tmp_path / "bad.pkl")
    open_checkpoint(REAL)  # and nothing was changed by it


def test_one_reference_used_a_thousandfold_is_no_bomb(tmp_path: Path) -> None:
    """2^64 numbers for whoever follows every reference; and many copies of one piece of the file."""
    doubled = b"0]h\x00ah\x00aq\x00"  # a list that holds the last one twice, in its place
    (tmp_path / "nested.pkl").write_bytes(program(b"]K\x01aq\x00" + 63 * doubled))
    assert isinstance(open_checkpoint(tmp_path / "nested.pkl"), list)
    many = b"]" + text("x" * 1000) + b"q\x0000" + b"]" + (b"c_codecs\nencode\n(h\x00" + text("latin1") + b"tRa") * 200
    (tmp_path / "copies.pkl").write_bytes(program(many))
    with pytest.raises(CheckpointError, match="unpacks to more than its size"):
        open_checkpoint(tmp_path / "copies.pkl")


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.7, 0.999])
def test_cut_off(keep: float, tmp_path: Path) -> None:
    whole = REAL.read_bytes()
    (tmp_path / "cut.pkl").write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(CheckpointError, match="damaged or cut off"):
        open_checkpoint(tmp_path / "cut.pkl")
