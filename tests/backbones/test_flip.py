"""What would become of FLIP's weights if they were loaded the wrong way."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from proofs.flip import content, flip_forward, flip_shapes, save_folder
from proofs.proof import Proof, Tensors

from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError
from ssl_bench.registry import registry

DIM, HEADS = 48, 4
IMAGES = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(3))
AT = "Transformer/encoderblock_00/MultiHeadDotProductAttention_0"


SMALL = {"embed_dim": DIM, "num_heads": HEADS, "depth": 1}


def card(**changes: Any) -> ModelCard:
    found = registry().model("flip_vitl16")
    assert isinstance(found, ModelCard)
    arch_args = {**found.arch_args, **SMALL, **changes.pop("arch_args", {})}
    return found.model_copy(update={"arch_args": arch_args, **changes})


def features(model: ModelCard, path: Path) -> torch.Tensor:
    with torch.no_grad():
        found: torch.Tensor = load_model(model, weights=path)(IMAGES)
    return found


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    return Proof("flip_vitl16", flip_shapes(DIM, 1, 16), {}, partial(flip_forward, HEADS)).tensors()


@pytest.fixture(scope="module")
def path(tensors: Tensors, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_folder(content(tensors), tmp_path_factory.mktemp("flip"))


@pytest.mark.parametrize(
    ("wrong", "least"),
    [
        ({"embedding": "mean_patch"}, 1e-3),
        ({"embedding": "cls"}, 0.1),
        ({"arch_args": {"act_layer": "gelu"}}, 1e-5),
    ],
    ids=["without the class token", "the class token alone", "the exact GELU"],
)
def test_what_fits_and_is_wrong(wrong: dict[str, Any], least: float, path: Path, tensors: Tensors) -> None:
    found, right = features(card(**wrong), path), flip_forward(HEADS, tensors, IMAGES)
    assert float((found - right).norm() / right.norm()) > least
    torch.testing.assert_close(features(card(), path), right, rtol=1e-3, atol=2e-4 * float(right.abs().max()))


def test_the_class_token_has_no_position(path: Path) -> None:
    """The code adds the table's other rows only, whatever the first one holds."""
    table = load_model(card(), weights=path).state_dict()["module.pos_embed"]
    assert not table[:, 0].any()
    assert table[:, 1:].any(dim=-1).all()


def test_query_key_and_value_keep_their_order(path: Path, tensors: Tensors) -> None:
    """All three are squares: in another order, or without the transposition, they would fit too."""
    fused = load_model(card(), weights=path).state_dict()["module.blocks.0.attn.qkv.weight"]
    for found, name in zip(fused.chunk(3), ("query", "key", "value"), strict=True):
        assert torch.equal(found, tensors[f"{AT}/{name}/kernel"].T)


@pytest.mark.parametrize(
    "name",
    [
        f"{AT}/key_more/kernel",
        f"{AT}/query/scale",
        "Transformer/encoderblock_0/LayerNorm_0/scale",
        "Transformer/encoderblock_00/LayerNorm_0/kernel",
        "embedding/scale",
    ],
)
def test_a_second_tensor_for_one_place_is_left_over(name: str, tensors: Tensors, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="1 left over"):
        load_model(card(), weights=save_folder(content({**tensors, name: torch.ones(DIM)}), tmp_path))


@pytest.mark.parametrize("shape", [None, (DIM, 2 * DIM)])
def test_a_query_without_its_partners(shape: tuple[int, ...] | None, tensors: Tensors, tmp_path: Path) -> None:
    changed = {name: t for name, t in tensors.items() if name != f"{AT}/key/kernel"}
    if shape:
        changed[f"{AT}/key/kernel"] = torch.ones(shape)
    with pytest.raises(CheckpointError, match=r"1 missing: blocks\.0\.attn\.qkv\.weight"):
        load_model(card(), weights=save_folder(content(changed), tmp_path))


def test_other_files_are_told(tmp_path: Path) -> None:
    torch.save({"model": {"cls_token": torch.ones(1)}}, tmp_path / "mae.pth")
    with pytest.raises(CheckpointError, match="no target/img_encoder"):
        load_model(card(), weights=tmp_path / "mae.pth")


def test_the_whole_shorter_side_is_seen() -> None:
    """eval_pad 0: the largest square, from the middle, then bicubic to 224."""
    for name in ("flip_vitl16", "flip_vith14"):
        found = registry().model(name)
        assert isinstance(found, ModelCard)
        given = found.preprocess
        assert (given.resize, given.crop, given.crop_first, given.interpolation) == (224, 224, "down", "bicubic")
        assert found.licence == "CC-BY-NC-4.0"
