"""Feature extraction on prepared images against a bare loop of forwards.

    python -m benchmarks.extraction [ARCH]

The peer: ``model(x)`` over batches of float32 tensors that lie ready in memory, nothing kept. Ours, on the same images as
bytes in memory: normalising, the forward, the check for NaN, and writing the store with its journal to the disk.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.compute import Compute, resolve_device
from ssl_bench.data.features import extract
from ssl_bench.data.splits import ArraySplit

ROUNDS = 3


def measure(arch: str = "vit_small_patch16_224", images: int = 64, batch: int = 32) -> dict[str, float]:
    """Seconds of both (best of alternating rounds) and ``ratio``: our share of the bare loop's speed."""
    compute = Compute(device=resolve_device("auto"), batch_size=batch)
    backbone = _backbone(arch, compute)
    side = backbone.preprocess.card.crop or 224
    pixels = np.random.RandomState(0).randint(0, 256, (images, side, side, 3)).astype(np.uint8)
    split = ArraySplit(pixels, np.zeros(images, dtype=np.int64), ["all"])
    ready = backbone.preprocess.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    batches = [part.to(compute.device) for part in ready.split(batch)]
    bare, ours = float("inf"), float("inf")
    for _ in range(ROUNDS):
        bare = min(bare, _seconds_bare(backbone, batches, compute))
        ours = min(ours, _seconds_ours(backbone, split, compute))
    return {"bare_seconds": bare, "ours_seconds": ours, "ratio": bare / ours, "images": float(images)}


def _backbone(arch: str, compute: Compute) -> Backbone:
    """Untrained; images of the crop's size pass the transform unchanged."""
    backbone = load_model(f"random_{arch}", device=compute.device)
    card = backbone.preprocess.card.model_copy(update={"resize": None})
    backbone.preprocess = type(backbone.preprocess)(card)
    return backbone


def _seconds_bare(backbone: Backbone, batches: list[torch.Tensor], compute: Compute) -> float:
    start = time.perf_counter()
    with torch.inference_mode(), compute.autocast():
        for images in batches:
            backbone(images)
    if compute.device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _seconds_ours(backbone: Backbone, split: ArraySplit, compute: Compute) -> float:
    with tempfile.TemporaryDirectory() as cache:
        start = time.perf_counter()
        extract(backbone, split, compute.with_(cache=Path(cache)))
        return time.perf_counter() - start


def main() -> None:
    arch = sys.argv[1] if len(sys.argv) > 1 else "vit_small_patch16_224"
    found = measure(arch)
    table = Table("", "images a second", title=f"Extraction on prepared images, {arch}")
    table.add_row("bare model(x) loop", f"{found['images'] / found['bare_seconds']:.1f}")
    table.add_row("ssl_bench.data.features.extract", f"{found['images'] / found['ours_seconds']:.1f}")
    table.add_row("ratio (target 0.95)", f"{found['ratio']:.3f}")
    Console().print(table)


if __name__ == "__main__":
    main()
