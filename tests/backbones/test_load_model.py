"""The public path: names, cards, own copies, hashes, seeds."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from proofs import PROOFS
from safetensors.torch import save_file

import ssl_bench
from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.load import load_model
from ssl_bench.cards import ModelCard, PreprocessCard, Weights
from ssl_bench.errors import CheckpointError, SettingsError, UnknownNameError
from ssl_bench.progress import Silent
from ssl_bench.registry import registry

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
SMALL = PreprocessCard(resize=None, crop=None)


def small_card(**changes: Any) -> ModelCard:
    fields = {"name": "small", "method": "test", "arch": "resnet_small32", "arch_args": {"width": 4}}
    return ModelCard(**{**fields, "preprocess": SMALL, "weights": Weights(path="weights.safetensors"), **changes})


def trained(path: Path, seed: int = 5) -> torch.Tensor:
    """Weights in ``path``; returns what they make of ``IMAGES``."""
    torch.manual_seed(seed)
    module = build("resnet_small32", {"width": 4}).eval()
    save_file(module.state_dict(), path)
    with torch.no_grad():
        return module(IMAGES)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@torch.no_grad()
def test_weights_beside_a_card_file(tmp_path: Path) -> None:
    """What `train` leaves behind is a model at once: the path of its card."""
    vectors = trained(tmp_path / "model.safetensors")
    (tmp_path / "card.yaml").write_text(
        "method: simclr\nmodels:\n  mine:\n    arch: resnet_small32\n    arch_args: {width: 4}\n    preprocess: small32\n"
        f"    weights: {{path: model.safetensors, sha256: {sha256(tmp_path / 'model.safetensors')}}}\n"
    )
    for reference in (tmp_path, tmp_path / "card.yaml"):
        backbone = load_model(str(reference))
        torch.testing.assert_close(backbone(IMAGES), vectors)
        assert backbone.name == "mine"
        assert backbone.weights is not None
        assert backbone.weights.as_dict() == {
            "source": "model.safetensors",
            "sha256": sha256(tmp_path / "model.safetensors"),
            "matched": 72,
            "total": 72,
        }
    trained(tmp_path / "model.safetensors", seed=6)
    with pytest.raises(CheckpointError, match="but the card of mine says"):
        load_model(str(tmp_path))


@torch.no_grad()
def test_url_own_copy_and_cache(site: Any, tmp_path: Path) -> None:
    vectors = trained(tmp_path / "served.safetensors")
    site.files["m.safetensors"] = (tmp_path / "served.safetensors").read_bytes()
    site.cut = [1000]
    card = small_card(weights=Weights(url=site.url("m.safetensors")))
    first = load_model(card, cache=tmp_path / "cache", progress=Silent())
    torch.testing.assert_close(first(IMAGES), vectors)
    assert first.weights is not None
    assert first.weights.source == site.url("m.safetensors")
    assert first.weights.sha256 == sha256(tmp_path / "served.safetensors")
    assert (tmp_path / "cache/checkpoints/lock.json").is_file()
    assert len(site.asked) == 2
    other = trained(tmp_path / "other.safetensors", seed=8)
    mine = load_model(card, weights=tmp_path / "other.safetensors", cache=tmp_path / "cache")
    torch.testing.assert_close(mine(IMAGES), other)
    assert mine.weights is not None
    assert mine.weights.source == "other.safetensors"
    with pytest.raises(CheckpointError, match="is not on this machine"):
        load_model(card, cache=tmp_path / "elsewhere", download=False)


def test_file_put_into_the_cache_by_hand(vit_tensors: Callable[..., Any], tmp_path: Path) -> None:
    """Without network, under the URL's own name."""
    given = registry().model("dino_vits16")
    assert isinstance(given, ModelCard)
    card = given.model_copy(update={"arch_args": {"embed_dim": 24, "depth": 2, "num_heads": 2}})
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    with pytest.raises(CheckpointError, match="forbids the network") as caught:
        load_model(card, cache=tmp_path)
    assert str(folder / "dino_deitsmall16_pretrain.pth") in str(caught.value)
    torch.save(vit_tensors(24, 2, 16, 197), folder / "dino_deitsmall16_pretrain.pth")
    backbone = load_model(card, cache=tmp_path)
    assert backbone.weights is not None
    assert backbone.weights.source.startswith("https://dl.fbaipublicfiles.com/dino/")


