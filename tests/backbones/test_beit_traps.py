"""Ways to load the files of BEiT's family that raise nothing and give other features: here they would show."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from proofs import PROOFS
from proofs.beits import SHARED
from proofs.proof import Proof, Tensors
from test_proofs import card_of

from ssl_bench.backbones.load import load_model
from ssl_bench.errors import CheckpointError


def proof_of(name: str) -> Proof:
    return next(proof for proof in PROOFS if str(proof) == name)


def without(kind: str) -> Callable[[Tensors], Tensors]:
    return lambda t: {name: x * 0 if name.endswith(f".{kind}_bias") else x for name, x in t.items()}


def queries_with_the_bias_of_values(t: Tensors) -> Tensors:
    return {name: t[name.replace("q_bias", "v_bias")] if name.endswith("q_bias") else x for name, x in t.items()}


def class_rows_exchanged(t: Tensors) -> Tensors:
    """From the class token to a patch, and from a patch to it."""
    table = t[SHARED].clone()
    table[[-3, -2]] = table[[-2, -3]]
    return {**t, SHARED: table}


def shifts_transposed(t: Tensors) -> Tensors:
    """Columns first, rows second."""
    maps = t[SHARED][:-3].reshape(27, 27, -1).transpose(0, 1).reshape(27 * 27, -1)
    return {**t, SHARED: torch.cat([maps, t[SHARED][-3:]])}


def shifts_reversed(t: Tensors) -> Tensors:
    """Key minus query in place of query minus key."""
    return {**t, SHARED: torch.cat([t[SHARED][:-3].flip(0), t[SHARED][-3:]])}


def sincos(rows_first: bool) -> torch.Tensor:
    """(1, 197, 768): sine and cosine of one coordinate, then of the other, zeros for the class token. CAE has rows first,
    as MoCo v3; MAE columns first."""
    rate = 10000.0 ** -(torch.arange(192) / 192)
    row, column = (a.reshape(-1, 1) * rate for a in torch.meshgrid(torch.arange(14), torch.arange(14), indexing="ij"))
    first, second = (row, column) if rows_first else (column, row)
    table = torch.cat([first.sin(), first.cos(), second.sin(), second.cos()], dim=1)
    return torch.cat([torch.zeros(1, 768), table])[None]


def positions_in_maes_order(t: Tensors) -> Tensors:
    return {**t, "pos_embed": sincos(rows_first=False)}


def multimae_positions_transposed(t: Tensors) -> Tensors:
    name = "input_adapters.rgb.pos_emb"
    return {**t, name: t[name].transpose(2, 3)}


TRAPS = [
    ("beit_vitb16", without("q")),
    ("beit_vitb16", without("v")),
    ("beit_vitb16", queries_with_the_bias_of_values),
    ("beit_vitb16", class_rows_exchanged),
    ("beit_vitb16", shifts_transposed),
    ("beit_vitb16", shifts_reversed),
    ("cae_vitb16", without("q")),
    ("cae_vitb16", without("v")),
    ("cae_vitb16", queries_with_the_bias_of_values),
    ("cae_vitb16", positions_in_maes_order),
    ("multimae_vitb16-multivit", multimae_positions_transposed),
]


@pytest.mark.parametrize(("name", "wrong"), TRAPS, ids=lambda x: x if isinstance(x, str) else None)
@torch.no_grad()
def test_the_wrong_way_shows(name: str, wrong: Callable[[Tensors], Tensors], tmp_path: Path) -> None:
    proof = proof_of(name)
    tensors, images = proof.tensors(), proof.images()
    if "cae" in name:
        tensors["pos_embed"] = sincos(rows_first=True)
    found = load_model(card_of(proof), weights=proof.write(proof.file(tensors), tmp_path))(images)
    right, other = proof.forward(tensors, images), proof.forward(wrong(tensors), images)
    torch.testing.assert_close(found, right, rtol=2e-4, atol=2e-4 * float(right.abs().max()))
    assert (other - right).norm() > 1e-3 * right.norm()


@torch.no_grad()
def test_multimae_with_a_fresh_norm(tmp_path: Path) -> None:
    proof = proof_of("multimae_vitb16-timm")
    card, tensors = card_of(proof), proof.tensors()
    with pytest.raises(CheckpointError, match=r"missing: norm\.weight, norm\.bias"):
        load_model(
            card.model_copy(update={"arch_args": {"depth": 2}}), weights=proof.write(proof.file(tensors), tmp_path)
        )


@torch.no_grad()
def test_the_norm_of_maes_encoder_is_left_out(tmp_path: Path) -> None:
    """The file of the MAE that MultiMAE's authors trained to compare may hold one; their evaluation has none."""
    proof = proof_of("mae_vitb16_multimae-timm")
    tensors, images = proof.tensors(), proof.images()
    content = {"model": {**tensors, "norm.weight": torch.rand(768), "norm.bias": torch.rand(768)}}
    found = load_model(card_of(proof), weights=proof.write(content, tmp_path))(images)
    torch.testing.assert_close(found, proof.forward(tensors, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", ["cae_vitb16", "beit_vitb16"])
@pytest.mark.parametrize("bias", ["q_bias", "v_bias"])
def test_a_file_without_one_of_the_biases_stops(model: str, bias: str, tmp_path: Path) -> None:
    proof = proof_of(model)
    tensors = proof.tensors()
    del tensors[f"blocks.1.attn.{bias}"]
    with pytest.raises(CheckpointError, match=r"1 missing: blocks\.1\.attn\."):
        load_model(card_of(proof), weights=proof.write(proof.file(tensors), tmp_path))


def test_another_window_does_not_fit(tmp_path: Path) -> None:
    """timm's networks of these names have windows of 7 at 224 pixels."""
    proof = proof_of("simmim_swinb")
    card = card_of(proof)
    args = {**card.arch_args, "window_size": 7, "img_size": 224}
    with pytest.raises(CheckpointError, match="mis-shaped"):
        load_model(
            card.model_copy(update={"arch_args": args}), weights=proof.write(proof.file(proof.tensors()), tmp_path)
        )


@torch.no_grad()
def test_student_and_teacher_of_data2vec_are_told_apart(tmp_path: Path) -> None:
    student, teacher = (proof_of(f"data2vec_vitb16{kind}") for kind in ("", "_teacher"))
    mine = student.tensors()
    both = {**student.file(mine), "model_ema": {name: x * 0.9 for name, x in student.file(mine)["model"].items()}}
    path, images = student.write(both, tmp_path), student.images()
    for proof, tensors in ((student, mine), (teacher, {name: x * 0.9 for name, x in mine.items()})):
        found, expected = load_model(card_of(proof), weights=path)(images), proof.forward(tensors, images)
        torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4 * float(expected.abs().max()))
