"""What is said when a file does not fit, and where a wrong network would have taken it. That every card's file fits its network
is proven in test_proofs.py."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from proofs.negative_free import full_dino
from proofs.proof import Proof, Tensors
from proofs.resnets import THIN, resnet_forward, thin_shapes, wide_shapes
from proofs.vits import cls_after_norm

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.layouts import LAYOUTS, convert
from ssl_bench.backbones.layouts.match import problems_of
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard, Weights
from ssl_bench.errors import CheckpointError, UnknownNameError
from ssl_bench.registry import registry

TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}


def card(name: str, **arch_args: Any) -> ModelCard:
    """The shipped card of a ViT, with two blocks of width 24."""
    given = registry().model(name)
    assert isinstance(given, ModelCard)
    return given.model_copy(update={"arch_args": {**TINY, **arch_args}})


def change(tensors: Tensors, how: str) -> Tensors:
    changed = dict(tensors)
    if how == "missing":
        del changed["blocks.1.mlp.fc1.bias"]
    elif how == "left over":
        changed["blocks.2.norm1.bias"] = torch.zeros(24)
    elif how == "transposed":
        changed["blocks.0.mlp.fc2.weight"] = changed["blocks.0.mlp.fc2.weight"].T.contiguous()
    elif how == "integer":
        changed["norm.weight"] = changed["norm.weight"].long()
    elif how == "not finite":
        changed["cls_token"] = changed["cls_token"] * float("nan")
    return changed


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", r"1 missing: blocks\.1\.mlp\.fc1\.bias\."),
        ("left over", r"1 left over: blocks\.2\.norm1\.bias\."),
        ("transposed", r"1 mis-shaped: blocks\.0\.mlp\.fc2\.weight 96x24 instead of 24x96\."),
        ("integer", r"1 of another type: norm\.weight torch\.int64"),
        ("not finite", r"1 with values that are not finite: cls_token\."),
    ],
)
def test_the_wrong_tensor_is_named(how: str, said: str, vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    torch.save(change(vit_tensors(24, 2), how), tmp_path / "wrong.pth")
    count = 30 if how == "left over" else 29
    with pytest.raises(CheckpointError, match=rf"{count} of 30 backbone tensors match. {said}"):
        load_model(card("dino_vits16"), weights=tmp_path / "wrong.pth")


def test_another_architecture_is_refused(vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({name: torch.zeros(shape) for name, shape in thin_shapes().items()}, path)
    with pytest.raises(CheckpointError, match="0 of 30 backbone tensors"):
        load_model(card("dino_vits16"), weights=path)
    torch.save(vit_tensors(24, 2, 8, 785), path)
    with pytest.raises(CheckpointError, match=r"2 mis-shaped: pos_embed 1x785x24 instead of 1x197x24"):
        load_model(card("dino_vits16"), weights=path)
    torch.save(vit_tensors(24, 3), path)
    with pytest.raises(CheckpointError, match=r"12 left over: blocks\.2\.attn\.qkv\.weight, .*, \.\.\.\."):
        load_model(card("dino_vits16"), weights=path)


def test_another_number_of_heads_is_refused_where_shapes_tell(
    vit_tensors: Callable[..., Tensors], tmp_path: Path
) -> None:
    """With normalised queries the head's width has tensors of its own; without them shapes cannot tell."""
    path = tmp_path / "heads.pth"
    norms = {f"blocks.{i}.attn.{n}_norm.{p}": torch.ones(12) for i in (0, 1) for n in "qk" for p in ("weight", "bias")}
    torch.save({**vit_tensors(24, 2), **norms}, path)
    load_model(card("dino_vits16", qk_norm=True), weights=path)
    with pytest.raises(CheckpointError, match="8 mis-shaped: blocks.0.attn.q_norm.weight 12 instead of 8"):
        load_model(card("dino_vits16", qk_norm=True, num_heads=3), weights=path)