@torch.no_grad()
def test_dino_weights_at_another_resolution_use_dinos_positions(
    vit_tensors: Callable[..., Any], tmp_path: Path
) -> None:
    tensors = vit_tensors(24, 2, 16, 197)
    torch.save(tensors, tmp_path / "w.pth")
    given = registry().model("dino_vits16")
    assert isinstance(given, ModelCard)
    backbone = load_model(
        given.model_copy(update={"arch_args": {"embed_dim": 24, "depth": 2, "num_heads": 2}}), tmp_path / "w.pth"
    )
    grid = tensors["pos_embed"][:, 1:].reshape(1, 14, 14, 24).permute(0, 3, 1, 2)
    scale = (20 + 0.1) / 14
    resampled = torch.nn.functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic")
    tensors["pos_embed"] = torch.cat([tensors["pos_embed"][:, :1], resampled.flatten(2).transpose(1, 2)], 1)
    module = timm.create_model(
        "vit_small_patch16_224", img_size=320, embed_dim=24, depth=2, num_heads=2, num_classes=0
    ).eval()
    module.load_state_dict(tensors)
    images = torch.randn(1, 3, 320, 320)
    torch.testing.assert_close(backbone(images), module(images))


def test_untrained_models_depend_on_the_seed_only() -> None:
    state = torch.get_rng_state()
    torch.manual_seed(1)
    first = load_model("random_resnet_small32")
    torch.manual_seed(2)
    again, other = load_model("random_resnet_small32"), load_model("random_resnet_small32", seed=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    reports = [backbone.weights for backbone in (first, again, other)]
    assert all(report is not None for report in reports)
    assert reports[0] == reports[1]
    assert reports[0].sha256 != reports[2].sha256  # type: ignore[union-attr]
    assert reports[0].source == "random initialisation, seed 0"  # type: ignore[union-attr]
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    load_model("random_resnet_small32")
    assert torch.equal(torch.rand(1), expected)
    torch.set_rng_state(state)


def test_models_without_checkpoint_refuse_one(tmp_path: Path) -> None:
    for name in ("random_resnet_small32", "raw_pixels"):
        with pytest.raises(SettingsError, match="takes no checkpoint"):
            load_model(name, weights=tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="no such file"):
        load_model("dino_vits16", weights=tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="names no file of weights"):
        load_model(small_card(weights=Weights()))


def test_names() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean: .*dino_vits16"):
        load_model("dino_vits61")
    with pytest.raises(UnknownNameError, match="random_vits16"):
        load_model("random_vits17")
    assert load_model("random_vit_tiny_patch16_224").embed_dim == 192
    with pytest.raises(SettingsError, match="nowhere"):
        load_model("raw_pixels", device="nowhere")


def test_random_model_without_card_takes_timms_preprocessing() -> None:
    card = load_model("random_test_vit").preprocess.card
    assert (card.resize, card.crop) == (168, 160)  # timm: 160 pixels, crop_pct 0.95
    assert load_model("random_resnet50w2").preprocess.card == PreprocessCard()


def test_cards_without_weights_fit_an_architecture_too() -> None:
    """Embedding and architecture agree; nets are built without memory. Cards with weights are proven in test_proofs.py."""
    expected = {"vits16": 384, "vits8": 384, "vitb16": 768, "vitb8": 768, "resnet50": 2048, "resnet": 128, "vit": 64}
    expected["pixels"] = 3072
    proven = {proof.model for proof in PROOFS}
    for name in set(registry().models) - proven:
        card = registry().model(name)
        assert isinstance(card, ModelCard)
        with torch.device("meta"):
            backbone = wrap(build(card.arch, card.arch_args), card.embedding, card.preprocess, name)
        assert backbone.embed_dim == expected[name.split("_")[1]], name


def test_cards_say_what_was_seen_and_what_is_allowed() -> None:
    for name in registry().models:
        card = registry().model(name)
        assert isinstance(card, ModelCard)
        if card.weights and not card.weights.unreleased:
            assert card.licence, name
        if card.method == "supervised" or "finetuned" in name:
            assert card.pretrain.labels == "labels", name
        elif card.method in {"dino", "mae", "msn", "ijepa", "ibot", "attmask", "maskfeat"}:
            assert card.pretrain.labels == "none", name


def test_python_interface() -> None:
    from PIL import Image

    backbone = ssl_bench.load_model("random_resnet50", weights=None, device="cpu")
    image = Image.linear_gradient("L").resize((300, 200))
    x = backbone.preprocess(image)
    assert x.shape == (3, 224, 224)
    with torch.no_grad():
        assert backbone(x[None]).shape == (1, 2048)
