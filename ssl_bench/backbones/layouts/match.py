"""The rule that every backbone tensor must come from the file, and that nothing of the file may be left over."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.clip import fits as fits_clip
from ssl_bench.backbones.flip import fits as fits_flip
from ssl_bench.backbones.layouts.layout import Layout, Tensors
from ssl_bench.errors import CheckpointError


def match(tensors: Tensors, module: nn.Module, layout: Layout, file: Path | str, network: str) -> tuple[int, int]:
    """Load ``tensors`` into ``module``; every one must be there, with the right shape, and none may be left over.

    Returns how many tensors were matched and how many the network has: equal, or it raises
    :class:`CheckpointError`. BatchNorm's counters of steps (``num_batches_tracked``) do not enter any feature and are
    missing in files older than torch 0.4.1; where the file has none they are not counted.
    """
    wanted, counters = _wanted(tensors, module)
    problems, good = find_problems(tensors, wanted)
    if problems:
        raise CheckpointError(
            f"{file} does not fit {network}: {good} of {len(wanted)} backbone tensors match. {' '.join(problems)}",
            "Nothing was loaded. Is this the checkpoint of this architecture, and the layout the right one?",
        )
    check_heads(module, layout, network)
    module.load_state_dict({**tensors, **counters}, strict=True)
    return len(wanted), len(wanted)


def problems_of(tensors: Tensors, module: nn.Module) -> tuple[list[str], int]:
    """What is wrong, and how many tensors are right; nothing is loaded (``module`` may be on the meta device)."""
    return find_problems(tensors, _wanted(tensors, module)[0])


def check_heads(module: nn.Module, layout: Layout, network: str) -> None:
    """Refuse a ViT whose number of heads is not the authors': the same shapes, other features, and no other sign."""
    for tower, width, found in _towers(module):
        wanted = (layout.text_heads if tower == "text_cfg" else layout.heads).get(width, found)
        if found != wanted:
            setting = {
                "": f"num_heads: {wanted}",
                "vision_cfg": f"vision_cfg: {{head_width: {width // wanted}}}",
                "text_cfg": f"text_cfg: {{heads: {wanted}}}",
            }[tower]
            raise CheckpointError(
                f"{network} has {found} heads, the authors' network of width {width} has {wanted}: the file would load "
                "without a word and give wrong features.",
                f"Write arch_args: {{{setting}}} in the card.",
            )


def _towers(module: Any) -> Iterator[tuple[str, int, int]]:
    """What has attention: its place in open_clip's configuration (else empty), its width and its number of heads."""
    if fits_clip(module):
        pool = getattr(module.visual, "attnpool", None)
        image = pool or next(iter(module.visual.transformer.resblocks)).attn
        yield "vision_cfg", pool.c_proj.in_features if pool else image.embed_dim, image.num_heads
        text = next(iter(module.transformer.resblocks)).attn
        yield "text_cfg", text.embed_dim, text.num_heads
        return
    if fits_flip(module):
        yield "", module.visual.embed_dim, module.visual.blocks[0].attn.num_heads
        yield "text_cfg", module.txt_mlp1.in_features, module.text.blocks[0].attn.num_heads
        return
    block = next(iter(getattr(module, "blocks", ())), None)
    found, width = getattr(getattr(block, "attn", None), "num_heads", None), getattr(module, "embed_dim", None)
    if isinstance(found, int) and isinstance(width, int):
        yield "", width, found


def _wanted(tensors: Tensors, module: nn.Module) -> tuple[Tensors, Tensors]:
    """The network's tensors, and apart from them its BatchNorm counters if the file has none."""
    wanted: Tensors = module.state_dict()
    if any(name.endswith("num_batches_tracked") for name in tensors):
        return wanted, {}
    counters = {name: t for name, t in wanted.items() if name.endswith("num_batches_tracked")}
    return {name: t for name, t in wanted.items() if name not in counters}, counters


def find_problems(tensors: Tensors, wanted: Mapping[str, torch.Tensor]) -> tuple[list[str], int]:
    """What is wrong, and how many tensors are right."""
    common = [name for name in wanted if name in tensors]
    shapes = [name for name in common if tensors[name].shape != wanted[name].shape]
    kinds = [n for n in common if tensors[n].is_floating_point() != wanted[n].is_floating_point()]
    broken = [n for n in common if not _finite(tensors[n])]
    good = len(set(common) - {*shapes, *kinds, *broken})
    shown = [f"{n} {_shape(tensors[n])} instead of {_shape(wanted[n])}" for n in shapes]
    return [
        *_some("missing", [name for name in wanted if name not in tensors]),
        *_some("left over", [name for name in tensors if name not in wanted]),
        *_some("mis-shaped", shown),
        *_some("of another type", [f"{n} {tensors[n].dtype} instead of {wanted[n].dtype}" for n in kinds]),
        *_some("with values that are not finite", broken),
    ], good


def _finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or tensor.is_meta or bool(tensor.isfinite().all())


def _some(what: str, names: list[str]) -> list[str]:
    """``missing 12: a, b, c, ...``, or nothing."""
    more = ", ..." if len(names) > 3 else ""
    return [f"{len(names)} {what}: {', '.join(names[:3])}{more}."] if names else []


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"
