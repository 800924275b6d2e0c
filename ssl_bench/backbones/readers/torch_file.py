"""Files of ``torch.save``, of any age, opened with ``weights_only=True``."""

from __future__ import annotations

import argparse
import codecs
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ssl_bench.backbones.readers import inert, old_torch
from ssl_bench.backbones.readers.problems import damaged, forbidden

_MULTIARRAY = "numpy.{}.multiarray.{}"


def read(path: Path, mmap: bool) -> Any:
    """``mmap``: the tensors stay in the file until they are used (zip files only)."""
    try:
        with torch.serialization.safe_globals(allowed_globals()):
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except pickle.UnpicklingError as error:
        asked = re.search(r"GLOBAL ([\w.]+)", str(error)) or re.search(
            r"([\w]+(?:\.[\w]+)+) was not an allowed", str(error)
        )
        if not mmap and not asked:
            return old_torch.read(path)
        raise (forbidden(path, asked[1]) if asked else damaged(path, error)) from None
    except UnicodeDecodeError as error:  # texts of Python 2
        if not mmap:
            return old_torch.read(path)
        raise damaged(path, error) from None
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, OSError) as error:
        raise damaged(path, error) from None


def allowed_globals() -> list[Any]:
    """What old checkpoints carry beside tensors: the run's arguments, and numpy scalars and arrays.

    All are plain data, or stand-ins that hold none. numpy's functions are listed under the module names of numpy 1 and
    2, since a file names the one that wrote it.
    """
    from numpy._core import multiarray

    functions = [multiarray.scalar, multiarray._reconstruct]
    both = [(f, _MULTIARRAY.format(core, f.__name__)) for f in functions for core in ("core", "_core")]
    dtypes = {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdgFDSU"}
    return [
        argparse.Namespace,
        np.dtype,
        np.ndarray,
        codecs.encode,
        *both,
        *sorted(dtypes, key=str),
        *inert.stand_ins(),
    ]
