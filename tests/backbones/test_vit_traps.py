"""MSN, I-JEPA, iBOT, MAE, MaskFeat, XCiT: what would load without a word, or nearly so, and be another model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from proofs import PROOFS, ibot, ijepa, swins
from proofs.proof import Proof, Tensors
from torch.nn import functional as F

from ssl_bench.backbones.archs import build
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard, Weights
from ssl_bench.errors import CheckpointError
from ssl_bench.registry import registry


def proof_of(model: str) -> Proof:
    return next(proof for proof in PROOFS if proof.model == model)


def features(
    proof: Proof, content: Any, folder: Path, images: torch.Tensor | None = None, **changes: Any
) -> torch.Tensor:
    """Of the proof's small network with ``changes`` to its card."""
    card = registry().model(proof.model)
    assert isinstance(card, ModelCard)
    card = card.model_copy(update={"arch_args": {**card.arch_args, **proof.thin}, **changes})
    torch.save(content, folder / "file.pth")
    with torch.no_grad():
        found: torch.Tensor = load_model(card, weights=folder / "file.pth")(
            proof.images() if images is None else images
        )
    return found


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Of two matrices of features, relative to the length of the first."""
    return float((one - other).norm() / one.norm())


def test_msn_before_and_after_the_final_norm_are_far_apart(tmp_path: Path) -> None:
    proof = proof_of("msn_vits16")
    content = proof.file(proof.tensors())
    before, after = (features(proof, content, tmp_path, embedding=e) for e in ("cls_before_norm", "cls"))
    assert distance(before, after) > 0.3


def test_ijepas_target_encoder_is_not_its_context_encoder(tmp_path: Path) -> None:
    """timm's networks of these names load the second: the same names, the same shapes."""
    proof = proof_of("ijepa_vith14")
    target = proof.tensors()
    context = {name: t.flip(-1).contiguous() for name, t in target.items()}
    content = ijepa.file(target, context)
    of_target, of_context = (
        features(proof, content, tmp_path, weights=Weights(layout=layout)) for layout in ("ijepa", "ijepa_context")
    )
    torch.testing.assert_close(of_target, ijepa.forward(target, proof.images()), rtol=2e-4, atol=2e-4)
    torch.testing.assert_close(of_context, ijepa.forward(context, proof.images()), rtol=2e-4, atol=2e-4)
    assert distance(of_target, of_context) > 0.5


@pytest.mark.parametrize("model", ["ijepa_vith14", "msn_vits16"])
def test_positions_at_another_resolution(model: str, tmp_path: Path) -> None:
    """Bicubic by the ratio of the grids; I-JEPA's table has no row of a class token (its authors' own code for other
    resolutions takes the first patch for one)."""
    proof = proof_of(model)
    tensors = proof.tensors()
    patch, new = tensors["patch_embed.proj.weight"].shape[-1], 10
    images = torch.randn(1, 3, new * patch, new * patch, generator=torch.Generator().manual_seed(4))
    found = features(proof, proof.file(tensors), tmp_path, images)
    prefix = int("cls_token" in tensors)
    own, patches = tensors["pos_embed"][:, :prefix], tensors["pos_embed"][:, prefix:]
    side = int(patches.shape[1] ** 0.5)
    assert side != new
    maps = F.interpolate(patches.reshape(1, side, side, -1).permute(0, 3, 1, 2), size=(new, new), mode="bicubic")
    table = torch.cat([own, maps.flatten(2).transpose(1, 2)], dim=1)
    torch.testing.assert_close(found, proof.forward({**tensors, "pos_embed": table}, images), rtol=2e-4, atol=2e-4)


def test_ibots_full_file_has_a_student_and_a_teacher(tmp_path: Path) -> None:
    proof = proof_of("ibot_vits16")
    network = proof.tensors()
    for chosen, layout in (("teacher", "ibot"), ("student", "ibot_student")):
        found = features(proof, ibot.full(network, chosen), tmp_path, weights=Weights(layout=layout))
        torch.testing.assert_close(found, proof.forward(network, proof.images()), rtol=2e-4, atol=2e-4)


def test_ibots_swin_adds_less_to_the_variance_than_timms(tmp_path: Path) -> None:
    """1e-6 and 1e-5 are the same to numbers of size 1; to patches of little contrast they are not."""
    proof = proof_of("ibot_swint7")
    faint = {name: 0.002 * t if name.startswith("patch_embed.proj") else t for name, t in proof.tensors().items()}
    found = features(proof, proof.file(faint), tmp_path)
    timms = features(proof, proof.file(faint), tmp_path, arch="swin_tiny_patch4_window7_224")
    torch.testing.assert_close(found, swins.swin_forward(faint, proof.images(), 7, 1e-6), rtol=2e-4, atol=2e-4)
    assert distance(found, timms) > 0.02


def test_swins_merging_of_patches_is_not_taken_for_another_stages(tmp_path: Path) -> None:
    """timm numbers it by the stage that follows: names half fit, and every tensor must."""
    proof = proof_of("ibot_swint7")
    with pytest.raises(CheckpointError, match=r"missing: layers\.3\.downsample"):
        features(proof, proof.tensors(), tmp_path, weights=Weights(layout="flat"))


def test_a_fine_tuned_mae_is_not_a_pretrained_one(tmp_path: Path) -> None:
    """Its norm is another one, at another place, under another name."""
    proof = proof_of("mae_vitb16_finetuned")
    with pytest.raises(CheckpointError, match=r"2 missing: norm\.weight, norm\.bias\. .*left over"):
        features(proof, proof.file(proof.tensors()), tmp_path, arch_args={"depth": 1}, embedding="cls")


def test_maskfeats_file_has_no_norm_for_a_usual_network(tmp_path: Path) -> None:
    proof = proof_of("maskfeat_vitb16")
    with pytest.raises(CheckpointError, match=r"2 missing: norm\.weight, norm\.bias\."):
        features(proof, proof.file(proof.tensors()), tmp_path, arch_args={"depth": 1})


def test_xcits_class_attention_takes_query_key_and_value_in_this_order(tmp_path: Path) -> None:
    """timm has three tensors of one shape where the file has one."""
    proof = proof_of("dino_xcit_small_12_p16")
    tensors = proof.tensors()
    found = features(proof, proof.file(tensors), tmp_path)

    def turned(t: torch.Tensor) -> torch.Tensor:
        return torch.cat(t.chunk(3)[::-1])

    wrong: Tensors = {
        n: turned(t) if n.startswith("cls_attn_blocks") and ".qkv." in n else t for n, t in tensors.items()
    }
    torch.testing.assert_close(found, proof.forward(tensors, proof.images()), rtol=2e-4, atol=2e-4)
    assert distance(found, proof.forward(wrong, proof.images())) > 0.01


def test_small_patches_keep_the_size_of_the_image() -> None:
    """MSN's ViT-B/4 and ViT-L/7 are timm's networks for patches of 16 with other patches."""
    with torch.device("meta"):
        for model, tokens in (("msn_vitb4", 56 * 56 + 1), ("msn_vitl7", 32 * 32 + 1)):
            card = registry().model(model)
            assert isinstance(card, ModelCard)
            assert build(card.arch, card.arch_args).state_dict()["pos_embed"].shape[1] == tokens


@pytest.mark.parametrize("model", ["msn_vitb8", "sdae_vitb16", "splitmask_vits16", "splitmask_vitb16"])
def test_models_without_weights_say_so(model: str) -> None:
    with pytest.raises(CheckpointError, match=f"There are no weights of {model}: its authors"):
        load_model(model)
