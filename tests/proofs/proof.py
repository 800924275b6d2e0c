"""What proves a card: the official file, made here with random values, and what the authors' network makes of an image."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
Shapes = dict[str, tuple[int, ...]]
ONE = torch.ones(1)


def torch_save(content: Any, folder: Path) -> Path:
    path = folder / "official.pth"
    torch.save(content, path)
    return path


@dataclass(frozen=True)
class Proof:
    """One card and one form of its official file.

    ``shapes``: the backbone's tensors as the authors name them, without the prefix that ``file`` puts before them;
    restated from the fact sheets, for the small network that ``thin`` (changes to the card's ``arch_args``) makes of the
    card's. ``full``: the same for the network as published. ``file``: tensors -> the file's content, with everything
    that surrounds a backbone there (prefixes, heads, other networks, the optimiser, the arguments of the run).
    ``write``: how the content gets into a file. ``forward``: tensors and images -> vectors, written independently of the
    package (plain functions on tensors, or timm, torchvision, open_clip built directly). ``wrong_heads``: ``arch_args``
    with another number of heads, for networks with attention. ``fill``: values for a tensor that must not be random.
    """

    model: str
    shapes: Shapes
    full: Shapes
    forward: Callable[[Tensors, torch.Tensor], torch.Tensor]
    file: Callable[[Tensors], Any] = dict
    thin: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""
    image: tuple[int, ...] = (3, 224, 224)
    write: Callable[[Any, Path], Path] = torch_save
    wrong_heads: Mapping[str, Any] | None = None
    fill: Mapping[str, torch.Tensor] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.model}-{self.form}" if self.form else self.model

    def tensors(self) -> Tensors:
        """Random values, the same for every call: weights of a size that keeps features in range, and no symmetry
        (attention far from uniform, running variances positive) that could hide a wrong load."""
        return {name: self.fill.get(name, _random(name, shape)) for name, shape in self.shapes.items()}

    def images(self) -> torch.Tensor:
        return torch.randn(2, *self.image, generator=torch.Generator().manual_seed(3))


_POOL = torch.randn(1_100_009, generator=torch.Generator().manual_seed(0))
"""A prime number of values: as many as 1024 x 1024, and the query, key and value of a ViT-L would be the same."""


def _random(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    """Another part of one pool for every name: drawing hundreds of millions of numbers would take minutes."""
    count, start = math.prod(shape), zlib.crc32(name.encode()) % len(_POOL)
    values = _POOL.roll(-start).repeat(-(-count // len(_POOL)))[:count].reshape(shape)
    if name.endswith(("running_var", "moving_variance", "var_ema/average", "var_ema/hidden")):
        return values.abs() + 0.5
    if values.dim() < 2:
        return 0.3 * values + (1.0 if name.endswith(("weight", "gamma", "scale")) else 0.0)
    return 1.5 * values / values[0].numel() ** 0.5


def under(prefix: str, *names: str) -> Tensors:
    """What surrounds a backbone and must fall away; names as the fact sheets have them, shapes do not matter."""
    return {prefix + name: ONE for name in names}


def prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}
