"""The examples of docs/add-a-model.md work, and its table has every layout."""

import hashlib
import io
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import yaml
from command import ssl_bench

from ssl_bench import registry as registry_module
from ssl_bench.backbones.layouts import LAYOUTS
from ssl_bench.backbones.load import load_model
from ssl_bench.errors import CheckpointError
from ssl_bench.model_files import model_of_file, read_models
from ssl_bench.registry import registry

PAGE = Path(__file__).parents[2] / "docs" / "add-a-model.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)


def test_cards(vit_tensors: Any, tmp_path: Path) -> None:
    _, first, second = blocks("yaml")
    for name, text in (("my_models.yaml", first), ("second.yaml", second)):
        (tmp_path / name).write_text(text)
    torch.save(vit_tensors(384, 12, 16, 197), tmp_path / "my_dino.pth")
    assert load_model(str(tmp_path / "my_models.yaml")).embed_dim == 384
    (card,) = read_models(tmp_path / "second.yaml")
    assert (card.preprocess.resize, card.preprocess.std) == (512, (0.5, 0.5, 0.5))


def test_message(vit_tensors: Any, tmp_path: Path) -> None:
    (tmp_path / "my_models.yaml").write_text(blocks("yaml")[1])
    tensors = vit_tensors(384, 12, 16, 197)
    del tensors["norm.bias"]
    torch.save(tensors, tmp_path / "my_dino.pth")
    with pytest.raises(CheckpointError) as caught:
        load_model(model_of_file(str(tmp_path / "my_models.yaml")))
    assert blocks("text")[0].strip() in str(caught.value)


def test_plugin(fresh_registry: None, tmp_path: Path) -> None:
    (tmp_path / "my_plugin.py").write_text(blocks("python")[0])
    registry().include(tmp_path / "my_plugin.py")
    backbone = load_model("tiny_mean")
    assert backbone.embed_dim == 48
    assert backbone.preprocess.card.crop == 32


def moco_resnet18() -> bytes:
    """What a MoCo run of a ResNet-18 saves (contrastive.md): query and key encoder, heads, queue."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = timm.create_model("resnet18", num_classes=0).state_dict()
    tensors = {f"module.encoder_{tower}.{name}": t.clone() for tower in "qk" for name, t in backbone.items()}
    heads = {f"module.encoder_{tower}.fc.weight": torch.zeros(128, 512) for tower in "qk"}
    content = {
        "epoch": 200,
        "arch": "resnet18",
        "state_dict": {**tensors, **heads, "module.queue": torch.zeros(128, 64)},
    }
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.usefixtures("fresh_registry")
def test_the_walk_from_an_address_to_a_record(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command of the section, in order, and every line that it prints there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SSL_BENCH_RESULTS")
    site.files["my_moco.pth.tar"] = moco_resnet18()
    page = PAGE.read_text(encoding="utf-8")
    section = page[page.index("## From an address") : page.index("## A card")].replace(
        "http://localhost:8000", site.address
    )
    card = re.search(r"```yaml\n(.*?)```", section, re.S)
    assert card
    made = ""
    for block in re.findall(r"```console\n(.*?)```", section, re.S):
        for step in block.split("$ ssl-bench ")[1:]:
            command, *printed = step.strip().splitlines()
            command, _, target = command.partition(" > ")
            registry_module.registry.cache_clear()
            registry_module._CURRENT.clear()
            done = ssl_bench(*shlex.split(command))
            assert done.code == 0, done.err
            said = words(done.out + done.err)
            assert [line for line in printed if words(line) not in said] == [], command
            if target:
                made = done.out
                (tmp_path / target).write_text(card[1])
    guessed, written = (yaml.safe_load(text)["models"]["my_moco"] for text in (made, card[1]))
    assert {key: guessed[key] for key in ("arch", "weights")} == {key: written[key] for key in ("arch", "weights")}
    (record,) = (tmp_path / "results" / "measured").glob("my_moco/knn_placed_digits/*.json")
    weights = json.loads(record.read_text())["weights"]
    assert weights["source"] == site.url("my_moco.pth.tar")
    assert weights["sha256"] == hashlib.sha256(site.files["my_moco.pth.tar"]).hexdigest()
    assert weights["matched"] == weights["total"] == 120


def test_every_layout_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [name for name in LAYOUTS if f"`{name}`" not in page] == []
