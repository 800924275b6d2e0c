"""Trying what a stranger's model offers: it has it, it does not, or it has it and it is broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch

from ssl_bench.backbones.preflight import Finding
from ssl_bench.errors import SslBenchError

T = TypeVar("T")
BATCH_TOLERANCE = 1e-3
"""Largest difference that another batch size may make, relative to the largest value: the order of sums differs."""


class NotOffered(Exception):
    """The model does not have what was asked for; the message says why."""


class Broken(Exception):
    """It has it, and it is not what the contract says; the message says exactly what is wrong."""


@dataclass(frozen=True)
class Size:
    """Of an image in pixels."""

    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.height} x {self.width}"


def attempt(what: str, test: Callable[[], str]) -> Finding:
    """``test`` says what it found, or raises :class:`NotOffered`, :class:`Broken` or whatever a model's code raises."""
    try:
        with torch.inference_mode():
            return Finding(what, None, test())
    except NotOffered as error:
        return Finding(what, None, str(error), offered=False)
    except Broken as error:
        return Finding(what, str(error))
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises is the finding
        return Finding(what, f"{type(error).__name__}: {error}")


def ask(offer: Callable[[], T]) -> T:
    """What an optional part of the contract gives. :class:`SslBenchError` is how it says that it is not there."""
    try:
        return offer()
    except (SslBenchError, NotImplementedError) as error:
        raise NotOffered(str(error).partition("\n")[0]) from error


def tensor(found: object, what: str, shape: tuple[int | None, ...], why: str = "") -> torch.Tensor:
    """``found``, if it is a finite tensor of this shape (None: any length); ``why`` follows the message."""
    if not isinstance(found, torch.Tensor):
        raise Broken(f"{what} is a {type(found).__name__}, not a tensor")
    same = found.ndim == len(shape) and all(want in {None, have} for have, want in zip(found.shape, shape, strict=True))
    if not same:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise Broken(f"{what} is {tuple(found.shape)}, not ({wanted}){why}")
    if not bool(torch.isfinite(found).all()):
        share = float((~torch.isfinite(found)).float().mean())
        raise Broken(f"{what} is not finite ({share:.0%} of its values)")
    return found


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """Largest difference, relative to the largest value."""
    scale = one.float().abs().max().clamp_min(1e-6)
    return float((one.float() - other.float()).abs().max() / scale)
