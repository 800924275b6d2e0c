"""A card -> a frozen backbone, with proof that every tensor came from the checkpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import timm
import torch
from torch import nn

from ssl_bench.backbones import archs, plugin_models, timm_models
from ssl_bench.backbones.backbone import Backbone, WeightsReport
from ssl_bench.backbones.layouts import Layout, convert, layout_of, match
from ssl_bench.backbones.readers import open_checkpoint, sha256_of_tensors
from ssl_bench.backbones.weights import find_weights, source_of
from ssl_bench.cards import ModelCard, PreprocessCard
from ssl_bench.compute import resolve_device
from ssl_bench.errors import SettingsError, UnknownNameError
from ssl_bench.paths import cache_root
from ssl_bench.progress import Progress, Silent
from ssl_bench.registry import CodeModel, registry


def load_model(
    name: str | ModelCard | CodeModel,
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    *,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    seed: int = 0,
    download: bool = True,
) -> Backbone:
    """The named model, frozen and in evaluation mode.

    ``name``: a model, ``timm:<name>``, ``hf:<repo>``, ``random_<arch>``, the path of a card, or a card itself.
    ``weights``: the user's own copy of the checkpoint (a path or an address), in any form that the card's layout accepts. ``seed``: of the
    initialisation, for models without checkpoint. ``download=False``: use only what is on this machine.
    Raises :class:`ssl_bench.errors.CheckpointError` if the checkpoint is missing, damaged or does not fit completely.
    """
    card = registry().model(name) if isinstance(name, str) else name
    target = resolve_device(device) if isinstance(device, str) else device
    with _seeded(seed):
        if isinstance(card, CodeModel):
            backbone = _from_code(card, weights)
        elif card.weights is None:
            backbone = _untrained(card, weights, seed)
        else:
            folder = cache_root(cache) / "checkpoints"
            backbone = _trained(card, weights, folder, progress or Silent(), download)
    backbone.eval().requires_grad_(False)
    return backbone.to(target)


def _trained(card: ModelCard, weights: str | Path | None, folder: Path, progress: Progress, download: bool) -> Backbone:
    assert card.weights is not None
    layout = layout_of(card.weights.layout)
    found = find_weights(card, weights, folder, progress, download)
    if timm_models.is_reference(card.arch):
        module = timm_models.build(card.arch, card.arch_args, download)
    else:
        module = archs.build(card.arch, card.arch_args)
    if found is None:
        report = _from_timm(card, module, layout, download)
    else:
        path, sha256 = found
        tensors = convert(open_checkpoint(path), layout, module)
        matched, total = match(tensors, module, layout, path, f"{card.name} ({card.arch})")
        report = WeightsReport(source_of(card, weights, path), sha256, matched, total)
    return _wrap(card, module, report, layout)


def _from_timm(card: ModelCard, module: nn.Module, layout: Layout, download: bool) -> WeightsReport:
    tensors, source = timm_models.pretrained(card.arch, card.arch_args, download)
    matched, total = match(convert(tensors, layout, module), module, layout, source, f"{card.name} ({card.arch})")
    return WeightsReport(source, sha256_of_tensors(module, ""), matched, total)


def _untrained(card: ModelCard, weights: str | Path | None, seed: int) -> Backbone:
    _refuse(weights, card.name)
    try:
        module = archs.build(card.arch, card.arch_args)
    except UnknownNameError as error:
        if card.name != f"random_{error.name}" or card.folder is not None:
            raise
        raise UnknownNameError(
            "model", card.name, [*registry().models, *(f"random_{a}" for a in error.known)]
        ) from None
    count = len(module.state_dict())
    source = f"random initialisation, seed {seed}" if count else "no weights"
    report = WeightsReport(source, sha256_of_tensors(module, _definition(card)), count, count)
    return _wrap(card, module, report, Layout())


def _from_code(model: CodeModel, weights: str | Path | None) -> Backbone:
    _refuse(weights, model.card.name)
    backbone = plugin_models.build(model)
    backbone.embeddings = model.card.embeddings or backbone.embeddings
    backbone.definition = _definition(model.card, source=plugin_models.source_sha256(model, backbone))
    if backbone.weights is None:
        count = len(backbone.state_dict())
        backbone.weights = WeightsReport("plugin", sha256_of_tensors(backbone, backbone.definition), count, count)
    return backbone


def _refuse(weights: str | Path | None, name: str) -> None:
    if weights is not None:
        raise SettingsError(f"--weights {weights}: model {name} takes no checkpoint.", "Leave --weights out.")


def _wrap(card: ModelCard, module: nn.Module, report: WeightsReport, layout: Layout) -> Backbone:
    preprocess = _preprocess(card, module)
    backbone = archs.wrap(module, card.embedding, preprocess, card.name, positions=layout.positions)
    backbone.weights, backbone.definition, backbone.embeddings = report, _definition(card), card.embeddings
    backbone.modality = card.modality
    return backbone


def _preprocess(card: ModelCard, module: nn.Module) -> PreprocessCard:
    """The card's; timm's own for ``timm:``, ``hf:`` and ``random_<timm name>``, whose card is made on the fly."""
    on_the_fly = card.folder is None and "preprocess" not in card.model_fields_set
    if on_the_fly and (timm_models.is_reference(card.arch) or timm.is_model(card.arch)):
        return timm_models.data_card(module, card.name)
    return card.preprocess


def _definition(card: ModelCard, **more: str) -> str:
    layout = card.weights.layout if card.weights else None
    facts = {"arch": card.arch, "arch_args": card.arch_args, "layout": layout, "embedding": card.embedding, **more}
    return json.dumps(facts, sort_keys=True, default=str)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Random initialisation depends on ``seed`` only, and the caller's random state stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
