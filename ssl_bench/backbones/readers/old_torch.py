"""Files of torch before 1.6 that ``weights_only=True`` cannot read although they are harmless.

Such a file names the class, and quotes the source, of every module pickled as a whole (lemniscate's memory bank); and
under Python 2 texts were pickled in a way that torch's reader does not know. The format (torch/serialization.py,
``_legacy_save``): five pickles (a magic number, the protocol, facts about the machine, the object, the keys of its
storages), then for each key the number of elements in 8 bytes and the elements themselves.
"""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from ssl_bench.backbones.readers import inert
from ssl_bench.backbones.readers.problems import damaged, forbidden

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001

DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "BFloat16Storage": torch.bfloat16,
}
"""What a storage of each type in a pickle holds."""


def is_one(head: bytes) -> bool:
    """Whether a pickle that begins with these bytes was written by torch: its first object is torch's magic number."""
    return _MAGIC.to_bytes(10, "little") in head


def read(path: Path) -> Any:
    """The content of the file: tensors, plain values, and nothing of any object but the arguments of the run.

    Raises :class:`CheckpointError` if the file names anything but what is listed here and in ``inert.KNOWN``.
    """
    try:
        with open(path, "rb") as file:
            head = [_Reader(file, path).load() for _ in range(3)]
            if head[:2] != [_MAGIC, _PROTOCOL]:
                raise ValueError("it does not begin as files of torch do")
            reader = _Reader(file, path)
            content = reader.load()
            for key in _Reader(file, path).load():
                _fill(reader.storages[key], file)
        return content
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
    ) as error:
        raise damaged(path, error) from None
    except (OSError, struct.error) as error:
        raise damaged(path, error) from None


def _fill(storage: torch.Tensor, file: BinaryIO) -> None:
    (count,) = struct.unpack("<q", file.read(8))
    if count != storage.numel():
        raise ValueError(f"a storage has {count} instead of {storage.numel()} elements")
    if file.readinto(storage.view(torch.uint8).numpy()) != storage.nbytes:  # type: ignore[attr-defined]
        raise EOFError("it ends within a tensor")


class _Reader(pickle.Unpickler):
    """Calls nothing but what :meth:`find_class` gives it, and that only makes tensors, mappings and stand-ins.

    Its functions are bound methods, and its classes unchangeable: a pickle can set attributes of neither.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        super().__init__(file, encoding="latin1")
        self.path, self.storages = path, dict[str, torch.Tensor]()

    def find_class(self, module: str, name: str) -> Any:
        known: dict[str, Callable[..., Any]] = {
            **inert.KNOWN,
            "__builtin__.set": set,
            "collections.OrderedDict": OrderedDict,
            "argparse.Namespace": inert.Inert,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_parameter": self._parameter,
        }
        if module in {"torch", "torch.cuda"} and name in DTYPES:
            return DTYPES[name]
        if f"{module}.{name}" not in known:
            raise forbidden(self.path, f"{module}.{name}")
        return known[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> Any:
        """``("storage", type, key, device, elements, view)``, or ``("module", class, file, source)``: the class."""
        kind, *rest = pid
        if kind == "module":
            return rest[0]
        if kind != "storage":
            raise ValueError(f"it refers to a {kind}")
        dtype, key, _, count, view = rest
        if key not in self.storages:
            if count * dtype.itemsize > self.path.stat().st_size:
                raise ValueError("a tensor is larger than the file")
            self.storages[key] = torch.empty(count, dtype=dtype)
        storage = self.storages[key]
        return storage if view is None else storage[view[1] : view[1] + view[2]]

    def _tensor(self, storage: torch.Tensor, offset: int, size: Any, stride: Any, *_: Any) -> torch.Tensor:
        return storage.as_strided(size, stride, storage.storage_offset() + offset)

    def _parameter(self, data: torch.Tensor, *_: Any) -> torch.Tensor:
        return data
