"""Train a dense head (and the backbone below it) by its settings, so that the same command goes on after a stop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.dilate import dilate_last_stage
from ssl_bench.compute import Compute
from ssl_bench.data.scenes import SceneSplit
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.dense.nets import DenseNet
from ssl_bench.protocols.dense.samples import Make, SceneBatches
from ssl_bench.protocols.dense.settings import DenseSettings
from ssl_bench.protocols.dense.taps import Taps, for_maps
from ssl_bench.training.drop_path import set_drop_path
from ssl_bench.training.saved import Saved
from ssl_bench.training.supervised import Loss, fit
from ssl_bench.training.trainable import groups_of, trainable_copy

Heads = Callable[[Taps], tuple[nn.Module, nn.Module | None]]
"""Maps -> the head and perhaps the auxiliary head."""
INIT = 33


def build(backbone: Backbone, settings: DenseSettings, compute: Compute, heads: Heads, cls: bool = False) -> DenseNet:
    """The network with freshly initialised heads; ``backbone`` itself stays as it is."""
    with torch.inference_mode(False):
        torch.manual_seed(compute.generator(INIT).initial_seed())
        copy = for_maps(backbone, max(settings.crop_size), settings.frozen)
        if settings.dilate:
            copy = dilate_last_stage(trainable_copy(backbone) if copy is backbone else copy)
        if not settings.frozen:
            set_drop_path(copy, settings.drop_path or 0.0)
        taps = Taps(copy, settings.blocks, settings.norm, cls)
        head, auxiliary = heads(taps)
        return DenseNet(taps, head, settings.frozen, auxiliary).to(compute.device)


def train(
    net: DenseNet, split: SceneSplit, make: Make, loss: Loss, settings: DenseSettings, compute: Compute, protocol: str
) -> Saved:
    """Train in place. The state on the disk is returned: remove it when the result is in the record."""
    saved = Saved(compute, protocol, key(net.backbone, split, settings, compute))
    transform = settings.train_transform(net.backbone)
    batches = SceneBatches(
        split, make, transform, settings.batch_size, net.backbone, compute, accumulate=settings.accumulate
    )
    if batches.size < 2 and any(isinstance(layer, nn.BatchNorm2d) for layer in net.heads.modules()):
        raise SettingsError(
            f"A forward has {batches.size} image, and the head's batch norm needs at least two.",
            "Use a larger batch_size or a smaller accumulate.",
        )
    groups = groups_of(None if settings.frozen else net.backbone, net.heads, settings.layer_decay or 1.0)
    fit(net, batches, loss, settings.training(), compute, saved, f"{protocol} head on {net.backbone.name}", groups)
    return saved


def key(backbone: Backbone, split: SceneSplit, settings: DenseSettings, compute: Compute) -> dict[str, Any]:
    """All that determines the trained network."""
    assert backbone.weights is not None
    return {
        "weights": backbone.weights.sha256,
        "definition": backbone.definition,
        "preprocess": backbone.preprocess.card.model_dump(mode="json"),
        "images": split.fingerprint,
        "settings": settings.model_dump(mode="json"),
        "seed": compute.seed,
        "precision": compute.precision,
    }
