"""Every official file layout, built here with random weights from the fact sheets' names, through the public path."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch

from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard, Weights
from ssl_bench.errors import CheckpointError, UnknownNameError
from ssl_bench.registry import registry

Tensors = dict[str, torch.Tensor]
IMAGES = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
TINY = {"embed_dim": 24, "depth": 2, "num_heads": 2}
SHRINK = {"vit_small": TINY, "vit_base": TINY, "vit_large": TINY, "vit_huge": TINY, "resnet50": {}}


def card(name: str, **changes: Any) -> ModelCard:
    """The shipped card; ViTs with two blocks of width 24, so that a file of megabytes becomes one of kilobytes."""
    given = registry().model(name)
    assert isinstance(given, ModelCard)
    shrink = next(args for arch, args in SHRINK.items() if given.arch.startswith(arch))
    return given.model_copy(update={"arch_args": {**shrink, **changes}})


def tiny(vit_tensors: Callable[..., Tensors], name: str, seed: int = 0) -> Tensors:
    patch = 8 if name.endswith("8") else 14 if name.endswith("14") else 16
    return vit_tensors(24, 2, patch, (224 // patch) ** 2 + 1, seed=seed)


def expected(arch: str, tensors: Tensors, **arguments: Any) -> torch.Tensor:
    """timm's own network with exactly these tensors; its own counters of BatchNorm steps."""
    module = timm.create_model(arch, num_classes=0, **arguments).eval()
    counters = {n: t for n, t in module.state_dict().items() if n.endswith("num_batches_tracked")}
    module.load_state_dict({**counters, **tensors}, strict=True)
    with torch.no_grad():
        return module(IMAGES)


