"""Throughput: the columns of DINO's Table 2, and when measuring stops."""

import pytest
import torch

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError
from ssl_bench.protocols import throughput
from ssl_bench.protocols.throughput import Throughput, ThroughputSettings


class Counting(Backbone):
    """Takes ``seconds`` of a made-up clock a forward."""

    embed_dim = 5

    def __init__(self, clock: list[float], seconds: float) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 5)
        self.preprocess = Preprocess(PreprocessCard(resize=10, crop=8))
        self.clock, self.seconds, self.shapes = clock, seconds, []  # type: ignore[var-annotated]

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.clock[0] += self.seconds
        self.shapes.append(tuple(images.shape))
        return self.layer(images.mean(dim=(2, 3)))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(throughput.time, "perf_counter", lambda: now[0])
    return now


def test_rate_is_batch_over_the_median_time(clock: list[float]) -> None:
    model = Counting(clock, 0.5)
    outcome = Throughput().evaluate(model, None, ThroughputSettings(repeats=3, warmup=2), Compute())
    assert outcome.metrics == {"images_per_second": 256.0, "parameters_m": 20 / 1e6, "embed_dim": 5.0}
    assert model.shapes == [(128, 3, 8, 8)] * 5
    assert outcome.details["forwards"] == 3
    assert outcome.interval is not None
    assert (outcome.interval.low, outcome.interval.high) == (256.0, 256.0)


@pytest.mark.parametrize(("seconds", "counted", "forwards"), [(10.0, 2, 4), (40.0, 1, 1), (16.0, 1, 2)])
def test_a_slow_machine_is_soon_done(clock: list[float], seconds: float, counted: int, forwards: int) -> None:
    model = Counting(clock, seconds)
    outcome = Throughput().evaluate(model, None, ThroughputSettings(seconds=30, image_size=4), Compute())
    assert (outcome.details["forwards"], len(model.shapes)) == (counted, forwards)
    assert outcome.metrics["images_per_second"] == pytest.approx(128 / seconds)
    assert model.shapes[0] == (128, 3, 4, 4)


def test_out_of_memory_says_what_to_do(clock: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Counting, images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("no")

    monkeypatch.setattr(Counting, "forward", fail)
    with pytest.raises(SettingsError, match=r"128 images of 8 pixels[\s\S]*--set batch_size=N"):
        Throughput().evaluate(Counting(clock, 1), None, ThroughputSettings(), Compute())


@pytest.mark.parametrize(
    ("name", "parameters_m", "tokens", "dim"),
    [
        ("vit_small_patch16_224", 21.67, 197, 384),
        ("resnet50", 23.51, None, 2048),
        ("vit_small_patch14_reg4_dinov2", 22.06, 1374, 384),
    ],
)
def test_columns_of_table_2(name: str, parameters_m: float, tokens: int | None, dim: int) -> None:
    """DINO: 21 M, 197 tokens, 384; 23 M, 2048. DINOv2 with 4 registers at 518 pixels: 37 * 37 + 1 + 4."""
    model = load_model(f"random_{name}")
    outcome = Throughput().evaluate(
        model,
        None,
        ThroughputSettings(batch_size=1, repeats=1, warmup=0, image_size=518 if "reg4" in name else 224),
        Compute(),
    )
    assert outcome.metrics["parameters_m"] == pytest.approx(parameters_m, abs=0.01)
    assert outcome.metrics.get("tokens") == tokens
    assert outcome.metrics["embed_dim"] == dim


@pytest.mark.gpu
def test_on_the_gpu() -> None:
    compute = Compute(device=torch.device("cuda", 0), precision="bf16")
    model = load_model("random_vit_tiny_patch16_224", device=compute.device)
    assert Throughput().evaluate(model, None, ThroughputSettings(repeats=3), compute).metrics["images_per_second"] > 0
