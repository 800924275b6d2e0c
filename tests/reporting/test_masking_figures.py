"""Pictures of masked pretraining: what is hidden is grey, what is visible is the image, the decoder fills in the rest."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command import ssl_bench
from PIL import Image

from ssl_bench.backbones.archs import build
from ssl_bench.errors import SettingsError, StoreError
from ssl_bench.methods.load import load_method
from ssl_bench.methods.masked.mae import normalised
from ssl_bench.registry import registry
from ssl_bench.reporting.figures import GAP
from ssl_bench.reporting.masking_figures import denormalised, masking, reconstruction, restored


def photograph(seed: int = 0, side: int = 224) -> Image.Image:
    """Colours that are nowhere grey."""
    pixels = np.random.default_rng(seed).integers(0, 100, (side // 16, side // 16, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.NEAREST)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A state as ``train`` writes it, of an MAE that was not trained."""
    recipe = registry().recipes.get("mae_small_placed_digits")
    torch.manual_seed(0)
    method = load_method("mae", build(recipe.arch, recipe.arch_args), **recipe.settings)
    torch.save({"recipe": recipe.model_dump_json(), "method": method.state_dict()}, tmp_path / "state.pt")
    return tmp_path


def tiles(path: Path, rows: int, columns: int, side: int, caption: int) -> np.ndarray:
    """(rows, columns, side, side, 3)"""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    step = side + GAP
    return np.stack(
        [
            [pixels[GAP + i * (step + caption) :][:side, GAP + j * step :][:, :side] for j in range(columns)]
            for i in range(rows)
        ]
    )


def test_each_sampler_hides_its_share(tmp_path: Path) -> None:
    out = masking([photograph(0), photograph(1)], tmp_path / "masks.png")
    # The colours are below 100 and grey is 128, so that a mixture at an edge is nearer to one of them.
    grey = (tiles(out, 2, 4, 144, 16).min(axis=-1) > 90).mean(axis=(2, 3))
    assert grey[:, 0] == pytest.approx(0, abs=0.001)
    assert grey[:, 1] == pytest.approx(0.75, abs=0.02)
    assert grey[:, 2] == pytest.approx(30 / 49, abs=0.02)
    assert grey[:, 3] == pytest.approx(75 / 196, abs=0.06)
    with pytest.raises(StoreError, match="no images"):
        masking([], out)


def test_a_reconstruction_keeps_what_is_visible(run: Path, tmp_path: Path) -> None:
    images = [photograph(seed, 32) for seed in (3, 4)]
    out = reconstruction(run, images, tmp_path / "made.png")
    seen = tiles(out, 2, 4, 128, 16).astype(int)
    original, visible, made, both = (seen[:, j] for j in range(4))
    hidden = (np.abs(visible - 128) <= 1).all(axis=-1)
    assert hidden.mean() == pytest.approx(39 / 64)  # 25 of 64 patches are visible
    np.testing.assert_array_equal(visible[~hidden], original[~hidden])
    np.testing.assert_array_equal(both[~hidden], original[~hidden])
    np.testing.assert_array_equal(both[hidden], made[hidden])
    assert np.abs(made - original).mean() > 1  # nothing was learned


def test_the_weights_are_those_of_the_run(run: Path) -> None:
    recipe, method = restored(run)
    assert recipe.name == "mae_small_placed_digits"
    saved = torch.load(run / "state.pt", weights_only=True)["method"]
    assert torch.equal(method.decoder.mask_token, saved["decoder.mask_token"])
    assert not method.training


def test_patches_are_put_back_to_their_mean_and_contrast() -> None:
    target = torch.randn(2, 5, 12) * 3 + 1
    torch.testing.assert_close(denormalised(normalised(target), target), target)


def test_runs_without_decoder_are_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no state.pt"):
        restored(tmp_path / "nowhere")
    other = registry().recipes.get("simclr_small_placed_digits")
    torch.save({"recipe": other.model_dump_json()}, run / "state.pt")
    with pytest.raises(SettingsError, match="simclr reconstructs no pixels"):
        restored(run)


def test_the_verb_draws_each_kind(run: Path, tmp_path: Path) -> None:
    photograph().save(tmp_path / "photo.png")
    for arguments in (
        ["masking", "--image", tmp_path / "photo.png"],
        ["masking", "--count", 2],
        ["reconstruction", "--model", run, "--count", 2],
        ["reconstruction", "--model", run / "card.yaml", "--image", tmp_path / "photo.png"],
        ["temperature"],
        ["temperature", "--model", "raw_pixels", "--dataset", "digits"],
    ):
        out = tmp_path / f"{arguments[0]}.png"
        done = ssl_bench("figure", *arguments, "--out", out)
        assert done.code == 0, done.err
        with Image.open(out) as picture:
            assert min(picture.size) > 100
        out.unlink()
    assert "needs --model" in ssl_bench("figure", "reconstruction", "--out", tmp_path / "x.png").err
