"""Every card with published weights: its official file loads exactly, and whatever does not fit is refused."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from proofs import PROOFS
from proofs.proof import Proof, Tensors

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.layouts import convert, layout_of
from ssl_bench.backbones.layouts.match import check_heads, problems_of
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError
from ssl_bench.registry import registry

every_proof = pytest.mark.parametrize("proof", PROOFS, ids=str)


def card_of(proof: Proof) -> ModelCard:
    """The shipped card with the arguments that make its network small."""
    card = registry().model(proof.model)
    assert isinstance(card, ModelCard)
    return card.model_copy(update={"arch_args": {**card.arch_args, **proof.thin}})


def layout_name(card: ModelCard) -> str:
    assert card.weights is not None
    return card.weights.layout


@every_proof
def test_the_file_gives_the_authors_features(proof: Proof, tmp_path: Path) -> None:
    tensors, images = proof.tensors(), proof.images()
    backbone = load_model(card_of(proof), weights=proof.write(proof.file(tensors), tmp_path))
    with torch.no_grad():
        found, expected = backbone(images), proof.forward(tensors, images)
    assert found.shape == (len(images), backbone.embed_dim)
    assert expected.std(dim=0).max() > 1e-3 * expected.abs().max(), "both images give the same: this proves nothing"
    torch.testing.assert_close(found, expected, rtol=2e-4, atol=2e-4 * float(expected.abs().max()))
    assert backbone.weights is not None
    assert backbone.weights.matched == backbone.weights.total > 0
    assert not backbone.training
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


DAMAGES = ("missing", "left over", "transposed")


@every_proof
@pytest.mark.parametrize("how", DAMAGES)
def test_one_wrong_tensor_does_not_fit(proof: Proof, how: str) -> None:
    """Names and shapes only: fast, so for every card."""
    card = card_of(proof)
    tensors = {name: torch.empty(shape, device="meta") for name, shape in proof.shapes.items()}
    content = proof.file(damaged(tensors, how))
    with torch.device("meta"):
        module = build(card.arch, card.arch_args)
        try:
            problems, _ = problems_of(convert(content, layout_of(layout_name(card)), module), module)
        except CheckpointError as error:
            problems = [str(error)]
    assert problems


FIRST_OF_LAYOUT = {layout_name(card_of(proof)): proof for proof in reversed(PROOFS)}.values()


@pytest.mark.parametrize("proof", FIRST_OF_LAYOUT, ids=str)
@pytest.mark.parametrize("how", DAMAGES)
def test_one_wrong_tensor_stops(proof: Proof, how: str, tmp_path: Path) -> None:
    """The same through the public path, for one card of each layout."""
    path = proof.write(proof.file(damaged(proof.tensors(), how)), tmp_path)
    with pytest.raises(CheckpointError):
        load_model(card_of(proof), weights=path)


def damaged(tensors: Tensors, how: str) -> Tensors:
    """Without the tensor in the middle; with one of a similar name more; with two neighbouring sides of one exchanged."""
    names = list(tensors)
    if how == "missing":
        return {name: t for name, t in tensors.items() if name != names[len(names) // 2]}
    if how == "left over":
        return {**tensors, names[len(names) // 2] + "_more": torch.ones(1, device=tensors[names[0]].device)}
    uneven = {n: [i for i, (a, b) in enumerate(pairwise(t.shape)) if a != b] for n, t in tensors.items()}
    name = next(n for n in reversed(names) if uneven[n])
    side = uneven[name][0]
    return {**tensors, name: tensors[name].transpose(side, side + 1).contiguous()}


@pytest.mark.parametrize("proof", [p for p in PROOFS if p.wrong_heads], ids=str)
def test_another_number_of_heads_stops(proof: Proof, tmp_path: Path) -> None:
    card = card_of(proof)
    wrong = card.model_copy(update={"arch_args": {**card.arch_args, **(proof.wrong_heads or {})}})
    with pytest.raises(CheckpointError):
        load_model(wrong, weights=proof.write(proof.file(proof.tensors()), tmp_path))


@every_proof
def test_the_network_as_published_fits_the_file_as_published(proof: Proof) -> None:
    """Names and shapes at true size, without the memory for it."""
    card = registry().model(proof.model)
    assert isinstance(card, ModelCard)
    layout = layout_of(layout_name(card))
    with torch.device("meta"):
        module = build(card.arch, card.arch_args)
        content = proof.file({name: torch.empty(shape) for name, shape in proof.full.items()})
        problems, good = problems_of(convert(content, layout, module), module)
    assert problems == []
    assert good > 0
    check_heads(module, layout, card.name)


def test_every_card_with_weights_is_proven() -> None:
    cards = [registry().models.get(name) for name in registry().models]
    released = {c.name for c in cards if isinstance(c, ModelCard) and c.weights and not c.weights.unreleased}
    assert released - {proof.model for proof in PROOFS} == set()
