"""numpy arrays as pickles hold them, rebuilt from their bytes by this file alone: numpy's own functions are not called
by a pickle."""

from __future__ import annotations

import math
import pickle
import re
from typing import Any

import numpy as np
import torch


class PickledType:
    """Stands in for ``numpy.dtype``: takes what ``dtype.__reduce__`` gives, and only numbers (no objects, no records)."""

    def __init__(self, kind: Any, *_: Any) -> None:
        if not isinstance(kind, str) or not re.fullmatch(r"bfloat16|b1|[iu][1248]|f[248]|c8|c16", kind):
            raise pickle.UnpicklingError(f"arrays of {kind!r} are not read, only numbers")
        self.kind, self.order = kind, "<"

    def __setstate__(self, state: Any) -> None:
        """``(version, byte order, sub-array, names, fields, ...)``."""
        if not isinstance(state, tuple) or len(state) < 5 or state[1] not in {"<", ">", "|", "="}:
            raise pickle.UnpicklingError(f"the type of an array has the state {state!r:.80}")
        if self.kind != "bfloat16" and any(part is not None for part in state[2:5]):
            raise pickle.UnpicklingError("arrays of records are not read, only numbers")
        self.order = ">" if state[1] == ">" else "<"

    @property
    def numpy(self) -> np.dtype[Any]:
        """The type in which numpy reads the bytes; bfloat16 as 16 bits."""
        return np.dtype(self.order + ("i2" if self.kind == "bfloat16" else self.kind))


class PickledArray:
    """Stands in for ``numpy.ndarray``: its bytes, until :meth:`tensor` copies them."""

    def __init__(self) -> None:
        self.shape: tuple[int, ...] = (0,)
        self.kind = PickledType("f4")
        self.fortran, self.data = False, b""

    def __setstate__(self, state: Any) -> None:
        """``(version, shape, dtype, whether in Fortran order, bytes)``, the version left out by old numpy."""
        if not isinstance(state, tuple) or len(state) not in {4, 5}:
            raise pickle.UnpicklingError(f"an array has the state {state!r:.80}")
        shape, kind, fortran, data = state[-4:]
        sides = isinstance(shape, tuple) and all(type(side) is int and side >= 0 for side in shape)
        if not sides or not isinstance(kind, PickledType) or not isinstance(data, bytes):
            raise pickle.UnpicklingError("an array's state is not shape, type, order and bytes")
        if math.prod(shape) * kind.numpy.itemsize != len(data):
            raise pickle.UnpicklingError(f"an array of shape {shape} has {len(data)} bytes")
        self.shape, self.kind, self.fortran, self.data = shape, kind, bool(fortran), data

    def tensor(self) -> torch.Tensor:
        flat = np.frombuffer(self.data, self.kind.numpy)
        array = flat.reshape(self.shape, order="F" if self.fortran else "C")
        native = np.array(array, dtype=self.kind.numpy.newbyteorder("="), order="C")
        return (
            torch.from_numpy(native).view(torch.bfloat16) if self.kind.kind == "bfloat16" else torch.from_numpy(native)
        )


def number(kind: Any, data: Any) -> Any:
    """Stands in for ``numpy.core.multiarray.scalar``: a plain Python number."""
    if not isinstance(kind, PickledType) or not isinstance(data, bytes) or len(data) != kind.numpy.itemsize:
        raise pickle.UnpicklingError("a numpy number's state is not type and bytes")
    array = PickledArray()
    array.__setstate__(((), kind, False, data))
    return array.tensor().item()
