"""Images per second of the forward pass, parameters, tokens and dimension: the columns of DINO's Table 2."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from pydantic import Field, PositiveFloat, PositiveInt

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Dataset
from ssl_bench.errors import SettingsError
from ssl_bench.protocols.protocol import Outcome, Protocol
from ssl_bench.results.statistics import Interval
from ssl_bench.settings import Settings

DEFAULT_SIZE = 224  # of models whose preprocessing keeps the images' own size


class ThroughputSettings(Settings):
    """``batch_size``: images a forward (DINO: 128); ``image_size``: side in pixels, by default the model's own crop.
    ``warmup`` forwards are not counted; then at most ``repeats`` are timed, no more after ``seconds`` are over (at least
    one is). The paper states neither precision nor warm-up: ``--precision`` chooses, default fp32."""

    batch_size: PositiveInt = 128
    image_size: PositiveInt | None = None
    warmup: int = Field(2, ge=0)
    repeats: PositiveInt = 20
    seconds: PositiveFloat = 30.0


class Throughput(Protocol):
    """``images_per_second``: batch size / median time of a forward, the device synchronised before and after.

    ``parameters_m``: millions, of the backbone without projection head or classifier. ``embed_dim``: D. ``tokens``: of
    the last block, class and register tokens included (ViTs only). Compare ratios, not values, between machines.
    """

    name = "throughput"
    summary = "Images per second at batch 128, parameters, tokens, dimension (DINO, Table 2)"
    settings = ThroughputSettings
    needs_data = False

    @torch.inference_mode()
    def evaluate(
        self, backbone: Backbone, dataset: Dataset | None, settings: ThroughputSettings, compute: Compute
    ) -> Outcome:
        """``dataset`` is not used: the images are random numbers."""
        card = backbone.preprocess.card
        size = settings.image_size or card.crop or card.resize or DEFAULT_SIZE
        images = torch.randn(settings.batch_size, 3, size, size, generator=compute.generator()).to(compute.device)
        times = _timed(lambda: _forward(backbone, images, settings, compute), settings, compute)
        rates = [settings.batch_size / seconds for seconds in times]
        metrics = {
            "images_per_second": settings.batch_size / median(times),
            "parameters_m": sum(parameter.numel() for parameter in backbone.parameters()) / 1e6,
            "embed_dim": float(backbone.embed_dim),
        }
        if tokens := count_tokens(backbone, images[:1]):
            metrics["tokens"] = float(tokens)
        return Outcome(
            metrics,
            primary="images_per_second",
            interval=Interval(min(rates), max(rates), 0.0, f"range over {len(rates)} forwards"),
            details={"image_size": size, "forwards": len(times), "threads": torch.get_num_threads()},
        )


def _forward(backbone: Backbone, images: torch.Tensor, settings: ThroughputSettings, compute: Compute) -> None:
    try:
        with compute.autocast():
            backbone(images)
    except torch.OutOfMemoryError:
        raise SettingsError(
            f"{settings.batch_size} images of {images.shape[-1]} pixels do not fit the device's memory.",
            "Use --set batch_size=N with a smaller N; the record states it.",
        ) from None


def _timed(forward: Callable[[], None], settings: ThroughputSettings, compute: Compute) -> list[float]:
    """Seconds of each counted forward. The budget also ends the warm-up, so that a slow machine is soon done."""
    times: list[float] = []
    end = time.perf_counter() + settings.seconds
    with compute.progress.bar("forwards", settings.warmup + settings.repeats) as advance:
        for number in range(settings.warmup + settings.repeats):
            _synchronise(compute.device)
            start = time.perf_counter()
            forward()
            _synchronise(compute.device)
            if number >= settings.warmup or time.perf_counter() > end:
                times.append(time.perf_counter() - start)
            advance()
            if times and time.perf_counter() > end:
                break
    return times


def _synchronise(device: torch.device) -> None:
    """Wait for the device: its work is queued, and a clock read before it is done would lie."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def count_tokens(backbone: Backbone, image: torch.Tensor) -> int | None:
    """Length of the sequence in a plain ViT, class and register tokens included; None for any other network."""
    if not isinstance(backbone, ViTBackbone):
        return None
    rows, columns = backbone.layers(image)[0].map.shape[-2:]
    return int(rows * columns + backbone.module.num_prefix_tokens)
