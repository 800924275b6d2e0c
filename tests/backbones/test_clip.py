"""CLIP: what the vectors are, the traps, and the text tower; open_clip and timm built directly are the oracles."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import timm
import torch
from open_clip.model import resize_pos_embed
from proofs import clips
from proofs.clip import PROOFS
from proofs.proof import Proof, Tensors
from torch.nn import functional as F

from ssl_bench.backbones.clip import ClipBackbone
from ssl_bench.backbones.embeddings import embed, embedding_dim
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard, PreprocessCard, Weights
from ssl_bench.errors import CheckpointError, SettingsError, UnknownNameError
from ssl_bench.registry import registry

VIT = {"vision_cfg": {"layers": 2, "image_size": 64}, "text_cfg": {"layers": 2, "vocab_size": 50}}
RESNET = {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "image_size": 64}, "text_cfg": VIT["text_cfg"]}
JOINT, IMAGES = 512, torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(5))


def vit_tensors(size: int = 64) -> Tensors:
    shapes = clips.vit_shapes(768, 2, 32, size, JOINT) | clips.text_shapes(512, 2, JOINT, 50)
    return Proof("clip", shapes, {}, clips.resnet_forward).tensors()


def resnet_tensors() -> Tensors:
    shapes = clips.resnet_shapes((1, 1, 1, 1), 16, 64, 1024) | clips.text_shapes(512, 2, 1024, 50)
    return Proof("clip", shapes, {}, clips.resnet_forward).tensors()


def load(
    tensors: Tensors,
    folder: Path,
    arch: str = "ViT-B-32-quickgelu",
    args: dict | None = None,
    embedding: str = "default",
) -> ClipBackbone:
    torch.save(tensors, folder / "clip.pt")
    card = ModelCard(
        name="mine",
        method="clip",
        arch=f"open_clip:{arch}",
        arch_args=VIT if args is None else args,
        weights=Weights(layout="open_clip"),
        preprocess=PreprocessCard(resize=64, crop=64),
        embedding=embedding,
    )
    backbone = load_model(card, weights=folder / "clip.pt")
    assert isinstance(backbone, ClipBackbone)
    return backbone


def built_directly(tensors: Tensors, arch: str, args: dict) -> open_clip.CLIP:
    """open_clip's own class, loaded by torch itself."""
    config = open_clip.get_model_config(arch)
    for part, changes in args.items():
        config[part] |= changes
    module = open_clip.CLIP(**config).eval()
    counters = {name: t for name, t in module.state_dict().items() if name.endswith("num_batches_tracked")}
    module.load_state_dict({**counters, **tensors}, strict=True)
    return module


@pytest.mark.parametrize(
    ("arch", "args", "tensors"),
    [("ViT-B-32-quickgelu", VIT, vit_tensors()), ("RN50-quickgelu", RESNET, resnet_tensors())],
    ids=["vit", "resnet"],
)
def test_both_towers_equal_open_clip(arch: str, args: dict, tensors: Tensors, tmp_path: Path) -> None:
    backbone, theirs = load(tensors, tmp_path, arch, args), built_directly(tensors, arch, args)
    texts = torch.tensor([[48, 3, 9, 49, *[0] * 73], [48, 7, 49, *[0] * 74]])
    with torch.no_grad():
        # Tensors that stay mapped in the file lie otherwise in memory, and convolutions add up in another order.
        pairs = [
            (backbone(IMAGES), theirs.encode_image(IMAGES)),
            (backbone.encode_text(texts), theirs.encode_text(texts)),
        ]
    for found, expected in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert backbone.logit_scale == pytest.approx(theirs.logit_scale.exp().item())


@torch.no_grad()
def test_the_vector_before_the_projection(tmp_path: Path) -> None:
    """ViTs: 768 numbers, from which the projection makes 512."""
    tensors = vit_tensors()
    backbone = load(tensors, tmp_path)
    before = embed(backbone, IMAGES, "pre_projection")
    torch.testing.assert_close(before, clips.vit_forward(12, clips.quick_gelu, project=False)(tensors, IMAGES))
    torch.testing.assert_close(before @ tensors["visual.proj"], embed(backbone, IMAGES, "projected"))
    assert embedding_dim(backbone, "pre_projection") == before.shape[1] == 768
    assert embedding_dim(backbone, "projected") == backbone.embed_dim == 512
    other = load(tensors, tmp_path, embedding="pre_projection")
    torch.testing.assert_close(other(IMAGES), before)
    assert other.embed_dim == 768
    with pytest.raises(SettingsError, match="pre_projection"):
        load(tensors, tmp_path, embedding="mean_patch")


