"""Files that carry objects of the authors' classes: they open, nothing of those objects is run, and others are refused."""

from __future__ import annotations

import argparse
import importlib
import os
import pathlib
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ssl_bench.backbones.readers import open_checkpoint
from ssl_bench.backbones.readers.inert import Inert
from ssl_bench.errors import CheckpointError

WEIGHTS = {"conv1.weight": torch.arange(12.0).reshape(3, 4)[:, 1:], "steps": torch.tensor(7)}


SOURCES = {
    "yacs.config": """
class CfgNode(dict):
    def __init__(self, items):
        super().__init__(items)
        self.__dict__["__immutable__"] = False
        self.__dict__["__renamed_keys__"] = {"old"}

    def __setstate__(self, state):
        raise AssertionError("code of the file's class was run")
""",
    "lib.alias_multinomial": """
import torch

class AliasMethod:
    def __init__(self):
        self.prob, self.alias = torch.rand(5), torch.zeros(5, dtype=torch.long)
""",
    "lib.NCEAverage": """
import torch
from lib.alias_multinomial import AliasMethod

class _Backend:
    def __reduce__(self):
        from torch.nn.backends import thnn

        return thnn._get_thnn_function_backend, ()

class NCEAverage(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.nLem = 5
        self.multinomial = AliasMethod()
        self._backend = _Backend()
        self.scale = torch.nn.Parameter(torch.ones(2))
        self.register_buffer("memory", torch.rand(5, 4))

    def __setstate__(self, state):
        raise AssertionError("code of the file's class was run")

class Other(NCEAverage):
    pass
""",
    "lib.LinearAverage": """
from lib.NCEAverage import NCEAverage

class LinearAverage(NCEAverage):
    pass
""",
}
"""Modules that are not installed here, with what the pickles of their classes name."""


class Foreign:
    """Makes objects of classes of these modules; :meth:`save` leaves no module behind."""

    def __init__(self, folder: Path) -> None:
        for module, source in SOURCES.items():
            file = folder.joinpath(*module.split(".")).with_suffix(".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source)
        self.folder = folder

    def make(self, dotted: str, *arguments: Any) -> Any:
        module, _, name = dotted.rpartition(".")
        return getattr(importlib.import_module(module), name)(*arguments)

    def save(self, content: dict[str, Any], new: bool) -> Path:
        """``new``: the zip format of torch 1.6; otherwise the one before, which quotes the source of modules."""
        path = self.folder / "official.pth"
        torch.save(content, path, _use_new_zipfile_serialization=new)
        for module in [m for m in sys.modules if m.partition(".")[0] in {"lib", "yacs"}]:
            del sys.modules[module]
        return path


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Foreign:
    monkeypatch.syspath_prepend(tmp_path)
    return Foreign(tmp_path)


BANK = "lib.NCEAverage.NCEAverage"
both = pytest.mark.parametrize("new", [True, False], ids=["zip", "old"])


def check(opened: Any) -> None:
    for name, tensor in WEIGHTS.items():
        assert torch.equal(opened["state_dict"][name], tensor)


@both
def test_yacs_configuration(new: bool, foreign: Foreign) -> None:
    """SimMIM's ``config``; its items stay readable."""
    model = foreign.make("yacs.config.CfgNode", {"TYPE": "swin", "DEPTHS": [2, 2]})
    config = foreign.make("yacs.config.CfgNode", {"MODEL": model})
    opened = open_checkpoint(foreign.save({"state_dict": WEIGHTS, "config": config}, new))
    check(opened)
    assert opened["config"]["MODEL"]["DEPTHS"] == [2, 2]


@both
@pytest.mark.parametrize("name", [BANK, "lib.LinearAverage.LinearAverage"])
def test_lemniscate(name: str, new: bool, foreign: Foreign) -> None:
    """A whole module. In an old file its class comes with its file and source, which weights_only refuses."""
    content = {"epoch": 200, "arch": "resnet18", "state_dict": WEIGHTS, "lemniscate": foreign.make(name), "best": 0.4}
    path = foreign.save(content, new)
    assert all(word in path.read_bytes() for word in (b"_get_thnn_function_backend", b"AliasMethod"))
    assert new or f"class {name.rpartition('.')[2]}(".encode() in path.read_bytes()
    opened = open_checkpoint(path)
    check(opened)
    assert (type(opened["lemniscate"]), opened["arch"], opened["best"]) == (Inert, "resnet18", 0.4)


def test_tensors_of_files_with_a_whole_module(foreign: Foreign) -> None:
    """Our reader gives the tensors that torch gave."""
    whole = torch.randn(4, 6)
    tensors = {
        "parameter": nn.Parameter(torch.randn(3, 2)),
        "column": whole[:, 2],
        "transposed": whole.t(),
        **{str(d): torch.arange(3).to(d) for d in (torch.float64, torch.float16, torch.int32, torch.uint8, torch.bool)},
    }
    path = foreign.save({"bank": foreign.make(BANK), "t": tensors, "args": argparse.Namespace(lr=1)}, new=False)
    opened = open_checkpoint(path)["t"]
    for name, tensor in tensors.items():
        assert opened[name].dtype == tensor.dtype
        assert torch.equal(opened[name], tensor)


@both
def test_paths_in_the_arguments(new: bool, foreign: Foreign) -> None:
    args = argparse.Namespace(output_dir=pathlib.PosixPath("/checkpoint/run"), lr=0.1)
    opened = open_checkpoint(foreign.save({"state_dict": WEIGHTS, "args": args}, new))
    check(opened)
    assert opened["args"].lr == 0.1


def test_python_2(tmp_path: Path) -> None:
    """RotNet's files: texts are bytes there, short and long ones pickled differently."""
    note = b"\xe9" * 300
    pickled = b"\x80\x02}q\x00(U\x05epochq\x01K2U\x04noteq\x02T" + len(note).to_bytes(4, "little") + note + b"u."
    facts = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"int": 4}}
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, facts))
    path = tmp_path / "model_net_epoch50"
    path.write_bytes(head + pickled + pickle.dumps([], 2))
    assert open_checkpoint(path) == {"epoch": 50, "note": "é" * 300}
    path.write_bytes(head + b"\x80\x02}q\x00U\x04noteq\x02U\x02\xe9\xe9s." + pickle.dumps([], 2))
    assert open_checkpoint(path) == {"note": "éé"}


