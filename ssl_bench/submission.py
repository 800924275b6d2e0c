"""Does a third party's model keep the contract, and does it run? Answered offline on tiny data in seconds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.preflight import Finding, preflight
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.errors import SslBenchError
from ssl_bench.registry import CodeModel, registry
from ssl_bench.results.store import Store
from ssl_bench.runner import make_plan, run_plan

TASKS: dict[str, dict[str, Any]] = {
    "knn_placed_digits": {},
    "linear_frozen_placed_digits": {},
    "low_shot_1_placed_digits": {},
    "label_free_placed_digits": {"lidar_views": 2},
}
"""Task -> settings that make it quick."""
IMAGES_PER_CLASS = 8


def check_model(name: str, compute: Compute, weights: str | None = None) -> list[Finding]:
    """Compare card and file, load the model, check what a protocol relies on, and run tiny versions of the frozen tasks.

    Stops early when the file does not fit or the model cannot be loaded. The scores of tiny data mean nothing and are not
    reported.
    """
    card = registry().model(name)
    findings = [] if isinstance(card, CodeModel) else list(preflight(card, compute, weights))
    if not all(finding.ok for finding in findings):
        return findings
    try:
        backbone = load_model(
            name, weights=weights, device=compute.device, cache=compute.cache, progress=compute.progress
        )
    except SslBenchError as error:
        return [*findings, Finding("loads", str(error))]
    images = _images(backbone, compute)
    findings.append(Finding("loads", None))
    for what, test in _CONTRACT.items():
        findings.append(Finding(what, _problem(lambda test=test: test(backbone, images))))  # type: ignore[misc]
    if all(finding.ok for finding in findings):
        findings += [Finding(f"runs {task}", _run(name, task, weights, compute)) for task in TASKS]
    return findings


def _images(backbone: Backbone, compute: Compute) -> torch.Tensor:
    """Four test images as the model wants them."""
    split = load_dataset("placed_digits", compute.data_root).test
    scale = backbone.preprocess.card.crop or 32
    pictures = [split.image(i).resize((scale, scale), Image.Resampling.BICUBIC) for i in range(4)]
    return torch.stack([backbone.preprocess(picture) for picture in pictures]).to(compute.device)


def _problem(test: Callable[[], str | None]) -> str | None:
    try:
        with torch.inference_mode():
            return test()
    except Exception as error:  # noqa: BLE001 - whatever a stranger's model raises is the finding
        return f"{type(error).__name__}: {error}"


def _shape(backbone: Backbone, images: torch.Tensor) -> str | None:
    found = tuple(backbone(images).shape)
    wanted = (len(images), backbone.embed_dim)
    return None if found == wanted else f"forward gives {found} for {len(images)} images, embed_dim says {wanted}"


def _finite(backbone: Backbone, images: torch.Tensor) -> str | None:
    return None if bool(torch.isfinite(backbone(images)).all()) else "features are not finite"


def _repeatable(backbone: Backbone, images: torch.Tensor) -> str | None:
    same = torch.equal(backbone(images), backbone(images))
    return None if same else "the same images give other features the second time: is something random in eval mode?"


def _alone(backbone: Backbone, images: torch.Tensor) -> str | None:
    """Features must not depend on the other images of the batch (batch statistics left in training mode)."""
    together = backbone(images)
    alone = torch.cat([backbone(image[None]) for image in images])
    scale = together.abs().max().clamp_min(1e-6)
    apart = float((together - alone).abs().max() / scale)
    return (
        None
        if apart < 1e-3
        else f"features depend on the batch (relative difference {apart:.1e}): batch norm in training mode?"
    )


def _tells_apart(backbone: Backbone, images: torch.Tensor) -> str | None:
    return None if float(backbone(images).std(0).max()) > 0 else "all images get the same features"


def _frozen(backbone: Backbone, images: torch.Tensor) -> str | None:
    return "the model is in training mode" if any(module.training for module in backbone.modules()) else None


_CONTRACT: dict[str, Callable[[Backbone, torch.Tensor], str | None]] = {
    "is in evaluation mode": _frozen,
    "gives (B, embed_dim) features": _shape,
    "gives finite features": _finite,
    "gives the same features twice": _repeatable,
    "treats each image alone": _alone,
    "tells images apart": _tells_apart,
}


def _run(name: str, task: str, weights: str | None, compute: Compute) -> str | None:
    """One tiny task; features and records go to a temporary folder, checkpoints are found where they are."""
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        cache.mkdir()
        (cache / "checkpoints").symlink_to(compute.cache / "checkpoints", target_is_directory=True)
        tiny = compute.with_(limit=IMAGES_PER_CLASS, cache=cache)
        plan = make_plan([name], [task], tiny, weights=weights, settings=TASKS[task])
        report = run_plan(plan, tiny, Store(Path(folder) / "results"))
    return str(report.failures[0].error) if report.failures else None
