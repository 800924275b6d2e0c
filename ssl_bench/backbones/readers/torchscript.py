"""TorchScript archives (OpenAI's CLIP), of which only the tensors are read: the program in ``code/`` is never looked at.

The format (torch/csrc/jit/serialization): a zip file with ``<root>/data.pkl``, one pickled object of a class ``__torch__.*``
for each module, whose state maps the names of its parameters, buffers and submodules to their values; tensors refer to
``<root>/data/<key>``. ``<root>/constants.pkl``, which files of ``torch.save`` do not have, belongs to the program.
"""

from __future__ import annotations

import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ssl_bench.backbones.readers.old_torch import DTYPES
from ssl_bench.backbones.readers.problems import damaged, forbidden

_LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")


def is_one(names: Sequence[str]) -> bool:
    """Whether a zip file with these entries is a TorchScript archive."""
    return any(name.endswith("/constants.pkl") for name in names)


def read(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor under its dotted name (``visual.conv1.weight``), in the type of the file: a flat state dict, and with it
    the tensors that scripted modules keep as plain attributes (CLIP's causal mask).

    Raises :class:`CheckpointError` if ``data.pkl`` names anything but modules, tensors and lists.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            pickled = next(name for name in archive.namelist() if name.endswith("data.pkl"))
            with archive.open(pickled) as file:
                module = _Reader(file, archive, pickled.removesuffix("data.pkl"), path).load()
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        StopIteration,
        OSError,
    ) as error:
        raise damaged(path, error) from None
    if not isinstance(module, _Module):
        raise damaged(path, "its content is no module")
    return _flat(module)


class _Module:
    """Stands for an object of any class of the archive; its state is the mapping that the pickle gives."""

    state: dict[str, Any]

    def __new__(cls, *_: Any) -> _Module:
        module = object.__new__(cls)
        module.state = {}
        return module

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


def _flat(module: _Module) -> dict[str, torch.Tensor]:
    """Tensors by dotted name; a module that stands in two places keeps the first of its names."""
    tensors: dict[str, torch.Tensor] = {}
    waiting, seen = [("", module)], {id(module)}
    while waiting:
        prefix, current = waiting.pop()
        for name, value in current.state.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{prefix}{name}"] = value
            elif isinstance(value, _Module) and id(value) not in seen:
                seen.add(id(value))
                waiting.append((f"{prefix}{name}.", value))
    return tensors


class _Reader(pickle.Unpickler):
    """Calls nothing but what :meth:`find_class` gives it, and that only makes tensors, lists and stand-ins."""

    def __init__(self, file: Any, archive: zipfile.ZipFile, root: str, path: Path) -> None:
        super().__init__(file)
        self.archive, self.root, self.path = archive, root, path
        self.storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "__torch__":
            return _Module
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        if module == "torch.jit._pickle" and name in _LISTS:
            return self._first
        known: dict[str, Any] = {
            "collections.OrderedDict": OrderedDict,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch.jit._pickle.restore_type_tag": self._first,
            "torch.device": self._first,
        }
        if f"{module}.{name}" not in known:
            raise forbidden(self.path, f"{module}.{name}")
        return known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> torch.Tensor:
        """``("storage", type, key, device, elements)`` -> the elements, one after the other."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            raise ValueError(f"it refers to a {kind}")
        if key not in self.storages:
            data = bytearray(self.archive.read(f"{self.root}data/{key}"))
            if len(data) != count * dtype.itemsize:
                raise ValueError(f"a storage has {len(data)} bytes for {count} elements")
            self.storages[key] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self.storages[key]

    def _tensor(self, storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
        return storage.as_strided(size, stride, offset)

    def _first(self, value: Any, *_: Any) -> Any:
        return value