class _Attack:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.system, (f"touch '{self.target}'",)


@both
@pytest.mark.parametrize("listed", ["yacs.config.CfgNode", BANK])
def test_a_malicious_object_in_a_listed_one(listed: str, new: bool, foreign: Foreign) -> None:
    target = foreign.folder / "attacked"
    if listed == BANK:
        thing = foreign.make(BANK)
        thing.more = _Attack(target)
    else:
        thing = foreign.make(listed, {"more": _Attack(target)})
    path = foreign.save({"state_dict": WEIGHTS, "config": thing}, new)
    with pytest.raises(CheckpointError, match=r"was not opened: it asks to run (posix\.)?system"):
        open_checkpoint(path)
    assert not target.exists()


@both
def test_another_class_is_refused_by_its_name(new: bool, foreign: Foreign) -> None:
    path = foreign.save({"state_dict": WEIGHTS, "lemniscate": foreign.make("lib.NCEAverage.Other")}, new)
    with pytest.raises(CheckpointError, match=r"asks to run lib\.NCEAverage\.Other"):
        open_checkpoint(path)


def test_a_pickle_cannot_change_the_stand_ins(tmp_path: Path) -> None:
    """BUILD with a pair of states sets attributes of whatever is on the stack: here of the class itself."""
    facts = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    change = b"}(U\x0c__setstate__ccollections\nOrderedDict\nu"
    for named in (
        b"clib.NCEAverage\nNCEAverage\n",
        b"ctorch._utils\n_rebuild_tensor_v2\n",
        b"ccollections\nOrderedDict\n",
    ):
        path = tmp_path / "bad.pth"
        path.write_bytes(facts + b"\x80\x02" + named + b"N" + change + b"\x86b." + pickle.dumps([], 2))
        with pytest.raises(CheckpointError, match="damaged"):
            open_checkpoint(path)
    assert not hasattr(type(Inert()), "OrderedDict")
    assert Inert.__setstate__ is vars(Inert)["__setstate__"]


@pytest.mark.parametrize("keep", [0.3, 0.8, 0.99])
def test_a_cut_off_old_file_is_refused(keep: float, foreign: Foreign) -> None:
    path = foreign.save({"state_dict": WEIGHTS, "lemniscate": foreign.make(BANK)}, new=False)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    with pytest.raises(CheckpointError, match="damaged"):
        open_checkpoint(path)
