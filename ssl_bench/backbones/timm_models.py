"""``timm:<name>`` and ``hf:<repo>``: any timm model, with timm's own preprocessing, embedding and weights."""

from __future__ import annotations

import math
import socket
import textwrap
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import timm
from huggingface_hub import constants as hub
from timm.data.config import resolve_model_data_config
from torch import nn

from ssl_bench.backbones import archs
from ssl_bench.backbones.fetch import offline
from ssl_bench.backbones.layouts import Tensors
from ssl_bench.cards import PreprocessCard
from ssl_bench.errors import CheckpointError, SettingsError


def is_reference(arch: str) -> bool:
    return arch.startswith(("timm:", "hf:"))


def build(arch: str, arch_args: dict[str, Any], download: bool) -> nn.Module:
    """The network without classifier and weights. ``hf:`` reads the repository's ``config.json``: from a local folder
    if ``<repo>`` is one, else through the hub's own cache."""
    if arch.startswith("timm:"):
        return archs.build(arch, arch_args)
    return _from_hub(arch, arch_args, pretrained=False, num_classes=0, download=download)


def data_card(module: nn.Module, name: str) -> PreprocessCard:
    """timm's evaluation transform of this model as a card: resize = floor(crop / crop_pct), its interpolation, mean, std."""
    config: dict[str, Any] = resolve_model_data_config(module)  # type: ignore[no-untyped-call]
    channels, height, width = config["input_size"]
    if channels != 3 or height != width or config["crop_mode"] == "border":
        raise SettingsError(
            f"Model {name}: timm evaluates it on {channels} x {height} x {width} images, crop mode {config['crop_mode']}; "
            "only square RGB images cropped from the centre or squashed are supported.",
            "Write a card with arch and preprocess.",
        )
    return PreprocessCard(
        resize=math.floor(height / config["crop_pct"]),
        crop=height,
        interpolation=config["interpolation"],
        squash=config["crop_mode"] == "squash",
        mean=config["mean"],
        std=config["std"],
    )


def pretrained(arch: str, arch_args: dict[str, Any], download: bool) -> tuple[Tensors, str]:
    """timm's own weights, all tensors of the model with its classifier, and where they come from."""
    module = _from_hub(arch, arch_args, pretrained=True, num_classes=None, download=download)
    config: dict[str, Any] = getattr(module, "pretrained_cfg", {})
    source = config.get("hf_hub_id") or config.get("url") or arch
    return dict(module.state_dict()), f"timm {source}"


def _from_hub(
    arch: str, arch_args: dict[str, Any], pretrained: bool, num_classes: int | None, download: bool
) -> nn.Module:
    reference = _reference(arch)
    place = "Give a file of its weights with --weights PATH"
    place += ", or the folder of a downloaded repository as hf:FOLDER." if arch.startswith("hf:") else "."
    arguments = arch_args if num_classes is None else {**arch_args, "num_classes": num_classes}
    local_only = not download or offline() or not _hub_can_be_found()
    if (
        local_only
        and pretrained
        and arch.startswith("timm:")
        and not timm.get_pretrained_cfg_value(reference, "hf_hub_id")
    ):
        raise CheckpointError(f"timm has no weights for {arch} on this machine.", place)
    try:
        with _cached_only() if local_only else nullcontext():
            # Without num_classes timm keeps the classifier and therefore loads strictly.
            module: nn.Module = timm.create_model(reference, pretrained=pretrained, **arguments)
    except Exception as error:  # the hub's client raises its own errors and those of its HTTP library
        reason = textwrap.shorten(str(error) or type(error).__name__, 300).rstrip(".")
        reason = f"no network is used and {reason}" if local_only else reason
        raise CheckpointError(f"timm has no weights for {arch} that can be loaded here: {reason}.", place) from error
    return module


def _hub_can_be_found() -> bool:
    """Whether the hub's name resolves (or a proxy may resolve it): without network its client would retry for a minute."""
    if urllib.request.getproxies():
        return True
    try:
        socket.getaddrinfo(urllib.parse.urlsplit(hub.ENDPOINT).hostname, None)
    except OSError:
        return False
    return True


@contextmanager
def _cached_only() -> Iterator[None]:
    """The hub's client answers from its cache; it reads HF_HUB_OFFLINE from the environment at import only."""
    before = hub.HF_HUB_OFFLINE
    hub.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE = before


def _reference(arch: str) -> str:
    """timm's way to write it."""
    kind, _, rest = arch.partition(":")
    if kind == "timm":
        return rest
    return f"local-dir:{rest}" if Path(rest).expanduser().is_dir() else f"hf-hub:{rest}"
