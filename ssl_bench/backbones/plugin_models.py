"""A model given by a plugin's function."""

from __future__ import annotations

import hashlib
import inspect
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones import archs
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.blank import input_shape
from ssl_bench.backbones.plain import PlainBackbone
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import PluginError, SslBenchError
from ssl_bench.registry import CodeModel

LIBRARIES = frozenset({"torch", "timm", "torchvision", "ssl_bench"})
_PROMISE = "A model function returns a ssl_bench.Backbone, or a torch.nn.Module that maps (B, 3, H, W) images to (B, D) vectors."


def build(model: CodeModel) -> Backbone:
    """Call the function and check what it returns with one blank image of the card's size (or clip, or spectrogram)."""
    card, origin = model.card, f"{model.build.__module__}:{model.build.__qualname__}"
    where = f"Model {card.name} (plugin function {origin})"
    try:
        made = model.build()
    except SslBenchError:
        raise
    except Exception as error:
        raise PluginError(f"{where} failed: {type(error).__name__}: {error}.", _PROMISE) from error
    if not isinstance(made, nn.Module):
        raise PluginError(f"{where} returned a {type(made).__name__}.", _PROMISE)
    made.eval()
    preprocess = Preprocess(card.preprocess)
    size = card.preprocess.crop or card.preprocess.resize or 32
    if isinstance(made, Backbone):
        if not hasattr(made, "preprocess"):
            made.preprocess = preprocess
        made.name = card.name
        made.modality = card.modality
        return _checked(made, where, made.preprocess.card.crop or made.preprocess.card.resize or 32)
    if getattr(made, "num_classes", None) == 0:  # a timm model without classifier: its layers and attention are known
        wrapped = archs.wrap(made, card.embedding, preprocess, card.name)
        wrapped.modality = card.modality
        return _checked(wrapped, where, size)
    width = _dry_run(made, where, input_shape(made, card.modality, size)).shape[1]
    plain = PlainBackbone(made, card.embedding, preprocess, card.name, width)
    plain.modality = card.modality
    return plain


def source_sha256(model: CodeModel, backbone: Backbone) -> str:
    """Hash of the files that define the function and the classes of its network, so that features that an earlier version
    of the code gave are not taken for this one's. Installed libraries' own layers count by their versions elsewhere."""
    made_by = {model.build, *(type(part) for part in backbone.modules())}
    own = [thing for thing in made_by if thing.__module__.partition(".")[0] not in LIBRARIES]
    files = {file for thing in own if (file := _file(thing)) is not None}
    return hashlib.sha256(b"".join(sorted(file.read_bytes() for file in files))).hexdigest()


def _file(thing: Any) -> Path | None:
    """Where it is written; None for what was typed into a console."""
    try:
        path = Path(inspect.getfile(thing))
    except (TypeError, OSError):
        return None
    return path if path.is_file() else None


def _checked(backbone: Backbone, where: str, size: int) -> Backbone:
    width = _dry_run(backbone, where, input_shape(backbone, backbone.modality, size)).shape[1]
    if getattr(backbone, "embed_dim", None) != width:
        said = getattr(backbone, "embed_dim", "nothing")
        raise PluginError(f"{where}: its embed_dim says {said}, but its vectors have {width} values.", _PROMISE)
    return backbone


def _dry_run(module: nn.Module, where: str, shape: tuple[int, ...]) -> torch.Tensor:
    image = torch.zeros(1, *shape)
    try:
        with torch.no_grad():
            output: Any = module(image)
    except Exception as error:
        raise PluginError(
            f"{where} fails on a blank input {tuple(image.shape)}: {type(error).__name__}: {error}.", _PROMISE
        ) from error
    if not isinstance(output, torch.Tensor) or output.ndim != 2 or len(output) != 1:
        found = f"shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"
        raise PluginError(f"{where} maps one image to {found}.", _PROMISE)
    return output
