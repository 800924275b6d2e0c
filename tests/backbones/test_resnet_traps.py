"""What ResNets' files would become if loaded or run the wrong way: each wrong way gives other features, or is refused."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from proofs import amdim, obow, pycontrast, vissl
from proofs import resnets as restated
from proofs.instdisc import PROOFS as INSTDISC
from proofs.instdisc import lemniscate
from proofs.proof import Proof, Tensors
from torch.nn import functional as F

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard
from ssl_bench.errors import CheckpointError, SettingsError
from ssl_bench.registry import registry


def proof_of(proofs: list[Proof], model: str, form: str = "") -> Proof:
    return next(proof for proof in proofs if (proof.model, proof.form) == (model, form))


def small_card(proof: Proof) -> ModelCard:
    card = registry().model(proof.model)
    assert isinstance(card, ModelCard)
    return card.model_copy(update={"arch_args": {**card.arch_args, **proof.thin}})


def loaded(proof: Proof, folder: Path) -> tuple[Backbone, Tensors]:
    tensors = proof.tensors()
    return load_model(small_card(proof), weights=proof.write(proof.file(tensors), folder)), tensors


def differ(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.shape != other.shape or float((one - other).norm() / other.norm()) > 0.02


class TestColourisation:
    PROOF = proof_of(vissl.PROOFS, "colorization_resnet50")

    def test_stride_of_the_last_stage(self, tmp_path: Path) -> None:
        """Stride 2, or timm's way to keep the resolution (dilation), fits the same tensors and gives others features."""
        backbone, tensors = loaded(self.PROOF, tmp_path)
        images = self.PROOF.images()
        found = backbone(images)
        assert differ(restated.resnet_forward(tensors, images[:, :1], last_stride=2), found)
        for options in ({}, {"output_stride": 16}):
            other = timm.create_model("resnet50", num_classes=0, in_chans=1, **self.PROOF.thin, **options).eval()
            counters = {name: t for name, t in other.state_dict().items() if name.endswith("num_batches_tracked")}
            other.load_state_dict({**counters, **tensors}, strict=True)
            with torch.no_grad():
                assert differ(other(images[:, :1]), found)

    def test_last_map_keeps_its_resolution(self, tmp_path: Path) -> None:
        backbone, _ = loaded(self.PROOF, tmp_path)
        images = torch.randn(1, 3, 96, 96)
        assert [layer.map.shape[-1] for layer in backbone.layers(images, 2)] == [6, 6]
        assert [level.shape[-1] for level in backbone.pyramid(images)] == [24, 12, 6, 3]

    def test_only_the_lightness_counts(self, tmp_path: Path) -> None:
        backbone, _ = loaded(self.PROOF, tmp_path)
        images = self.PROOF.images()
        other_colours = torch.cat([images[:, :1], torch.randn_like(images[:, 1:])], dim=1)
        assert torch.equal(backbone(images), backbone(other_colours))

    def test_rgb_with_imagenet_s_mean_is_another_image(self, tmp_path: Path) -> None:
        backbone, _ = loaded(self.PROOF, tmp_path)
        image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8))
        lab = backbone.preprocess(image)
        assert lab.shape == (3, 224, 224)
        assert -50 <= float(lab[0].min()) < -20 < 20 < float(lab[0].max()) <= 50
        assert float(lab[1:].abs().max()) <= 128

    def test_a_usual_resnet_is_refused(self, tmp_path: Path) -> None:
        rotation = proof_of(vissl.PROOFS, "rotation_resnet50")
        path = rotation.write(rotation.file(rotation.tensors()), tmp_path)
        with pytest.raises(CheckpointError, match=r"mis-shaped: conv1.weight 64x3x7x7 instead of 64x1x7x7"):
            load_model(small_card(self.PROOF), weights=path)


class TestOBoW:
    def test_the_student_is_taken_and_not_the_teacher(self, tmp_path: Path) -> None:
        proof = proof_of(obow.PROOFS, "obow_resnet50", "run")
        backbone, tensors = loaded(proof, tmp_path)
        images = proof.images()
        teacher = restated.resnet_forward({name: tensor + 1 for name, tensor in tensors.items()}, images)
        assert differ(teacher, backbone(images))

    def test_visual_words_are_not_classes(self, tmp_path: Path) -> None:
        """The vector has no entry for each of the 8192 outputs of ``fc``."""
        backbone, _ = loaded(proof_of(obow.PROOFS, "obow_resnet50", "student"), tmp_path)
        assert backbone.embed_dim == 4 * restated.THIN_WIDTHS[-1]

    def test_an_archive_of_several_checkpoints_names_them(self, tmp_path: Path) -> None:
        proof = proof_of(obow.PROOFS, "obow_resnet50", "extractor")
        file = proof.write(proof.file(proof.tensors()), tmp_path)
        with zipfile.ZipFile(tmp_path / "full.zip", "w") as archive:
            for name in ("model_net_checkpoint_200.pth.tar", "model_optim_checkpoint_200.pth.tar"):
                archive.write(file, f"run/{name}")
        with pytest.raises(CheckpointError, match=r"2 checkpoints \(.*model_net_checkpoint_200") as refused:
            load_model(small_card(proof), weights=tmp_path / "full.zip")
        assert "--weights" in str(refused.value)


