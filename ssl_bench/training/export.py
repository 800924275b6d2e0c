"""What a finished run leaves behind: weights, a card that ``run --model`` accepts, and the recipe."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save
from torch import nn

from ssl_bench._version import __version__
from ssl_bench.cards import RecipeCard
from ssl_bench.results.atomic import write_bytes, write_text

WEIGHTS, CARD, RECIPE = "model.safetensors", "card.yaml", "recipe.yaml"


def export(encoder: nn.Module, recipe: RecipeCard, out: Path) -> Path:
    """Write ``model.safetensors`` and ``card.yaml`` of the evaluated network into ``out``; returns the card's path."""
    tensors = {name: _plain(tensor) for name, tensor in encoder.state_dict().items()}
    content = save(tensors, metadata={"format": "pt"})
    write_bytes(out / WEIGHTS, content)
    write_yaml(out / CARD, model_file(recipe, hashlib.sha256(content).hexdigest()))
    return out / CARD


def model_file(recipe: RecipeCard, sha256: str) -> dict[str, Any]:
    """The card as a model file (see ``cards.ModelFile``) with this one model."""
    model = {
        "arch": recipe.arch,
        "arch_args": recipe.arch_args,
        "weights": {"path": WEIGHTS, "layout": "flat", "sha256": sha256},
        "preprocess": recipe.preprocess.model_dump(mode="json"),
        "embedding": recipe.embedding,
        "epochs": recipe.epochs,
        "pretrain": {"dataset": recipe.dataset, "labels": "none", "epochs": recipe.epochs},
        "notes": f"Trained by ssl-bench {__version__}: recipe {recipe.name} (beside this card), seed {recipe.seed}.",
    }
    file: dict[str, Any] = {"method": recipe.method}
    if recipe.paper is not None:
        file["paper"] = recipe.paper.model_dump(mode="json", exclude_none=True)
    return {**file, "models": {recipe.model_name or recipe.name: model}}


def recipe_file(recipe: RecipeCard) -> dict[str, Any]:
    """The resolved recipe as a model file with this one recipe: ``train <file>`` repeats the run."""
    fields = recipe.model_dump(mode="json", exclude={"name", "method"}, exclude_none=True)
    # A null that differs from the default must be said: `resize: null` is not `resize: 256`.
    fields["preprocess"] = recipe.preprocess.model_dump(mode="json")
    fields["optimizer"] = recipe.optimizer.model_dump(mode="json")
    return {"method": recipe.method, "recipes": {recipe.name: fields}}


def write_yaml(path: Path, content: dict[str, Any]) -> None:
    write_text(path, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    """On the CPU, contiguous, memory of its own; floating point as float32."""
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return tensor.detach().to("cpu", dtype, copy=True).contiguous()
