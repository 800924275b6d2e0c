"""Every official file is recognised by its keys and shapes alone: its layout, and its network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from proofs import PROOFS
from proofs.proof import Proof

from ssl_bench.backbones.fit import fit, skeleton
from ssl_bench.backbones.guess import guess, guess_layouts, same_tensors
from ssl_bench.backbones.layouts import layout_of
from ssl_bench.backbones.readers import open_checkpoint
from ssl_bench.cards import ModelCard
from ssl_bench.registry import registry

every_proof = pytest.mark.parametrize("proof", PROOFS, ids=str)


def card_of(proof: Proof) -> ModelCard:
    card = registry().model(proof.model)
    assert isinstance(card, ModelCard)
    return card


def layout_name(card: ModelCard) -> str:
    assert card.weights is not None
    return card.weights.layout


@every_proof
def test_the_layout_is_guessed_from_the_keys(proof: Proof, tmp_path: Path) -> None:
    card = card_of(proof)
    arch_args = {**card.arch_args, **proof.thin}
    content = open_checkpoint(proof.write(proof.file(proof.tensors()), tmp_path))
    own = layout_name(card)
    assert fit(content, layout_of(own), skeleton(card.arch, arch_args), card.name).problems == ()
    best, *others = guess_layouts(content, card.arch, arch_args)
    assert best.exact
    mine = next(found for found in [best, *others] if found.layout == own)
    assert mine.layout == best.layout or same_tensors(content, best, mine), f"{best.layout} instead of {own}"


FIRST_OF_FORM = {(layout_name(card_of(proof)), proof.form): proof for proof in reversed(PROOFS)}.values()


@pytest.mark.parametrize("proof", FIRST_OF_FORM, ids=str)
def test_the_network_is_guessed_from_the_shapes(proof: Proof) -> None:
    card = card_of(proof)
    with torch.device("meta"):
        content = proof.file({name: torch.empty(shape) for name, shape in proof.full.items()})
    best = guess(content)[0]
    assert best.exact
    wanted = skeleton(card.arch, card.arch_args).state_dict()
    found = skeleton(best.arch, best.arch_args).state_dict()
    assert {n: t.shape for n, t in found.items()} == {n: t.shape for n, t in wanted.items()}, best.arch