class TestPyContrast:
    def test_query_encoder_and_not_the_key_encoder(self, tmp_path: Path) -> None:
        proof = proof_of(pycontrast.PROOFS, "infomin_resnet50")
        backbone, tensors = loaded(proof, tmp_path)
        images = proof.images()
        key = restated.resnet_forward({name: tensor + 1 for name, tensor in tensors.items()}, images)
        assert differ(key, backbone(images))

    def test_groups_are_part_of_the_shapes(self, tmp_path: Path) -> None:
        """32 groups of 4 channels and 64 groups of 4 cannot be taken for each other."""
        proof = proof_of(pycontrast.PROOFS, "infomin_resnext101_32x4d")
        path = proof.write(proof.file(proof.tensors()), tmp_path)
        with pytest.raises(CheckpointError, match="mis-shaped"):
            load_model(small_card(proof_of(pycontrast.PROOFS, "infomin_resnext101_64x4d")), weights=path)


class TestCMC:
    PROOF = proof_of(pycontrast.PROOFS, "cmc_resnet50")

    def test_lightness_goes_to_its_own_encoder(self, tmp_path: Path) -> None:
        """The first half of the vector depends on the first channel only, the second on the others only."""
        backbone, _ = loaded(self.PROOF, tmp_path)
        images, half = self.PROOF.images(), backbone.embed_dim // 2
        found = backbone(images)
        no_light, no_colour = images.clone(), images.clone()
        no_light[:, 0], no_colour[:, 1:] = 0, 0
        assert torch.equal(backbone(no_colour)[:, :half], found[:, :half])
        assert torch.equal(backbone(no_light)[:, half:], found[:, half:])
        assert differ(backbone(no_light)[:, :half], found[:, :half])

    @pytest.mark.parametrize(("model", "length"), [("", 2048), ("_v2", 4096), ("_v3", 8192), ("_pycontrast", 2048)])
    def test_both_vectors_side_by_side(self, model: str, length: int) -> None:
        from ssl_bench.backbones.archs import build

        card = registry().model(f"cmc_resnet50{model}")
        assert isinstance(card, ModelCard)
        with torch.device("meta"):
            assert build(card.arch, card.arch_args).embed_dim == length

    def test_colour_space_of_each_code_base(self) -> None:
        """The middle of Lab's ranges becomes 0 (CMC); PyContrast has YDbDr with statistics of its own."""
        authors, pycontrast_s = (registry().model(f"cmc_resnet50{end}") for end in ("", "_pycontrast"))
        assert isinstance(authors, ModelCard)
        assert isinstance(pycontrast_s, ModelCard)
        assert (authors.preprocess.colour, pycontrast_s.preprocess.colour) == ("lab", "ydbdr")
        low, high = np.array([0, -86.183, -107.857]), np.array([100, 98.233, 94.478])
        np.testing.assert_allclose(authors.preprocess.mean, (low + high) / 2, atol=1e-9)
        np.testing.assert_allclose(authors.preprocess.std, (high - low) / 2, atol=1e-9)


class TestAMDIM:
    PROOF = proof_of(amdim.PROOFS, "amdim_amdimnet256")

    def test_the_stem_reflects_the_border(self, tmp_path: Path) -> None:
        """Zeros, as convolutions usually have them, would change the border and nothing else."""
        backbone, tensors = loaded(self.PROOF, tmp_path)
        images = self.PROOF.images() + 3
        weight, bias = tensors["layer_list.0.conv.weight"], tensors["layer_list.0.conv.bias"]
        zeros = F.relu(F.conv2d(images, weight, bias, stride=2, padding=2))
        ours = backbone.get_submodule("module.layer_list.0")(images)
        assert differ(zeros[..., 0, :], ours[..., 0, :])
        torch.testing.assert_close(zeros[..., 1:-1, 1:-1], ours[..., 1:-1, 1:-1])

    def test_other_sizes_are_refused(self, tmp_path: Path) -> None:
        backbone, _ = loaded(self.PROOF, tmp_path)
        with pytest.raises(SettingsError, match="128 x 128 pixels"):
            backbone(torch.zeros(1, 3, 224, 224))

    def test_a_run_with_hidden_batch_norms_is_refused(self, tmp_path: Path) -> None:
        """Its file has the same names and shapes, but they are applied."""
        path = self.PROOF.write(amdim.file(use_bn=1)(self.PROOF.tensors()), tmp_path)
        with pytest.raises(CheckpointError, match="trained with use_bn"):
            load_model(small_card(self.PROOF), weights=path)


def test_the_map_to_128_numbers_is_not_a_part_of_instdisc(tmp_path: Path) -> None:
    proof = proof_of(INSTDISC, "instdisc_resnet50")
    assert {"module.fc.weight", "module.fc.bias"} < set(lemniscate(proof.tensors())["state_dict"])
    assert loaded(proof, tmp_path)[0].embed_dim == 4 * restated.THIN_WIDTHS[-1]


def test_virtex_s_wide_network_is_torchvision_s() -> None:
    """Inner convolutions twice as wide, the outer ones as usual: SimCLR's kind does not fit."""
    from ssl_bench.backbones.archs import build

    with torch.device("meta"):
        theirs, other = build("wide_resnet50_2"), build("resnet50w2")
    assert tuple(theirs.layer1[0].conv2.weight.shape) == tuple(other.layer1[0].conv2.weight.shape) == (128, 128, 3, 3)
    assert (theirs.num_features, other.num_features) == (2048, 4096)
