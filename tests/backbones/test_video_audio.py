"""MAE-ST and Audio-MAE: the silent traps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from proofs.proof import Proof, Tensors
from proofs.video_audio import PROOFS, audio_forward, audio_shapes

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.backbones.nets.video_vit import VideoViT
from ssl_bench.errors import CheckpointError, SettingsError
from ssl_bench.registry import registry


def proof_of(model: str) -> Proof:
    return next(proof for proof in PROOFS if proof.model == model)


def load(proof: Proof, tensors: Tensors, folder: Path) -> Backbone:
    card = registry().model(proof.model)
    card = card.model_copy(update={"arch_args": {**card.arch_args, **proof.thin}})
    return load_model(card, weights=proof.write(proof.file(tensors), folder))


@torch.no_grad()
def test_the_norm_comes_after_the_mean_of_a_clip(tmp_path: Path) -> None:
    proof = proof_of("maest_vitb16")
    backbone = load(proof, proof.tensors(), tmp_path)
    found, tokens = backbone(proof.images()), []
    handle = backbone.module.blocks.register_forward_hook(lambda _, __, output: tokens.append(output))
    backbone(proof.images())
    handle.remove()
    before = backbone.module.norm(tokens[0])[:, 1:].mean(dim=1)
    assert (found - before).norm() > 0.1 * found.norm()


@torch.no_grad()
def test_time_and_place_are_not_exchanged(tmp_path: Path) -> None:
    """As many steps as places: both orders of the sum have the same shape."""
    net = VideoViT(32, 1, 2, frames=8, img_size=32)
    places, times = torch.randn(1, 4, 32), torch.randn(1, 4, 32)
    net.pos_embed_spatial.copy_(places)
    net.pos_embed_temporal.copy_(times)
    clips, caught = torch.zeros(1, 3, 8, 32, 32), []
    net.patch_embed["proj"].bias.zero_()
    net.blocks.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0]))
    net(clips)
    positions = caught[0][0, 1:]
    torch.testing.assert_close(positions[1], places[0, 1] + times[0, 0])
    torch.testing.assert_close(positions[4], places[0, 0] + times[0, 1])


def test_clips_of_another_size_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"\(3, 16, 224, 224\), not \(3, 8, 224, 224\)"):
        VideoViT(16, 1, 2)(torch.zeros(1, 3, 8, 224, 224))


def test_a_released_network_takes_sixteen_frames() -> None:
    card = registry().model("maest_vith16")
    with torch.device("meta"):
        net = VideoViT(**card.arch_args)
        assert net(torch.empty(2, 3, 16, 224, 224)).shape == (2, 1280)
    assert net.pos_embed_temporal.shape[1] * net.pos_embed_spatial.shape[1] == 1568
    assert card.modality == "video"


def sincos(dim: int, rows: int, columns: int) -> torch.Tensor:
    """MAE's table (masked.md 0.4 i): the first half for the column, the second for the row; each sines, then cosines."""
    y, x = np.mgrid[:rows, :columns]
    rates = 10000 ** (-np.arange(dim // 4) / (dim // 4))
    halves = [np.concatenate([np.sin(a), np.cos(a)], axis=1) for a in (p.reshape(-1, 1) * rates for p in (x, y))]
    return torch.from_numpy(np.concatenate([np.zeros((1, dim)), np.concatenate(halves, axis=1)])).float()[None]


@torch.no_grad()
def test_audio_positions_are_taken_as_stored(tmp_path: Path) -> None:
    """The authors computed the table for 2 x 8 patches (here) where the tokens lie 8 x 2: recomputing it right is wrong."""
    proof = proof_of("audiomae_vitb16")
    stored = {**proof.tensors(), "pos_embed": sincos(768, 2, 8)}
    backbone = load(proof, stored, tmp_path)
    assert torch.equal(backbone.module.pos_embed, stored["pos_embed"])
    found = backbone(proof.images())
    recomputed = audio_forward({**stored, "pos_embed": sincos(768, 8, 2)}, proof.images())
    assert (found - recomputed).norm() > 0.1 * found.norm()


def test_fine_tuned_and_pre_trained_files_are_not_confused(tmp_path: Path) -> None:
    pretrained, finetuned = proof_of("audiomae_vitb16"), proof_of("audiomae_vitb16_finetuned")
    with pytest.raises(CheckpointError, match="missing"):
        load(pretrained, finetuned.tensors(), tmp_path)
    with pytest.raises(CheckpointError, match="missing"):
        load(finetuned, pretrained.tensors(), tmp_path)


@torch.no_grad()
def test_the_spectrogram_as_published_gives_513_tokens() -> None:
    proof = proof_of("audiomae_vitb16")
    card = registry().model(proof.model)
    assert card.modality == "audio"
    shapes = audio_shapes(1, "norm")
    assert shapes["pos_embed"] == (1, 513, 768)
    card = card.model_copy(update={"arch_args": {**card.arch_args, "depth": 1}, "weights": None})
    backbone = load_model(card)
    assert backbone.modality == "audio"
    assert backbone(torch.zeros(1, 1, 1024, 128)).shape == (1, 768)
    assert backbone.layers(torch.zeros(1, 1, 1024, 128))[0].map.shape == (1, 768, 64, 8)
