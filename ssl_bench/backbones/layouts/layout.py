"""How an official file names its tensors, declaratively, and the way from the file's content to our names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.positions import Positions
from ssl_bench.errors import CheckpointError

Tensors = dict[str, torch.Tensor]
Hook = Callable[[Tensors, nn.Module], Tensors]

VIT_HEADS: Mapping[int, int] = {192: 3, 384: 6, 768: 12, 1024: 16, 1280: 16}
"""Width of a ViT -> number of heads in nearly every code base: Ti, S, B, L, H."""


@dataclass(frozen=True)
class Layout:
    """From the content of a file to the names of our networks (timm's, which for ResNets are torchvision's).

    ``unwrap``: keys tried in this order (dots go deeper); the first that leads to tensors is taken, else the file's top
    level. ``extract``: in place of ``unwrap``, a function from the content to tensors. ``drop``: patterns of tensors
    that are no part of the backbone (searched in the file's names). ``prefixes``: tried in this order; the first that
    any name begins with is stripped, and names without it stay. ``rename``: regular expression -> replacement, in
    order. ``hook``: a function of tensors and network for what cannot be said this way (transposed kernels, fused
    queries). ``positions``: how this code base resamples a ViT's position embedding for images of another size.
    ``heads``: width of a ViT -> number of heads of the authors' network; shapes do not tell, so a network with another
    number is refused. Widths that are not listed are not checked. ``text_heads``: the same for the text tower, where
    there is one.
    """

    unwrap: tuple[str, ...] = ()
    extract: Callable[[Any], Tensors] | None = None
    drop: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    hook: Hook | None = None
    positions: Positions = "plain"
    heads: Mapping[int, int] = field(default_factory=dict)
    text_heads: Mapping[int, int] = field(default_factory=dict)


def convert(content: Any, layout: Layout, module: nn.Module) -> Tensors:
    """The file's tensors under the names of ``module``, without what the layout drops. Nothing is matched yet."""
    tensors = layout.extract(content) if layout.extract else _unwrap(content, layout.unwrap)
    tensors = {name: t for name, t in tensors.items() if not any(re.search(p, name) for p in layout.drop)}
    prefix = next((p for p in layout.prefixes if any(name.startswith(p) for name in tensors)), "")
    tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    for pattern, replacement in layout.rename:
        tensors = {re.sub(pattern, replacement, name): t for name, t in tensors.items()}
    return layout.hook(tensors, module) if layout.hook else tensors


def _unwrap(content: Any, candidates: tuple[str, ...]) -> Tensors:
    """The tensors under the first candidate that has any; entries that are no tensors (epoch, optimiser) fall away."""
    for candidate in (*candidates, ""):
        inner = content
        for key in candidate.split(".") if candidate else ():
            inner = inner.get(key) if isinstance(inner, Mapping) else None
        if isinstance(inner, Mapping):
            tensors = {name: t for name, t in inner.items() if isinstance(name, str) and isinstance(t, torch.Tensor)}
            if tensors:
                return tensors
    found = (
        f"its entries are {', '.join(map(str, list(content)[:8]))}" if isinstance(content, Mapping) else "it is none"
    )
    raise CheckpointError(
        f"The checkpoint holds no tensors where this layout looks for them ({', '.join((*candidates, 'top level'))}); {found}.",
        "Name the right layout in the model's card.",
    )
