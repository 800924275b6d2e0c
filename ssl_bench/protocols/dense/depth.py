"""Depth estimation from one image: a head on a frozen or fine-tuned backbone.

Sources: BYOL (Grill et al. 2020, appendix, after Laina et al. 2016); MultiMAE (EPFL-VILAB/MultiMAE run_finetuning_depth.py);
linear depth: facebookresearch/dinov2 (dinov2/eval/depth).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.scenes import SceneSplit, scenes
from ssl_bench.protocols.dense import train as training
from ssl_bench.protocols.dense.depth_heads import DPT, Bins, Metres, up_projection_head
from ssl_bench.protocols.dense.depth_losses import berhu, silog
from ssl_bench.protocols.dense.depth_score import DepthScores
from ssl_bench.protocols.dense.nets import DenseNet
from ssl_bench.protocols.dense.predict import predict, scored_samples
from ssl_bench.protocols.dense.samples import depth_sample
from ssl_bench.protocols.dense.settings import DenseSettings
from ssl_bench.protocols.dense.taps import Taps
from ssl_bench.protocols.protocol import Outcome, Protocol
from ssl_bench.training.saved import Saved


class DepthSettings(DenseSettings):
    """``head``: ``dpt`` (``width`` channels), ``linear`` (256 bins; ``class_token``: joined to every patch) or ``up_projection``
    (BYOL). ``low`` to ``high``: metres that are trained on and scored. ``mean`` and ``std`` in metres: what the head
    predicts is (depth - mean) / std; bins are metres. ``metric_batch``: see :class:`DepthScores`."""

    head: Literal["dpt", "linear", "up_projection"] = "dpt"
    width: int = Field(256, ge=16)
    class_token: bool = False
    loss: Literal["berhu", "silog"] = "berhu"
    low: float = Field(1e-3, gt=0)
    high: float = Field(10.0, gt=0)
    mean: float = 0.0
    std: float = Field(1.0, gt=0)
    metric_batch: int = Field(64, ge=1)
    lr: float = Field(1e-3, gt=0)
    layer_decay: float = Field(1.0, gt=0, le=1)
    drop_path: float = Field(0.0, ge=0, lt=1)


class Depth(Protocol):
    """Metrics: ``delta1`` to ``delta3`` in percent, ``rel``, ``rms`` in metres, ``log10``, ``rms_log``, over all measured
    pixels; and the same as means of batches (``delta1_batch_mean`` ...), as MultiMAE's script prints them."""

    name = "depth"
    summary = "Depth of every pixel with a head on the backbone"
    settings = DepthSettings

    def evaluate(self, backbone: Backbone, dataset: Dataset, settings: DepthSettings, compute: Compute) -> Outcome:
        splits = scenes(dataset, "depth")
        net, saved = trained(backbone, splits["train"], settings, compute)
        outcome = score(net, splits["test"], settings, compute)
        saved.remove()
        return outcome


def trained(backbone: Backbone, split: SceneSplit, settings: DepthSettings, compute: Compute) -> tuple[DenseNet, Saved]:
    """The trained network, (B, 3, H, W) -> (B, 1, H, W) metres, and its state on the disk."""
    net = build(backbone, settings, compute)
    loss = DepthLoss(settings)
    return net, training.train(net, split, depth_sample, loss, settings, compute, Depth.name)


def build(backbone: Backbone, settings: DepthSettings, compute: Compute) -> DenseNet:
    """The network with a freshly initialised head."""

    def heads(taps: Taps) -> tuple[nn.Module, nn.Module | None]:
        if settings.head == "linear":
            return Bins(taps.channels, settings.low, settings.high), None
        if settings.head == "up_projection":
            head: nn.Module = up_projection_head(taps.channels)
        else:
            head = DPT(taps.channels, taps.strides, taps.staged, settings.width)
        return nn.Sequential(head, Metres(settings.mean, settings.std)), None

    return training.build(backbone, settings, compute, heads, settings.class_token)


class DepthLoss:
    """(network, batch) -> {"loss"}, over pixels measured within the range; berHu in units of ``std``."""

    def __init__(self, settings: DepthSettings) -> None:
        self.settings = settings

    def __call__(self, net: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
        images, truth = batch
        prediction = net(images)[:, 0]
        known = (truth > self.settings.low) & (truth <= self.settings.high)
        if self.settings.loss == "silog":
            return {"loss": silog(prediction, truth, known)}
        return {"loss": berhu(prediction, truth, known) / self.settings.std}


def score(net: DenseNet, split: SceneSplit, settings: DepthSettings, compute: Compute) -> Outcome:
    """Every test image once."""
    scores = DepthScores(settings.low, settings.high, settings.metric_batch)
    net.eval()
    with torch.inference_mode(), compute.progress.bar("depth of test images", len(split)) as advance:
        for item in scored_samples(net, split, depth_sample, settings, compute):
            prediction = predict(net, item["image"], settings.view, compute)[0]
            scores.add(item["target"].numpy(), prediction.cpu().numpy())
            advance()
    parts = scores.parts()
    return Outcome(scores.scores(), primary="delta1", interval=parts.interval(), parts=parts)
