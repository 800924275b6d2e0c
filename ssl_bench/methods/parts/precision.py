"""Losses in full precision, whatever the precision of the network."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

P = ParamSpec("P")
T = TypeVar("T")


def in_float32(loss: Callable[P, T]) -> Callable[P, T]:
    """The function with its low-precision tensors as float32 and without autocast, which would round products again."""

    @wraps(loss)
    def full(*args: Any, **kwargs: Any) -> Any:
        device = next(value.device.type for value in args if isinstance(value, torch.Tensor))
        with torch.autocast(device, enabled=False):
            return loss(*map(_wide, args), **{name: _wide(value) for name, value in kwargs.items()})

    return full


def _wide(value: Any) -> Any:
    return (
        value.float() if isinstance(value, torch.Tensor) and value.dtype in (torch.bfloat16, torch.float16) else value
    )
