"""``list models``, ``show model`` and ``doctor --models``: the zoo as the user sees it."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from command import ssl_bench
from proofs import PROOFS

from ssl_bench.cards import ModelCard, PreprocessCard
from ssl_bench.model_words import preprocess_in_words, vector_in_words
from ssl_bench.registry import registry


def listed(*filters: object) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in ssl_bench("list", "models", *filters, "--json").json}


def card(name: str) -> ModelCard:
    found = registry().model(name)
    assert isinstance(found, ModelCard)
    return found


def checkpoints() -> Path:
    folder = Path(os.environ["SSL_BENCH_CACHE"]) / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def official(model: str, form: str, fill: float = 0.01) -> Path:
    """The official file in the cache, under its address's own name."""
    proof = next(p for p in PROOFS if (p.model, p.form) == (model, form))
    weights = card(model).weights
    assert weights is not None
    assert weights.url is not None
    path = checkpoints() / weights.url.rsplit("/", 1)[-1]
    torch.save(proof.file({name: torch.tensor(fill).expand(shape) for name, shape in proof.full.items()}), path)
    return path


def pin(path: Path, model: str) -> str:
    weights = card(model).weights
    assert weights is not None
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    (checkpoints() / "lock.json").write_text(json.dumps({weights.url: {"file": path.name, "sha256": sha256}}))
    return sha256


def test_models_are_filtered_by_what_their_cards_say() -> None:
    everything = listed()
    assert set(listed("--licence", "apache")) == {n for n, r in everything.items() if "Apache" in (r["licence"] or "")}
    assert set(listed("--method", "MoCo")) == {n for n, r in everything.items() if "moco" in r["method"]}
    assert {"dino_vits16", "dino_resnet50"} <= set(listed("--pretrained-on", "imagenet", "--max-params", 30))
    assert {row["M params"] <= 30 for row in listed("--max-params", 30).values()} == {True}
    assert {row["M params"] >= 300 for row in listed("--min-params", 300).values()} == {True}
    assert listed("--modality", "image").keys() >= {"dino_vits16"}
    assert "dino_vits16" not in listed("--modality", "video")
    free = listed("--commercial")
    assert "dino_vits16" in free
    assert "mae_vitb16" not in free
    assert {row["use"] for row in free.values()} == {""}
    assert everything["mae_vitb16"]["use"] == "non-commercial"


def test_models_whose_file_is_here() -> None:
    assert listed("--cached") == {}
    official("dino_vits16", "flat")
    assert set(listed("--cached")) == {"dino_vits16"}
    assert listed()["dino_vits16"]["weights"] == "url, cached"


def test_a_filter_of_models_is_refused_elsewhere() -> None:
    done = ssl_bench("list", "tasks", "--min-params", 3)
    assert done.code == 2
    assert "--min-params does not filter tasks" in done.err


def test_show_says_what_a_newcomer_must_know() -> None:
    said = ssl_bench("show", "model", "mocov3_vits16").out
    for text in (
        "CC-BY-NC-4.0: non-commercial use only",
        "num_heads = 12",
        "21,665,664",
        "shorter side to 256 pixels, bilinear",
        "central 224 x 224 pixels",
        "class token of the last block, after the final norm; 384 numbers",
        "vit-s-300ep.pth.tar",
        "imagenet, no labels, 300 epochs",
        "ssl-bench run --model mocov3_vits16",
    ):
        assert text in said, text


def test_show_says_where_a_file_comes_from_that_has_no_address() -> None:
    said = ssl_bench("show", "model", "cae_vitb16").out
    assert "by hand, from https://drive.google.com" in said
    assert "not stated: ask the authors" in said
    assert "--model cae_vitb16 --weights PATH" in said
    assert "coming soon" in ssl_bench("show", "model", "sdae_vitb16").out


def test_show_knows_whether_the_file_is_the_pinned_one() -> None:
    def state() -> str:
        return str(ssl_bench("show", "model", "dino_vits16", "--json").json["stored"]["state"])

    assert ssl_bench("show", "model", "dino_vits16", "--json").json["stored"] is None
    path = official("dino_vits16", "flat")
    assert state() == "not pinned yet: the first load pins it"
    sha256 = pin(path, "dino_vits16")
    assert state() == "verified: sha256 as pinned"
    said = ssl_bench("show", "model", "dino_vits16").out
    assert str(path) in said
    assert sha256 in said
    official("dino_vits16", "flat", fill=0.02)
    assert state().startswith("CHANGED")


@pytest.mark.parametrize(
    ("transform", "first"),
    [
        ({}, "shorter side to 256 pixels, bicubic"),
        ({"resize": 224, "squash": True}, "both sides to 224 pixels, bicubic"),
        ({"resize": None}, "central 224 x 224 pixels"),
        ({"resize": None, "crop": None}, "the image in its own size"),
        ({"crop_first": "down"}, "central square of 224/256 of the shorter side (side rounded down), then resized to"),
    ],
)
def test_transforms_in_words(transform: dict[str, Any], first: str) -> None:
    said = preprocess_in_words(PreprocessCard(**transform))
    assert said[0].startswith(first)
    assert said[-1] == "mean 0.485 0.456 0.406, std 0.229 0.224 0.225 (ImageNet's)"


def test_vectors_in_words() -> None:
    assert vector_in_words("last4_cls", 1536).startswith("last4_cls: class tokens of the last 4 blocks")
    assert vector_in_words("last1_cls_mean", None).endswith("then the mean patch token of the last block")


def test_every_vector_of_the_zoo_has_words() -> None:
    cards = [registry().models.get(name) for name in registry().models]
    names = {v for c in cards if isinstance(c, ModelCard) for v in (c.embedding, *c.embeddings.values())}
    assert [name for name in names if "of its own kind" in vector_in_words(name, None)] == []


def states() -> dict[str, str]:
    return {row["file"]: row["state"] for row in ssl_bench("doctor", "--models", "--json").json}


def test_doctor_verifies_every_checkpoint() -> None:
    assert states() == {}
    vit = official("dino_vits16", "flat")
    resnet = official("mocov2_resnet50", "")
    assert states() == {vit.name: "ok", resnet.name: "ok"}
    pin(vit, "dino_vits16")
    assert ssl_bench("doctor", "--models").code == 0
    official("dino_vits16", "flat", fill=0.02)
    whole = resnet.read_bytes()
    resnet.write_bytes(whole[: len(whole) // 2])
    torch.save({"x": torch.ones(3)}, checkpoints() / "mae_pretrain_vit_base.pth")
    torch.save({"x": torch.ones(3)}, checkpoints() / "mine.pth")
    (checkpoints() / "r-50-1000ep.pth.tar.part").write_bytes(b"half")
    assert states() == {
        vit.name: "changed",
        resnet.name: "damaged",
        "mae_pretrain_vit_base.pth": "does not fit",
        "mine.pth": "unknown file",
        "r-50-1000ep.pth.tar.part": "unfinished",
    }
    done = ssl_bench("doctor", "--models")
    assert done.code == 1
    assert "3 of 5 cannot be used" in done.err


def test_the_cache_knows_its_pins() -> None:
    path = official("dino_vits16", "flat")
    assert [row["about"] for row in ssl_bench("cache", "list", "--json").json] == ["not pinned"]
    pin(path, "dino_vits16")
    assert [row["about"] for row in ssl_bench("cache", "list", "--json").json] == ["pinned"]
    assert ssl_bench("cache", "verify").code == 0
    official("dino_vits16", "flat", fill=0.02)
    assert ssl_bench("cache", "verify").code == 2