def check(name_or_card: ModelCard | str, content: Any, path: Path, vectors: torch.Tensor) -> None:
    torch.save(content, path)
    backbone = load_model(name_or_card, weights=path)
    with torch.no_grad():
        torch.testing.assert_close(backbone(IMAGES), vectors)
    assert backbone.weights is not None
    assert backbone.weights.matched == backbone.weights.total > 0
    assert not backbone.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def full_dino(teacher: Tensors, student: Tensors, teacher_prefix: str) -> dict[str, Any]:
    """What main_dino.py saves; the arguments are a Namespace, and newer runs name the weight norm differently."""
    head = {"head.mlp.0.weight": torch.randn(8, 4), "head.last_layer.weight_g": torch.ones(6, 1)}
    head |= {"head.last_layer.parametrizations.weight.original1": torch.randn(6, 3)}
    outer = "module." if teacher_prefix.startswith("module.") else ""
    return {
        "student": {**_under("module.backbone.", student), **_under("module.", head)},
        "teacher": {**_under(teacher_prefix, teacher), **_under(outer, head)},
        "optimizer": {"state": {0: {"step": 5, "exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 1e-3}]},
        "epoch": 7,
        "args": argparse.Namespace(arch="vit_small", out_dim=65536, local_crops_scale=(0.05, 0.4)),
        "dino_loss": {"center": torch.zeros(1, 6)},
        "fp16_scaler": {"scale": 65536.0, "_growth_tracker": 0},
    }


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("name", ["dino_vits16", "dino_vits8", "dino_vitb16", "dino_vitb8"])
def test_dino_backbone_files(name: str, vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    tensors, chosen = tiny(vit_tensors, name), card(name)
    check(chosen, tensors, tmp_path / "flat.pth", expected(chosen.arch, tensors, **TINY))


def test_dino_small_of_true_size(vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    tensors = vit_tensors(384, 12, 16, 197)
    check("dino_vits16", tensors, tmp_path / "vits16.pth", expected("vit_small_patch16_224", tensors))


def test_dino_full_file_gives_the_teacher(vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    chosen, path = card("dino_vits16"), tmp_path / "full.pth"
    teacher, student = (tiny(vit_tensors, "dino_vits16", seed) for seed in (1, 2))
    content = full_dino(teacher, student, "backbone.")
    check(chosen, content, path, expected(chosen.arch, teacher, **TINY))
    other = chosen.model_copy(update={"weights": Weights(layout="dino_student")})
    check(other, content, path, expected(chosen.arch, student, **TINY))
    # One file, two models: the hash is the same, so something else must keep their cached features apart.
    definitions = {load_model(c, weights=path).definition for c in (chosen, other)}
    assert len(definitions) == 2


@pytest.mark.parametrize("form", ["flat", "module.", "full"])
def test_dino_resnet50(form: str, resnet50_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    tensors = resnet50_tensors()
    content: Any = tensors if form == "flat" else _under("module.", tensors)
    if form == "full":  # networks with BatchNorm: the teacher is wrapped too
        content = full_dino(tensors, resnet50_tensors(seed=9), "module.backbone.")
    check("dino_resnet50", content, tmp_path / "r50.pth", expected("resnet50", tensors))


@pytest.mark.parametrize("name", ["mae_vitb16", "mae_vitl16", "mae_vith14"])
@pytest.mark.parametrize("decoder", [False, True])
def test_mae_files(name: str, decoder: bool, vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    tensors, chosen = tiny(vit_tensors, name), card(name)
    extra = {"mask_token": 1, "decoder_pos_embed": 2, "decoder_embed.weight": 3, "decoder_blocks.0.norm1.bias": 4}
    content = {"model": {**tensors, **({k: torch.zeros(v) for k, v in extra.items()} if decoder else {})}}
    check(chosen, content, tmp_path / "mae.pth", expected(chosen.arch, tensors, **TINY))


@pytest.mark.parametrize("name", ["supervised_vits16", "supervised_vitb16"])
def test_deit_files(name: str, vit_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    tensors, chosen = tiny(vit_tensors, name), card(name)
    content = {"model": {**tensors, "head.weight": torch.zeros(1000, 24), "head.bias": torch.zeros(1000)}}
    check(chosen, content, tmp_path / "deit.pth", expected(chosen.arch, tensors, **TINY))


@pytest.mark.parametrize("counters", [False, True])
def test_torchvision_resnet50(counters: bool, resnet50_tensors: Callable[..., Tensors], tmp_path: Path) -> None:
    """The counters of BatchNorm are absent from files older than torch 0.4.1; they do not enter any feature."""
    tensors = resnet50_tensors()
    content = {**tensors, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}
    if counters:
        norms = [name for name in tensors if name.endswith("running_var")]
        content |= {name.replace("running_var", "num_batches_tracked"): torch.tensor(7) for name in norms}
    check("supervised_resnet50", content, tmp_path / "r50.pth", expected("resnet50", tensors))


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
@pytest.mark.parametrize("name", ["dino_vits16", "mae_vitb16", "supervised_vits16"])
def test_one_wrong_tensor_stops(
    name: str, how: str, said: str, vit_tensors: Callable[..., Tensors], tmp_path: Path
) -> None:
    tensors = change(tiny(vit_tensors, name), how)
    path = tmp_path / "wrong.pth"
    torch.save(tensors if name.startswith("dino") else {"model": tensors}, path)
    with pytest.raises(
        CheckpointError, match=rf"{30 if how == 'left over' else 29} of 30 backbone tensors match. {said}"
    ):
        load_model(card(name), weights=path)


def test_another_architecture_is_refused(
    vit_tensors: Callable[..., Tensors], resnet50_tensors: Callable[..., Tensors], tmp_path: Path
) -> None:
    path = tmp_path / "other.pth"
    torch.save(resnet50_tensors(), path)
    with pytest.raises(CheckpointError, match="0 of 30 backbone tensors"):
        load_model(card("dino_vits16"), weights=path)
    torch.save(vit_tensors(24, 2, 8, 785), path)
    with pytest.raises(CheckpointError, match=r"2 mis-shaped: pos_embed 1x785x24 instead of 1x197x24"):
        load_model(card("dino_vits16"), weights=path)
    torch.save(vit_tensors(24, 3, 16, 197), path)
    with pytest.raises(CheckpointError, match=r"12 left over: blocks\.2\.attn\.qkv\.weight, .*, \.\.\.\."):
        load_model(card("dino_vits16"), weights=path)


def test_another_number_of_heads_is_refused_where_shapes_tell(
    vit_tensors: Callable[..., Tensors], tmp_path: Path
) -> None:
    """With normalised queries the head's width has tensors of its own; without them shapes cannot tell."""
    path = tmp_path / "heads.pth"
    norms = {f"blocks.{i}.attn.{n}_norm.{p}": torch.ones(12) for i in (0, 1) for n in "qk" for p in ("weight", "bias")}
    torch.save({**vit_tensors(24, 2, 16, 197), **norms}, path)
    load_model(card("dino_vits16", qk_norm=True), weights=path)
    with pytest.raises(CheckpointError, match="8 mis-shaped: blocks.0.attn.q_norm.weight 12 instead of 8"):
        load_model(card("dino_vits16", qk_norm=True, num_heads=3), weights=path)


def test_file_without_tensors_and_unknown_layout(tmp_path: Path) -> None:
    path = tmp_path / "empty.pth"
    torch.save({"epoch": 3, "args": argparse.Namespace()}, path)
    with pytest.raises(CheckpointError, match=r"holds no tensors.*\(model, top level\); its entries are epoch, args"):
        load_model(card("mae_vitb16"), weights=path)
    unknown = card("mae_vitb16").model_copy(update={"weights": Weights(layout="mea")})
    with pytest.raises(UnknownNameError, match="Did you mean: mae"):
        load_model(unknown, weights=path)


def test_dino_and_mae_cards_resample_positions_as_their_authors() -> None:
    from ssl_bench.backbones.layouts import LAYOUTS

    assert LAYOUTS["dino"].positions == LAYOUTS["dino_student"].positions == "dino"
    assert LAYOUTS["mae"].positions == LAYOUTS["deit"].positions == "plain"
