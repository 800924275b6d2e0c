"""How the official files name their tensors, declaratively, and the rule that every backbone tensor must be matched."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.positions import Positions
from ssl_bench.errors import CheckpointError, UnknownNameError

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Layout:
    """From the content of a file to the names of our networks (timm's, which for ResNets are torchvision's).

    ``unwrap``: keys tried in this order (dots go deeper); the first that leads to tensors is taken, else the file's top
    level. ``drop``: patterns of tensors that are no part of the backbone (searched in the file's names). ``prefixes``:
    tried in this order; the first that any name begins with is stripped. ``rename``: regular expression -> replacement,
    in order. ``hook``: an entry of ``HOOKS`` for what cannot be said this way. ``positions``: how this code base
    resamples a ViT's position embedding for images of another size.
    """

    unwrap: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    prefixes: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    hook: str | None = None
    positions: Positions = "plain"


# DINO's released backbone files are flat; a full file holds student and teacher. Networks with BatchNorm (ResNet-50)
# are wrapped for distributed training in both, ViTs in the student only, hence two prefixes.
_DINO_PREFIXES = ("module.backbone.", "backbone.", "module.")
_DINO_DROP = (r"^(module\.)?head\.",)

_BACKBONE_AND_PROJECTOR = Layout(
    unwrap=("model",), drop=(r"^(module\.)?(projector|bn)\.",), prefixes=("module.backbone.", "backbone.")
)

LAYOUTS: dict[str, Layout] = {
    "flat": Layout(unwrap=("model", "state_dict"), prefixes=("module.",)),
    "dino": Layout(unwrap=("teacher",), drop=_DINO_DROP, prefixes=_DINO_PREFIXES, positions="dino"),
    "dino_student": Layout(unwrap=("student",), drop=_DINO_DROP, prefixes=_DINO_PREFIXES, positions="dino"),
    "mae": Layout(unwrap=("model",), drop=(r"^decoder_", r"^mask_token$")),
    "deit": Layout(unwrap=("model",), drop=(r"^head\.",)),
    "torchvision": Layout(drop=(r"^fc\.",)),
    # MoCo v1 and v2: the query encoder; its projector stands in the place of the classifier.
    "moco": Layout(
        unwrap=("state_dict",),
        drop=(r"^(module\.)?(encoder_k|encoder_q\.fc)\.", r"^(module\.)?queue"),
        prefixes=("module.encoder_q.", "encoder_q."),
    ),
    "mocov3": Layout(
        unwrap=("state_dict",),
        drop=(r"^(module\.)?(momentum_encoder|predictor|base_encoder\.(fc|head))\.",),
        prefixes=("module.base_encoder.", "base_encoder."),
    ),
    "simsiam": Layout(
        unwrap=("state_dict",),
        drop=(r"^(module\.)?(predictor|encoder\.fc)\.",),
        prefixes=("module.encoder.", "encoder."),
    ),
    # The released backbones are flat, the full checkpoints of both have the projector (and Barlow Twins' last norm).
    "barlowtwins": _BACKBONE_AND_PROJECTOR,
    "vicreg": _BACKBONE_AND_PROJECTOR,
    "swav": Layout(
        unwrap=("state_dict",), drop=(r"^(module\.)?(projection_head|prototypes)\.",), prefixes=("module.",)
    ),
    "timm": Layout(
        unwrap=("state_dict", "model"), prefixes=("module.",), hook="timm_classifier", positions="antialias"
    ),
}


def layout_of(name: str) -> Layout:
    if name not in LAYOUTS:
        raise UnknownNameError("layout", name, LAYOUTS)
    return LAYOUTS[name]


def convert(content: Any, layout: Layout, module: nn.Module) -> Tensors:
    """The file's tensors under the names of ``module``, without what the layout drops. Nothing is matched yet."""
    tensors = _unwrap(content, layout.unwrap)
    tensors = {name: t for name, t in tensors.items() if not any(re.search(p, name) for p in layout.drop)}
    prefix = next((p for p in layout.prefixes if any(name.startswith(p) for name in tensors)), "")
    tensors = {name.removeprefix(prefix): t for name, t in tensors.items()}
    for pattern, replacement in layout.rename:
        tensors = {re.sub(pattern, replacement, name): t for name, t in tensors.items()}
    return HOOKS[layout.hook](tensors, module) if layout.hook else tensors


def match(tensors: Tensors, module: nn.Module, file: Path | str, network: str) -> tuple[int, int]:
    """Load ``tensors`` into ``module``; every one must be there, with the right shape, and none may be left over.

    Returns how many tensors were matched and how many the network has: equal, or it raises
    :class:`CheckpointError`. BatchNorm's counters of steps (``num_batches_tracked``) do not enter any feature and are
    missing in files older than torch 0.4.1; where the file has none they are not counted.
    """
    wanted = module.state_dict()
    if not any(name.endswith("num_batches_tracked") for name in tensors):
        counters = {name: t for name, t in wanted.items() if name.endswith("num_batches_tracked")}
        wanted = {name: t for name, t in wanted.items() if name not in counters}
    else:
        counters = {}
    problems, good = _problems(tensors, wanted)
    if problems:
        raise CheckpointError(
            f"{file} does not fit {network}: {good} of {len(wanted)} backbone tensors match. {' '.join(problems)}",
            "Nothing was loaded. Is this the checkpoint of this architecture, and the layout the right one?",
        )
    module.load_state_dict({**tensors, **counters}, strict=True)
    return len(wanted), len(wanted)


def _problems(tensors: Tensors, wanted: Mapping[str, torch.Tensor]) -> tuple[list[str], int]:
    """What is wrong, and how many tensors are right."""
    common = [name for name in wanted if name in tensors]
    shapes = [name for name in common if tensors[name].shape != wanted[name].shape]
    kinds = [n for n in common if tensors[n].is_floating_point() != wanted[n].is_floating_point()]
    broken = [n for n in common if tensors[n].is_floating_point() and not bool(tensors[n].isfinite().all())]
    good = len(set(common) - {*shapes, *kinds, *broken})
    shown = [f"{n} {_shape(tensors[n])} instead of {_shape(wanted[n])}" for n in shapes]
    return [
        *_some("missing", [name for name in wanted if name not in tensors]),
        *_some("left over", [name for name in tensors if name not in wanted]),
        *_some("mis-shaped", shown),
        *_some("of another type", [f"{n} {tensors[n].dtype} instead of {wanted[n].dtype}" for n in kinds]),
        *_some("with values that are not finite", broken),
    ], good


def _some(what: str, names: list[str]) -> list[str]:
    """``missing 12: a, b, c, ...``, or nothing."""
    more = ", ..." if len(names) > 3 else ""
    return [f"{len(names)} {what}: {', '.join(names[:3])}{more}."] if names else []


def _shape(tensor: torch.Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "scalar"


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


def _timm_classifier(tensors: Tensors, module: nn.Module) -> Tensors:
    """Without timm's classifier (its name stands in timm's own configuration) and without tables that timm computes itself."""
    names = (getattr(module, "pretrained_cfg", None) or {}).get("classifier") or ()
    heads = tuple(f"{name}." for name in ([names] if isinstance(names, str) else names))
    own = set(module.state_dict())
    computed = ("relative_position_index", "attn_mask", "relative_coords_table")
    return {n: t for n, t in tensors.items() if n in own or not (n.startswith(heads) or n.endswith(computed))}


HOOKS: dict[str, Callable[[Tensors, nn.Module], Tensors]] = {"timm_classifier": _timm_classifier}