def test_mocov3s_twelve_heads_are_not_six(vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    """Every shape is the same and the features are not: a card that says nothing of heads is refused, with what to write."""
    tensors = vit_tensors(384, 2)
    # Attention far from uniform, as a trained network's: otherwise the number of heads hardly matters.
    tensors = {name: 30 * t if name.endswith("qkv.weight") else t for name, t in tensors.items()}
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))
    twelve, six = (cls_after_norm(heads)(tensors, images) for heads in (12, 6))
    assert (twelve - six).abs().max() > 0.1 * twelve.abs().max()
    shipped = registry().model("mocov3_vits16")
    assert isinstance(shipped, ModelCard)
    torch.save({"state_dict": {f"module.base_encoder.{name}": t for name, t in tensors.items()}}, tmp_path / "vit.pth")
    silent = shipped.model_copy(update={"arch_args": {"depth": 2}})
    with pytest.raises(
        CheckpointError, match=r"(?s)has 6 heads, the authors' network of width 384 has 12.*num_heads: 12"
    ):
        load_model(silent, weights=tmp_path / "vit.pth")
    with torch.no_grad():
        found = load_model(
            shipped.model_copy(update={"arch_args": {**shipped.arch_args, "depth": 2}}), weights=tmp_path / "vit.pth"
        )(images)
    torch.testing.assert_close(found, twelve, rtol=2e-4, atol=2e-4)


def test_one_file_two_models(vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    """A full file of DINO holds student and teacher: the hash is the same, so something else keeps their cached features
    apart."""
    path, images = tmp_path / "full.pth", torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    teacher = vit_tensors(24, 2, seed=1)
    torch.save(full_dino("backbone.")(teacher), path)
    chosen = card("dino_vits16")
    of_teacher = load_model(chosen, weights=path)
    of_student = load_model(chosen.model_copy(update={"weights": Weights(layout="dino_student")}), weights=path)
    assert of_teacher.definition != of_student.definition
    student = {name: tensor + 1 for name, tensor in teacher.items()}
    for backbone, tensors in ((of_teacher, teacher), (of_student, student)):
        torch.testing.assert_close(backbone(images), cls_after_norm(2)(tensors, images), rtol=2e-4, atol=2e-4)


def test_counters_of_batch_norm_may_be_there_or_not(tmp_path: Path) -> None:
    """They are absent from files older than torch 0.4.1, and enter no feature."""
    shipped = registry().model("supervised_resnet50")
    assert isinstance(shipped, ModelCard)
    thin, path = shipped.model_copy(update={"arch_args": THIN}), tmp_path / "resnet.pth"
    proof = Proof("supervised_resnet50", thin_shapes(), {}, resnet_forward, image=(3, 64, 64))
    tensors, images = proof.tensors(), proof.images()
    norms = [name for name in tensors if name.endswith("running_var")]
    counters = {name.replace("running_var", "num_batches_tracked"): torch.tensor(7) for name in norms}
    for content in (tensors, {**tensors, **counters}):
        torch.save(content, path)
        backbone = load_model(thin, weights=path)
        assert backbone.weights is not None
        assert backbone.weights.matched == len(content)
        torch.testing.assert_close(backbone(images), resnet_forward(tensors, images), rtol=2e-4, atol=2e-4)


def test_wide_networks_widen_every_layer() -> None:
    """swav_resnet50w2 and vicreg_resnet50w2: the stem too, so timm's wide_resnet50_2 is another network."""
    wide = wide_shapes(2)
    assert wide["conv1.weight"] == (128, 3, 7, 7)
    assert wide["layer4.2.conv3.weight"] == (4096, 1024, 1, 1)
    with torch.device("meta"):
        module, other = build("resnet50w2"), timm.create_model("wide_resnet50_2", num_classes=0)
    problems, _ = problems_of(convert(other.state_dict(), LAYOUTS["vicreg"], module), module)
    assert any("conv1.weight 64x3x7x7 instead of 128x3x7x7" in problem for problem in problems)


def test_file_without_tensors_and_unknown_layout(tmp_path: Path) -> None:
    path = tmp_path / "empty.pth"
    torch.save({"epoch": 3, "args": argparse.Namespace()}, path)
    with pytest.raises(CheckpointError, match=r"holds no tensors.*\(model, top level\); its entries are epoch, args"):
        load_model(card("mae_vitb16"), weights=path)
    unknown = card("mae_vitb16").model_copy(update={"weights": Weights(layout="mea")})
    with pytest.raises(UnknownNameError, match="Did you mean: mae"):
        load_model(unknown, weights=path)


def test_layouts_resample_positions_as_their_authors() -> None:
    """DINO's code adds 0.1 to the grid, and iBOT and AttMask are built on it; the others do not."""
    assert {LAYOUTS[name].positions for name in ("dino", "dino_student", "ibot", "ibot_student")} == {"dino"}
    assert {LAYOUTS[name].positions for name in ("mae", "deit", "msn", "ijepa", "ijepa_context", "maskfeat")} == {
        "plain"
    }
