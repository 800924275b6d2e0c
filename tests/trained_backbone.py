"""A small backbone that has learnt something, and the same untrained: their scores must differ in the right direction.

The weights in ``tests/files`` were made by ``python tests/trained_backbone.py`` (minutes on one core): trained with labels
(which kinds of objects are in a scene) on scenes of another seed than those of the data set ``shapes``.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone, WeightsReport
from ssl_bench.cards import PreprocessCard
from ssl_bench.data.shapes import ShapesSplit

FILES = Path(__file__).parent / "files"
PREPROCESS = PreprocessCard(resize=None, crop=None, mean=(0.4, 0.4, 0.4), std=(0.2, 0.2, 0.2))
ARCHS = {
    "resnet": ("resnet_small32", {"width": 8}, "default"),
    "vit": ("vit_small32", {"img_size": 64, "patch_size": 8, "dim": 48, "class_token": True}, "cls"),
}


@lru_cache
def trained_backbone(kind: str = "resnet", trained: bool = True) -> Backbone:
    """``kind``: ``resnet`` (64 features, images of 64 x 64) or ``vit`` (48, patches of 8). Frozen, in evaluation mode."""
    backbone = _untrained(kind)
    if trained:
        tensors = load_file(FILES / f"trained_{kind}.safetensors")
        backbone.load_state_dict({name: t.float() if t.is_floating_point() else t for name, t in tensors.items()})
    backbone.weights = WeightsReport("tests/files", f"{kind}-{trained}", 1, 1)
    return backbone.eval().requires_grad_(False)


def _untrained(kind: str) -> Backbone:
    arch, arguments, embedding = ARCHS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return wrap(build(arch, arguments), embedding, PREPROCESS, f"small_{kind}")


def _train(backbone: Backbone, steps: int, rate: float) -> None:
    split = ShapesSplit("shapes/other", 77, 0, 4096)
    images = torch.from_numpy(split.array()).permute(0, 3, 1, 2)
    present = torch.from_numpy(split.present()[:, 1:]).float()
    head = torch.nn.Linear(backbone.embed_dim, present.shape[1])
    optimizer = torch.optim.AdamW([*backbone.parameters(), *head.parameters()], lr=rate, weight_decay=0.05)
    backbone.train()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / 50) * (1 - step / steps)
        rows = torch.randint(len(images), (48,))
        batch = backbone.preprocess.normalise(images[rows])
        loss = F.binary_cross_entropy_with_logits(head(backbone(batch.flip(-1) if step % 2 else batch)), present[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(step, round(loss.item(), 3), flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or ARCHS:
        torch.manual_seed(0)
        network = _untrained(name)
        _train(network, 3000 if name == "resnet" else 5000, 3e-3 if name == "resnet" else 1.5e-3)
        half = {key: t.half() if t.is_floating_point() else t for key, t in network.state_dict().items()}
        save_file({key: t.contiguous() for key, t in half.items()}, FILES / f"trained_{name}.safetensors")
