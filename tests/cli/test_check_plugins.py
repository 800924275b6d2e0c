"""``check`` on a stranger's models: every broken promise is named exactly; what is not offered is no failure."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from command import Done, ssl_bench

from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.preflight import Finding
from ssl_bench.compute import Compute
from ssl_bench.conformance.inputs import samples
from ssl_bench.conformance.tiny import TASKS
from ssl_bench.registry import PROTOCOLS, registry
from ssl_bench.submission import contract

PLUGINS = Path(__file__).parent.parent / "third_party" / "models.py"
pytestmark = pytest.mark.usefixtures("fresh_registry")


def findings(name: str) -> dict[str, Finding]:
    registry().include(PLUGINS)
    backbone = load_model(f"stranger_{name}")
    return {found.what: found for found in contract(backbone, samples(backbone, Compute()), {})}


def card(folder: Path, **fields: object) -> Path:
    path = folder / "card.yaml"
    path.write_text(yaml.safe_dump({"method": "mine", "models": {"mine": fields}}))
    return path


def results(done: Done) -> dict[str, str]:
    return {row["check"]: row["result"] for row in done.json}


def test_a_good_model_keeps_the_whole_contract() -> None:
    found = findings("Good")
    assert [name for name, finding in found.items() if not finding.ok] == []
    assert [name for name, finding in found.items() if not finding.offered] == ["offers a text tower"]
    assert found["offers layers"].about == "2, the last (8, 4, 4) and a class token"
    assert found["offers attention"].about == "2 heads"


@pytest.mark.parametrize(
    ("name", "what", "said"),
    [
        ("WrongPyramid", "offers a pyramid", "pyramid: level 2 is (B, 8, 3, 3), stride 16 of a 32 x 32 image is 2 x 2"),
        ("ShortPyramid", "offers a pyramid", "pyramid: 3 levels, not one for each of the strides 4, 8, 16 and 32"),
        ("LoudAttention", "offers attention", "attention: a head sums to 5 over the patches, not at most 1"),
        ("SignedAttention", "offers attention", "not 0 or more: softmax missing?"),
        ("SwappedLayers", "offers layers of other sizes", "map of a 32 x 64 image is 8 x 4, which no stride gives"),
        ("ReversedLayers", "offers layers", "the last of all layers is not the one that layers(images) gives"),
        ("NarrowToken", "offers layers", "layers: block 0: class token is (2, 4), not (2, 8)"),
        ("FailingLayers", "offers layers", "KeyError: 'block12'"),
        ("Dropping", "gives the same vectors twice", "is something random in evaluation mode?"),
        ("NotFinite", "gives (B, embed_dim) vectors", "forward of 4 samples is not finite (100% of its values)"),
        ("BatchStatistics", "treats each sample alone", "between batches of 4, 2 and 1): batch norm in training mode?"),
        ("Constant", "tells samples apart", "all samples get the same vector"),
        ("TwoDimsAtTwo", "gives (B, embed_dim) vectors", "forward of 4 samples is (4, 8, 1), not (4, 8)"),
        ("Training", "is in evaluation mode", "in training mode: mix"),
    ],
)
def test_a_broken_promise_is_named(name: str, what: str, said: str) -> None:
    failed = {finding.what: finding.problem for finding in findings(name).values() if not finding.ok}
    assert said in (failed.get(what) or f"{what} did not fail; {failed} did")


def test_wrong_vectors_end_the_questions() -> None:
    assert list(findings("Dropping"))[-1] == "gives the same vectors twice"


def test_a_network_of_one_size_is_no_failure() -> None:
    found = findings("OneSize")
    assert all(finding.ok for finding in found.values())
    assert not found["offers vectors of other sizes"].offered
    assert "expected 32 x 32" in found["offers vectors of other sizes"].about
    assert found["offers layers of other sizes"].offered


def test_every_protocol_has_a_tiny_task() -> None:
    tasks = [tiny.task for kind in TASKS.values() for tiny in kind]
    assert {registry().task(task).protocol for task in tasks} == set(PROTOCOLS)
    assert len(tasks) == len(set(tasks))


def test_what_a_vit_offers_runs(tmp_path: Path) -> None:
    """All protocols of images but the one that reads texts; it fails in none."""
    sizes = {"img_size": 32, "patch_size": 8, "dim": 24, "depth": 4, "class_token": True}
    done = ssl_bench("check", card(tmp_path, arch="vit_small32", arch_args=sizes, preprocess="small32"), "--json")
    assert done.code == 0, done.out
    left_out = {check for check, result in results(done).items() if result == "not offered"}
    assert left_out == {"offers a text tower", "runs zero_shot_shapes"}
    assert len(results(done)) > 30
    assert "checks passed, in" in done.err


@pytest.mark.parametrize(
    ("modality", "arch", "sizes"),
    [
        ("video", "video_vit", {"embed_dim": 24, "depth": 2, "num_heads": 2, "frames": 4, "img_size": 32}),
        (
            "audio",
            "vit_base_patch16_224",
            {"img_size": [96, 32], "in_chans": 1, "embed_dim": 24, "depth": 2, "num_heads": 2},
        ),
    ],
)
def test_networks_of_clips_and_of_spectrograms_run_their_tasks(
    tmp_path: Path, modality: str, arch: str, sizes: dict[str, object]
) -> None:
    grey = {"resize": None, "crop": None, "mean": [0, 0, 0], "std": [1, 1, 1]}
    path = card(tmp_path, arch=arch, arch_args=sizes, modality=modality, preprocess=grey, embedding="default")
    done = ssl_bench("check", path, "--json")
    assert done.code == 0, done.out
    ran = {check for check, result in results(done).items() if check.startswith("runs ") and result == "ok"}
    assert ran == {f"runs {tiny.task}" for tiny in TASKS[modality]}  # type: ignore[index]


def test_a_broken_part_keeps_its_tasks_from_running_and_no_others(tmp_path: Path) -> None:
    plugin = tmp_path / "loud.py"
    source = PLUGINS.read_text().replace("for kind in (Good, *BROKEN)", "for kind in (LoudAttention,)")
    plugin.write_text(source)
    done = ssl_bench("check", plugin, "--json")
    assert done.code == 2
    found = {row["check"]: row for row in done.json}
    assert [row["check"] for row in done.json if row["result"] not in {"ok", "not offered"}] == ["offers attention"]
    assert found["runs attention_shapes"]["found"] == "not tried: attention failed"
    assert found["runs knn_shapes"]["result"] == found["runs detect_shapes"]["result"] == "ok"
    assert "1 of " in done.err
