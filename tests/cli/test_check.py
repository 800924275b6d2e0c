"""``check``: what does not fit between card and file, what would, and a card for a file that has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from command import Done, ssl_bench
from proofs import PROOFS
from proofs.proof import Proof

from ssl_bench import registry
from ssl_bench.backbones.preflight import preflight
from ssl_bench.compute import Compute
from ssl_bench.model_files import model_of_file

pytestmark = pytest.mark.usefixtures("fresh_registry")


def proof(model: str, form: str = "") -> Proof:
    return next(p for p in PROOFS if (p.model, p.form) == (model, form))


def save(model: str, path: Path, form: str = "") -> Path:
    """The official file at true size, small in bytes: every tensor repeats one number."""
    found = proof(model, form)
    torch.save(found.file({name: torch.tensor(0.01).expand(shape) for name, shape in found.full.items()}), path)
    return path


def check(folder: Path, weights: str, arch: str = "resnet50", **more: Any) -> Done:
    registry.registry.cache_clear()
    registry._CURRENT.clear()
    fields = {"arch": arch, "weights": {"path": weights, "layout": more.pop("layout", "moco")}, **more}
    (folder / "card.yaml").write_text(yaml.safe_dump({"method": "mine", "models": {"mine": fields}}))
    return ssl_bench("check", folder / "card.yaml", "--json")


def problem(done: Done, what: str = "tensors") -> str:
    assert done.code == 2
    assert next(row["check"] for row in done.json if row["result"] != "ok") == what
    return str(next(row["result"] for row in done.json if row["check"] == what))


def test_a_wrong_layout_is_named_with_the_right_one(tmp_path: Path) -> None:
    save("mocov2_resnet50", tmp_path / "moco.pth")
    said = problem(check(tmp_path, "moco.pth", layout="flat"))
    assert "0 of 318 tensors match" in said
    assert "This looks like a moco file: write layout: moco." in said
    assert "write layout: moco." in problem(check(tmp_path, "moco.pth", layout="mocoo"))


def test_a_wrong_network_is_named_with_the_right_one(tmp_path: Path) -> None:
    save("mocov2_resnet50", tmp_path / "moco.pth")
    said = problem(check(tmp_path, "moco.pth", "resnet101"))
    assert "255 missing: layer3.6.conv1.weight" in said
    assert said.endswith("write arch: resnet50.")
    save("dino_vitb16", tmp_path / "b16.pth", "flat")
    said = problem(check(tmp_path, "b16.pth", "vit_small_patch16_224", layout="dino"))
    assert "cls_token 1x1x768 instead of 1x1x384" in said
    assert said.endswith("write arch: vit_base_patch16_224.")
    said = problem(check(tmp_path, "b16.pth", "vit_smal_patch16_224", layout="dino"), "network")
    assert "Did you mean: vit_small_patch16_224" in said


def test_a_wrong_number_of_heads_is_not_talked_away(tmp_path: Path) -> None:
    save("mocov3_vits16", tmp_path / "m3.pth")
    said = problem(check(tmp_path, "m3.pth", "vit_small_patch16_224", layout="mocov3"))
    assert "has 6 heads" in said
    assert said.endswith("Write arch_args: {num_heads: 12} in the card.")


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"<html>Not found</html>", "is a web page"), (b"", "is empty"), (None, "there is no such file")],
)
def test_a_file_that_is_no_checkpoint(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "moco.pth").write_bytes(content)
    assert says in problem(check(tmp_path, "moco.pth"), "file")


def test_a_file_that_is_cut_off(tmp_path: Path) -> None:
    whole = save("mocov2_resnet50", tmp_path / "moco.pth").read_bytes()
    (tmp_path / "moco.pth").write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut off" in problem(check(tmp_path, "moco.pth"), "file")


def test_a_file_of_nothing_known(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "moco.pth")
    assert "No layout here finds anything" in problem(check(tmp_path, "moco.pth"))
    done = ssl_bench("check", tmp_path / "moco.pth")
    assert done.code == 2
    assert done.out == ""
    assert "At its top: x." in done.err


def test_a_wrong_field_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("method: mine\nmodels:\n  mine:\n    archi: resnet50\n")
    done = ssl_bench("check", tmp_path / "card.yaml")
    assert done.code == 2
    assert "card.yaml:4: models.mine.archi: there is no such field." in done.err


@pytest.mark.parametrize(
    ("model", "form", "arch", "layout"),
    [
        ("mocov2_resnet50", "", "resnet50", "moco"),
        ("dino_vits16", "full", "vit_small_patch16_224", "dino"),
        ("mocov3_vits16", "", "vit_small_patch16_224", "mocov3"),
        ("swav_resnet50w2", "", "resnet50w2", "swav"),
    ],
)
def test_a_checkpoint_without_card_gets_one(tmp_path: Path, model: str, form: str, arch: str, layout: str) -> None:
    path = save(model, tmp_path / "mine.pth", form)
    done = ssl_bench("check", path)
    assert done.code == 0, done.err
    assert len(done.out.splitlines()) <= 12
    card = yaml.safe_load(done.out)["models"]["mine"]
    assert (card["arch"], card["weights"]) == (arch, {"path": str(path), "layout": layout})
    assert card.get("arch_args") == ({"num_heads": 12} if model == "mocov3_vits16" else None)
    assert "tensors" in done.err
    (tmp_path / "card.yaml").write_text(done.out)
    assert [found.problem for found in preflight(model_of_file(str(tmp_path / "card.yaml")), Compute())] == [None] * 3


def test_student_and_teacher_are_told_apart(tmp_path: Path) -> None:
    found = proof("dino_vits16", "full")
    torch.save(found.file({name: torch.ones(shape) for name, shape in found.full.items()}), tmp_path / "run.pth")
    said = ssl_bench("check", tmp_path / "run.pth", "--json").json["notes"]
    assert any("dino_student" in note and "other values" in note for note in said)


def test_a_missing_file_is_no_missing_model(tmp_path: Path) -> None:
    done = ssl_bench("check", tmp_path / "nowhere.pth")
    assert done.code == 2
    assert "nowhere.pth cannot be read" in done.err


def test_networks_that_shapes_cannot_tell_apart_are_named(tmp_path: Path) -> None:
    """ViT-B/32 of OpenAI and of LAION differ in one activation only."""
    save("openclip_vitb32_laion2b", tmp_path / "clip.pt", "flat")
    said = " ".join(ssl_bench("check", tmp_path / "clip.pt", "--json").json["notes"])
    assert "ViT-B-32" in said
    assert "has tensors of the same shapes" in said
