"""Files of named arrays and nothing else: safetensors and ``.npz``."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from numpy.lib.npyio import NpzFile
from safetensors import SafetensorError
from safetensors.torch import load_file

from ssl_bench.backbones.readers.problems import damaged


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        tensors: dict[str, torch.Tensor] = load_file(path, device="cpu")
    except (SafetensorError, ValueError, OSError) as error:
        raise damaged(path, error) from None
    return tensors


def read_npz(path: Path) -> dict[str, torch.Tensor]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            assert isinstance(arrays, NpzFile)
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    except (ValueError, TypeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise damaged(path, error) from None
