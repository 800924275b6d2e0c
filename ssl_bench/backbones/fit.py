"""Does a file fit a network? Answered by names and shapes, on a network that takes no memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones import archs
from ssl_bench.backbones.layouts import Layout, convert
from ssl_bench.backbones.layouts.match import check_heads, problems_of
from ssl_bench.errors import CheckpointError


@dataclass(frozen=True)
class Fit:
    """``good`` of the network's ``total`` tensors are in the file with the right shape; ``given``: how many tensors the
    layout takes from the file. ``problems`` is empty where everything fits; where all tensors are good and there is one,
    it is the number of heads."""

    problems: tuple[str, ...]
    good: int
    total: int
    given: int

    @property
    def share(self) -> float:
        """1: every tensor of network and file has found the other; 0: none has."""
        return self.good / max(self.total, self.given, 1)


def skeleton(arch: str, arch_args: Mapping[str, Any] | None = None) -> nn.Module:
    """The network on the meta device, made once: names and shapes without values."""
    return _skeleton(arch.removeprefix("timm:"), json.dumps(dict(arch_args or {}), sort_keys=True))


@lru_cache(maxsize=256)
def _skeleton(arch: str, arguments: str) -> nn.Module:
    with torch.device("meta"):
        return archs.build(arch, json.loads(arguments)).eval()


def fit(content: Any, layout: Layout, network: nn.Module, name: str) -> Fit:
    """How a checkpoint's content fits ``network`` (see :func:`skeleton`) by ``layout``; nothing is loaded."""
    try:
        tensors = convert(content, layout, network)
    except CheckpointError as error:
        return Fit((str(error),), 0, len(network.state_dict()), 0)
    problems, good = problems_of(tensors, network)
    if problems:
        return Fit(tuple(problems), good, len(network.state_dict()), len(tensors))
    try:
        check_heads(network, layout, name)
    except CheckpointError as error:
        problems = [str(error)]
    return Fit(tuple(problems), good, good, len(tensors))


def without_values(content: Any) -> Any:
    """The same content with every tensor replaced by its shape and type (on the meta device)."""
    if isinstance(content, torch.Tensor):
        return torch.empty_like(content, device="meta")
    if isinstance(content, Mapping):
        return {key: without_values(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [without_values(value) for value in content]
    return content
