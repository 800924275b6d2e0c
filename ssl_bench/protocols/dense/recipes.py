"""The authors' recipes of UPerNet on ADE20K by the size of the ViT. Every number stands in the source named beside it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ssl_bench.backbones.backbone import Backbone

RecipeName = Literal["beit", "mae", "ibot", "ibot_linear"]
WIDTHS = {"small": 384, "base": 768, "large": 1024}


@dataclass(frozen=True)
class BySize:
    """What depends on the size: rate for a batch of 16, layer decay, drop path."""

    lr: float
    layer_decay: float = 1.0
    drop_path: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """``sizes``: as far as the authors state them; a ViT of another size takes those of the nearest, and the record says so."""

    source: str
    sizes: dict[str, BySize]

    def values(self, backbone: Backbone) -> tuple[str, BySize]:
        """For this backbone, and the size that they are stated for. Networks without tokens take those of ViT-B."""
        width = getattr(backbone, "token_dim", WIDTHS["base"])
        size = min(self.sizes, key=lambda name: abs(WIDTHS[name] - width))
        return size, self.sizes[size]

    def facts(self, backbone: Backbone) -> dict[str, Any]:
        """For the record."""
        size, values = self.values(backbone)
        return {"source": self.source, "stated_for": f"ViT-{size[0].upper()}", **vars(values)}


RECIPES: dict[str, Recipe] = {
    # 640 pixels, for checkpoints that were trained with labels on ImageNet-22k after the pretraining.
    "beit": Recipe(
        "microsoft/unilm beit/semantic_segmentation",
        {"base": BySize(3e-5, 0.9, 0.1), "large": BySize(2e-5, 0.95, 0.2)},
    ),
    # The paper's 48.1 of ViT-B, reproduced with 48.15 by this repository.
    "mae": Recipe("implus/mae_segmentation", {"base": BySize(1e-4, 0.65, 0.1)}),
    # Rates of the commands in evaluation/README.md (S 3e-5, B 8e-5); decay and drop path of the configurations. L has no
    # command, so the configuration's rate stands.
    "ibot": Recipe(
        "bytedance/ibot evaluation/semantic_segmentation",
        {"small": BySize(3e-5, 0.9, 0.1), "base": BySize(8e-5, 0.65, 0.1), "large": BySize(2e-5, 0.95, 0.2)},
    ),
    # The backbone is frozen. B from the command; S and L from the configurations.
    "ibot_linear": Recipe(
        "bytedance/ibot evaluation/semantic_segmentation",
        {"small": BySize(3e-5), "base": BySize(8e-4), "large": BySize(2e-5)},
    ),
}
