"""Pickles that torch did not write (BYOL's, made with dill and JAX): numbers and containers come out, nothing is run.

A pickle is a program that may call any function of any module that it names. Here each name that it may use stands for a
function of this package that only puts data together; any other name stops the reading before anything is called.
Neither JAX, Haiku, optax nor dill are needed.
"""

from __future__ import annotations

import pickle
import re
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any, ClassVar

from ssl_bench.backbones.readers.pickled_arrays import PickledArray, PickledType, number
from ssl_bench.backbones.readers.problems import damaged, forbidden

_DEPTH, _FIELDS = 64, 64
_BROKEN = (pickle.UnpicklingError, EOFError, ValueError, LookupError, TypeError, AttributeError, OSError, struct.error)
_UNUSED = ("BYTEARRAY8", "NEXT_BUFFER", "READONLY_BUFFER", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID")


def read(path: Path) -> Any:
    """Mappings, lists, tuples, plain values and tensors. Named tuples come out as mappings of their fields.

    Raises :class:`ssl_bench.errors.CheckpointError` for a file that is cut off or asks for anything else.
    """
    try:
        with open(path, "rb") as file:
            size = path.stat().st_size
            content = _Pickle(path, file, size).load()
        return _Plain(size).convert(content, 0)
    except (*_BROKEN, MemoryError, OverflowError, RecursionError) as error:
        raise damaged(path, error) from None


def _record(*fields: str) -> type:
    """Stands in for a class of named tuples: ``Class(values...)`` is a mapping of field (else position) to value."""

    def new(cls: type, *values: Any) -> dict[str, Any]:
        if len(values) > _FIELDS or (fields and len(values) != len(fields)):
            raise pickle.UnpicklingError(f"a named tuple has {len(values)} values")
        return dict(zip(fields or map(str, range(len(values))), values, strict=True))

    return type("Record", (), {"__new__": new, "__slots__": ()})


def _mapping(content: Any = None) -> dict[Any, Any]:
    """Stands in for Haiku's ``FlatMapping`` and ``frozendict``."""
    if content is not None and type(content) is not dict:
        raise pickle.UnpicklingError(f"a mapping is made of a {type(content).__name__}")
    return {} if content is None else content


def _array(*_: Any) -> PickledArray:
    """Stands in for numpy's ``_reconstruct(class, shape, type)``, whose values are set afterwards."""
    return PickledArray()


def _whole_array(make: Any, arguments: Any, state: Any, *_: Any) -> PickledArray:
    """Stands in for the functions of JAX and dill that are to call numpy's, then to set the values."""
    array = PickledArray()
    array.__setstate__(state)
    return array


def _named_tuple(name: Any, fields: Any, *_: Any) -> type:
    """Stands in for dill's ``_create_namedtuple(name, fields, module)``."""
    if not isinstance(fields, tuple) or len(fields) > _FIELDS or not all(isinstance(field, str) for field in fields):
        raise pickle.UnpicklingError(f"a named tuple has the fields {fields!r:.80}")
    return _record(*fields)


def _no_bytes() -> bytes:
    """Stands in for ``bytes``, which protocol 2 calls for bytes without any."""
    return b""


_NAMES: Mapping[tuple[str, str], Any] = {
    ("__builtin__", "bytes"): _no_bytes,
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): PickledType,
    ("numpy.core.multiarray", "_reconstruct"): _array,  # numpy 1
    ("numpy.core.multiarray", "scalar"): number,
    ("numpy._core.multiarray", "_reconstruct"): _array,  # numpy 2
    ("numpy._core.multiarray", "scalar"): number,
    ("ml_dtypes", "bfloat16"): "bfloat16",
    ("jaxlib.xla_extension", "bfloat16"): "bfloat16",
    ("jax._src.array", "_reconstruct_array"): _whole_array,
    ("jax._src.device_array", "reconstruct_device_array"): _whole_array,
    ("dill._dill", "_create_array"): _whole_array,
    ("dill._dill", "_create_namedtuple"): _named_tuple,
    ("haiku._src.data_structures", "FlatMapping"): _mapping,
    ("haiku._src.data_structures", "frozendict"): _mapping,
    ("byol.byol_experiment", "_ByolExperimentState"): _record(
        "online_params", "target_params", "online_state", "target_state", "opt_state"
    ),
    ("byol.utils.optimizers", "ScaleByLarsState"): _record("mu"),
    ("byol.utils.optimizers", "AddWeightDecayState"): _record(),
}
_OPTAX = re.compile(r"optax(\._src\.\w+)?")


class _Pickle(pickle._Unpickler):
    """Python's unpickler (the one in Python: a file cannot make it reserve memory that the file does not fill)."""

    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, path: Path, file: IO[bytes], size: int) -> None:
        super().__init__(_Bounded(file, size))
        self._path, self._left = path, size

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return self._encode
        if (module, name) in _NAMES:
            return _NAMES[module, name]
        if _OPTAX.fullmatch(module) and re.fullmatch(r"\w+State", name):
            return _record()
        raise forbidden(self._path, f"{module}.{name}")

    def _encode(self, text: Any, encoding: Any) -> bytes:
        """Stands in for ``_codecs.encode``, by which protocol 2 writes bytes; never more of them than the file has."""
        if not isinstance(text, str) or encoding not in {"latin1", "latin-1"}:
            raise pickle.UnpicklingError("bytes are not written as text in latin1")
        self._left -= len(text)
        if self._left < 0:
            raise pickle.UnpicklingError("it unpacks to more than its size")
        return text.encode("latin1")

    def _build(self) -> None:
        """Only arrays and their types have a state: it cannot be set on anything else, least of all on the names above."""
        state = self.stack.pop()  # type: ignore[attr-defined]
        made = self.stack[-1]  # type: ignore[attr-defined]
        if not isinstance(made, (PickledArray, PickledType)):
            raise pickle.UnpicklingError(f"it sets the state of a {type(made).__name__}")
        made.__setstate__(state)

    dispatch[pickle.BUILD[0]] = _build
    for _code in _UNUSED:
        dispatch.pop(getattr(pickle, _code)[0])


class _Bounded:
    """A file that refuses to read more than it holds before any memory is reserved."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._read, self._size = file.read, size
        self.readline: Callable[[], bytes] = file.readline

    def read(self, count: int) -> bytes:
        if count > self._size:
            raise EOFError("the pickle is cut off")
        return self._read(count)


class _Plain:
    """Arrays -> tensors, all through containers; each object once, however often the pickle refers to it."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._done: dict[int, Any] = {}
        self._open: set[int] = set()

    def convert(self, value: Any, depth: int) -> Any:
        if value is None or type(value) in {bool, int, float, complex, str, bytes}:
            return value
        if id(value) in self._open or depth > _DEPTH:
            raise pickle.UnpicklingError("its containers contain themselves, or are nested without end")
        if id(value) not in self._done:
            self._open.add(id(value))
            self._done[id(value)] = self._make(value, depth + 1)
            self._open.remove(id(value))
        return self._done[id(value)]

    def _make(self, value: Any, depth: int) -> Any:
        if isinstance(value, PickledArray):
            self._left -= len(value.data)
            if self._left < 0:
                raise pickle.UnpicklingError("it unpacks to more than its size")
            return value.tensor()
        if type(value) is dict:
            return {self.convert(key, depth): self.convert(inner, depth) for key, inner in value.items()}
        if type(value) in {list, tuple}:
            return type(value)(self.convert(inner, depth) for inner in value)
        raise pickle.UnpicklingError(f"it holds a {type(value).__name__}, which is neither a number nor a container")
