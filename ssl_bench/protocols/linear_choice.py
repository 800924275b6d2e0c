"""Which recipe numbers and which vector a linear evaluation takes for a given backbone."""

from __future__ import annotations

from dataclasses import replace

from ssl_bench.backbones.backbone import Backbone
from ssl_bench.backbones.vit import ViTBackbone
from ssl_bench.protocols.linear_recipes import RECIPES, Recipe


def recipe_for(backbone: Backbone, name: str) -> Recipe:
    """The recipe with the numbers for this architecture: MoCo v3 has another rate for ViTs, MAE fewer epochs for ViT-L."""
    recipe = RECIPES[name]
    if isinstance(backbone, ViTBackbone):
        if recipe.vit_lr is not None:
            recipe = replace(recipe, lr=recipe.vit_lr)
        if recipe.large_epochs is not None and backbone.token_dim >= 1024:
            recipe = replace(recipe, epochs=recipe.large_epochs)
    return recipe


def embedding_for(backbone: Backbone, recipe: Recipe, blocks: int | None, mean: bool | None) -> str:
    """Name of the embedding. DINO's rule (eval_linear.py, paper F.2): ViT-S (D of 384 or less) the class tokens of the
    last 4 blocks, larger ViTs the class token and the mean patch token of the last, ConvNets their average pool.
    What the model's card says of ``linear`` goes before it; ``blocks`` and ``mean`` replace both."""
    if blocks is None and mean is None and "linear" in backbone.embeddings:
        return backbone.embeddings["linear"]
    dino = recipe.feature == "dino" and isinstance(backbone, ViTBackbone) and backbone.has_class_token
    if not dino and blocks is None and mean is None:
        return "default"
    usual_blocks, usual_mean = 1, False
    if dino and isinstance(backbone, ViTBackbone):
        small = backbone.token_dim <= 384
        usual_blocks, usual_mean = min(4, len(backbone.module.blocks)) if small else 1, not small
    with_mean = usual_mean if mean is None else mean
    return f"last{blocks or usual_blocks}_cls" + ("_mean" if with_mean else "")