@torch.no_grad()
def test_the_vector_before_the_projection_of_a_resnet(tmp_path: Path) -> None:
    tensors = resnet_tensors()
    before = embed(load(tensors, tmp_path, "RN50-quickgelu", RESNET), IMAGES, "pre_projection")
    torch.testing.assert_close(before, clips.resnet_forward(tensors, IMAGES, project=False))
    assert before.shape == (2, 512)


@torch.no_grad()
def test_timm_agrees(tmp_path: Path) -> None:
    """timm's network with QuickGELU, its names translated here."""
    tensors = vit_tensors()
    names = {
        "class_embedding": "cls_token",
        "positional_embedding": "pos_embed",
        "conv1.": "patch_embed.proj.",
        "ln_pre.": "norm_pre.",
        "ln_post.": "norm.",
        "transformer.resblocks.": "blocks.",
        "ln_1.": "norm1.",
        "ln_2.": "norm2.",
        "in_proj_": "qkv.",
        "out_proj.": "proj.",
        "c_fc.": "fc1.",
        "c_proj.": "fc2.",
    }
    translated = {}
    for name, tensor in tensors.items():
        if name.startswith("visual.") and name != "visual.proj":
            name = name.removeprefix("visual.")
            for theirs, ours in names.items():
                name = name.replace(theirs, ours)
            translated[name] = tensor
    translated["cls_token"] = translated["cls_token"][None, None]
    translated["pos_embed"] = translated["pos_embed"][None]
    translated |= {"head.weight": tensors["visual.proj"].T, "head.bias": torch.zeros(JOINT)}
    oracle = timm.create_model("vit_base_patch32_clip_quickgelu_224", depth=2, img_size=64, num_classes=JOINT).eval()
    oracle.load_state_dict(translated)
    torch.testing.assert_close(load(tensors, tmp_path)(IMAGES), oracle(IMAGES), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_the_exact_gelu_gives_other_features(tmp_path: Path) -> None:
    """The trap: the file loads in open_clip's plain configuration without a word."""
    tensors = vit_tensors()
    right, wrong = load(tensors, tmp_path)(IMAGES), load(tensors, tmp_path, "ViT-B-32")(IMAGES)
    assert (right - wrong).norm() > 0.003 * right.norm()
    torch.testing.assert_close(wrong, clips.vit_forward(12, F.gelu)(tensors, IMAGES), rtol=1e-4, atol=1e-4)


def test_the_cards_have_the_activation_of_the_training() -> None:
    """open_clip's table of released weights says which were trained with QuickGELU."""
    quick = {"clip": True, "openclip_vitb32": True, "openclip_resnet50": True, "openclip_resnet101": True}
    for model in {proof.model for proof in PROOFS}:
        wanted = any(model in (k, f"{k}_yfcc15m", f"{k}_cc12m") for k in quick) or model.startswith("clip_")
        assert registry().model(model).arch.endswith("-quickgelu") == wanted, model


@torch.no_grad()
def test_another_resolution_resamples_positions_as_open_clip(tmp_path: Path) -> None:
    tensors = vit_tensors(224)
    args = {**VIT, "vision_cfg": {"layers": 2}}
    larger = built_directly(
        vit_tensors(96), "ViT-B-32-quickgelu", {**VIT, "vision_cfg": {"layers": 2, "image_size": 96}}
    )
    resized = dict(tensors)
    resize_pos_embed(resized, larger)
    larger.load_state_dict(resized)
    images = torch.randn(2, 3, 96, 96)
    torch.testing.assert_close(load(tensors, tmp_path, args=args)(images), larger.encode_image(images))


def test_a_resnet_refuses_another_resolution(tmp_path: Path) -> None:
    backbone = load(resnet_tensors(), tmp_path, "RN50-quickgelu", RESNET)
    images = torch.randn(1, 3, 96, 96)
    with pytest.raises(SettingsError, match="attention pool takes images of 64"):
        backbone(images)
    assert [level.shape[-1] for level in backbone.pyramid(images)] == [24, 12, 6, 3]


@torch.no_grad()
def test_layers_pyramid_and_attention_of_the_vit(tmp_path: Path) -> None:
    tensors = vit_tensors()
    backbone, theirs = load(tensors, tmp_path), built_directly(vit_tensors(), "ViT-B-32-quickgelu", VIT)
    found = theirs.visual.forward_intermediates(
        IMAGES, indices=2, normalize_intermediates=True, intermediates_only=True, output_extra_tokens=True
    )
    for layer, maps, prefix in zip(
        backbone.layers(IMAGES, 2), found["image_intermediates"], found["image_intermediates_prefix"], strict=True
    ):
        torch.testing.assert_close(layer.map, maps)
        torch.testing.assert_close(layer.cls, prefix[:, 0])
    assert embed(backbone, IMAGES, "last2_cls").shape == (2, 2 * 768)
    assert [tuple(level.shape) for level in backbone.pyramid(IMAGES)] == [(2, 768, s, s) for s in (16, 8, 4, 2)]
    block = theirs.visual.transformer.resblocks[1]
    tokens = block.ln_1(theirs.visual.transformer.resblocks[0](theirs.visual._embeds(IMAGES)))
    weights = block.attn(tokens, tokens, tokens, need_weights=True, average_attn_weights=False)[1]
    torch.testing.assert_close(backbone.attention(IMAGES), weights[:, :, 0, 1:].reshape(2, 12, 2, 2))
    with pytest.raises(SettingsError, match="2 blocks"):
        backbone.layers(IMAGES, 3)


def test_wrong_heads_of_the_text_tower_stop(tmp_path: Path) -> None:
    wrong = {**VIT, "text_cfg": {**VIT["text_cfg"], "heads": 4}}
    with pytest.raises(
        CheckpointError, match=r"4 heads, the authors' network of width 512 has 8(.|\n)*text_cfg: {heads: 8}"
    ):
        load(vit_tensors(), tmp_path, args=wrong)


def test_the_text_tower_must_be_there(tmp_path: Path) -> None:
    images_only = {name: t for name, t in vit_tensors().items() if name.startswith("visual.")}
    with pytest.raises(CheckpointError, match="missing"):
        load(images_only, tmp_path)


def test_the_tokenizer_ends_texts_with_the_largest_id(tmp_path: Path) -> None:
    tokens = load(vit_tensors(), tmp_path).tokenizer(["a photo of a dog", "word " * 100])
    assert tokens.shape == (2, 77)
    assert tokens[:, 0].tolist() == [49406, 49406]
    assert tokens.max(dim=1).values.tolist() == [49407, 49407]
    assert tokens[1, -1] == 49407


def test_unknown_and_foreign_architectures_are_refused() -> None:
    from ssl_bench.backbones.archs import build

    with pytest.raises(UnknownNameError, match="ViT-B-32"):
        build("open_clip:ViT-B-33")
    with pytest.raises(SettingsError, match="not CLIP's own"):
        build("open_clip:ViT-B-16-SigLIP")
    with pytest.raises(SettingsError, match="cannot be built"):
        build("open_clip:ViT-B-32", {"vision_cfg": {"colour": "blue"}})


def test_cards_pin_the_hash_that_openai_puts_into_the_address() -> None:
    for model in (proof.model for proof in PROOFS if proof.model.startswith("clip_")):
        weights = registry().model(model).weights
        assert weights.url.split("/")[-2] == weights.sha256


def test_preprocessing_of_the_cards() -> None:
    odd = registry().model("openclip_vitl14_laion2b").preprocess
    assert (odd.mean, odd.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    for proof in PROOFS:
        card = registry().model(proof.model)
        theirs = open_clip.get_model_config(card.arch.removeprefix("open_clip:"))["vision_cfg"]["image_size"]
        assert (card.preprocess.resize, card.preprocess.crop) == (theirs, theirs)
        assert card.preprocess.interpolation == "bicubic"
        if proof.model != "openclip_vitl14_laion2b":
            assert card.preprocess.mean == open_clip.OPENAI_DATASET_MEAN
            assert card.preprocess.std == open_clip.OPENAI_DATASET_STD


def test_open_clip_is_not_imported_for_other_models() -> None:
    code = (
        "import sys, ssl_bench; ssl_bench.load_model('random_vit_small32');"
        "assert 'open_clip' not in sys.modules and 'ftfy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
