"""Pictures of masked pretraining: which patches are hidden, and what a trained MAE makes of the rest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ssl_bench.backbones.archs import build
from ssl_bench.cards import RecipeCard
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError, StoreError
from ssl_bench.methods.load import load_method
from ssl_bench.methods.masked.mae import MAE
from ssl_bench.methods.parts.masking import block_mask, patchify, random_mask, unpatchify
from ssl_bench.reporting.figures import image_grid
from ssl_bench.training.loop import STATE
from ssl_bench.training.state import read_state

SIDE, PATCH = 224, 16
GREY = 0.5


def masking(images: Sequence[Image.Image], out: Path, seed: int = 0) -> Path:
    """Each image, cut to 14 x 14 patches, and what is left of it by three samplers: MAE's (75 % of the patches), SimMIM's (60 %
    of squares of 2 x 2 patches), BEiT's (blocks, at most 75 of the 196)."""
    generator = torch.Generator().manual_seed(seed)
    grid = SIDE // PATCH
    rows, captions = [], []
    for image in _some(images, out):
        pixels = np.asarray(_squared(image, SIDE), dtype=np.float32) / 255
        hidden = {
            "random (MAE)": _random(grid, 0.75, generator),
            "squares (SimMIM)": _random(grid // 2, 0.6, generator).repeat_interleave(2, 0).repeat_interleave(2, 1),
            "blocks (BEiT)": block_mask(grid, grid, 75, generator),
        }
        rows.append([pixels, *(_without(pixels, mask) for mask in hidden.values())])
        captions.append(["image", *(f"{name} {mask.float().mean():.0%}" for name, mask in hidden.items())])
    return image_grid(rows, out, captions, side=SIDE // 2 + 32)


def reconstruction(run: Path, images: Sequence[Image.Image], out: Path, seed: int = 0) -> Path:
    """The central square of each image, its visible patches, what the decoder makes of them, and both together.

    ``run``: the folder of an MAE's training. With ``norm_pix`` the decoder says every patch but for its mean and
    contrast; these are then taken from the image, in hidden patches too.
    """
    recipe, method = restored(run)
    whole = {"resize": recipe.image_size, "crop": recipe.image_size, "squash": False, "crop_first": None}
    preprocess = Preprocess(recipe.preprocess.model_copy(update=whole))
    inputs = torch.stack([preprocess(image) for image in _some(images, out)])
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        target = patchify(inputs, method.patch)
        mask = random_mask(len(inputs), target.shape[1], method.config.mask_ratio, inputs.device)
        made = method.decoder(method.encode(inputs, mask), mask)
    made = denormalised(made, target) if method.config.norm_pix else made
    hidden = mask.hidden[..., None]
    size = inputs.shape[-2:]
    shown = [
        _pixels(unpatchify(patches, method.patch, *size), recipe.preprocess.mean, recipe.preprocess.std)
        for patches in (target, made, torch.where(hidden, made, target))
    ]
    visible = unpatchify((~hidden).expand_as(target).float(), method.patch, *size).permute(0, 2, 3, 1).numpy()
    seen = shown[0] * visible + GREY * (1 - visible)
    rows = [[shown[0][i], seen[i], shown[1][i], shown[2][i]] for i in range(len(inputs))]
    captions = [["input", "visible", "reconstruction", "with the visible"]] + [[""] * 4] * (len(rows) - 1)
    return image_grid(rows, out, captions, side=128)


def read_recipe(run: Path) -> RecipeCard:
    """The recipe of a run in this folder; :class:`SettingsError` if there is none, or of a method without decoder."""
    return _read(run)[0]


def restored(run: Path) -> tuple[RecipeCard, MAE]:
    """The recipe of a finished or interrupted run, and its method with the trained weights, in evaluation mode."""
    recipe, content = _read(run)
    method = load_method("mae", build(recipe.arch, recipe.arch_args), **recipe.settings)
    assert isinstance(method, MAE)
    method.load_state_dict(content["method"])
    return recipe, method.eval()


def _read(run: Path) -> tuple[RecipeCard, dict[str, Any]]:
    if not (run / STATE).is_file():
        raise SettingsError(
            f"{run}: there is no {STATE} of a training run.",
            "`ssl-bench train --method mae ... --out FOLDER` makes one.",
        )
    recipe, content = read_state(run / STATE)
    if recipe.method != "mae":
        raise SettingsError(
            f"{run}: the method {recipe.method} reconstructs no pixels.", "Train one with --method mae."
        )
    return recipe, content


def denormalised(made: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Inverse of the patches' normalisation with mean and variance of ``target``: (B, N, P) each."""
    mean, variance = target.mean(dim=-1, keepdim=True), target.var(dim=-1, keepdim=True, unbiased=True)
    return made * (variance + 1e-6).sqrt() + mean


def _random(side: int, ratio: float, generator: torch.Generator) -> torch.Tensor:
    """(side, side) bool: that share is hidden, at random."""
    shown = int(side * side * (1 - ratio))
    return (torch.randperm(side * side, generator=generator) >= shown).reshape(side, side)


def _without(pixels: np.ndarray, hidden: torch.Tensor) -> np.ndarray:
    whole = hidden.numpy().repeat(PATCH, 0).repeat(PATCH, 1)[..., None]
    without: np.ndarray = np.where(whole, np.float32(GREY), pixels)
    return without


def _pixels(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> np.ndarray:
    """(B, 3, H, W) normalised -> (B, H, W, 3) in [0, 1]."""
    scaled = images.permute(0, 2, 3, 1) * torch.tensor(std) + torch.tensor(mean)
    found: np.ndarray = scaled.clamp(0, 1).numpy()
    return found


def _squared(image: Image.Image, side: int) -> Image.Image:
    """The central square, ``side`` pixels wide."""
    image = image.convert("RGB")
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    return image.resize((side, side), Image.Resampling.BICUBIC, (left, top, left + edge, top + edge))


def _some(images: Sequence[Image.Image], out: Path) -> Sequence[Image.Image]:
    if not images:
        raise StoreError(f"{out}: there are no images to draw.", "Give at least one image.")
    return images
