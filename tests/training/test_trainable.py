"""Layer-wise decay of the learning rate, against its definition and against timm's groups."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from protocols.finetune_toys import CARD, backbone
from timm.optim import param_groups_layer_decay
from torch import nn

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.training.trainable import groups_of, trainable_copy

DECAY, DEPTH = 0.65, 4


def found(net: Backbone, **given: Any) -> dict[str, tuple[float, bool]]:
    """Name of a parameter -> factor on its rate, and whether it decays."""
    head = nn.Linear(net.embed_dim, 3)
    by_id = {id(p): (g["lr_scale"], g["decay"]) for g in groups_of(net, head, **given) for p in g["params"]}
    assert len(by_id) == sum(1 for m in (net, head) for _ in m.parameters())
    assert len(by_id) == sum(len(group["params"]) for group in groups_of(net, head, **given))
    names = {f"head.{name}": p for name, p in head.named_parameters()} | dict(net.named_parameters())
    return {name: by_id[id(parameter)] for name, parameter in names.items()}


def test_the_definition() -> None:
    """Embeddings have number 0, block i number i + 1, all else L + 1; the rate is base x decay^(L + 1 - number)."""
    net = trainable_copy(backbone(depth=DEPTH, class_token=True))
    for name, (scale, decays) in found(net, layer_decay=DECAY).items():
        if "blocks." in name:
            number = int(name.split("blocks.")[1].split(".")[0]) + 1
        else:
            number = 0 if any(part in name for part in ("patch_embed", "cls_token", "pos_embed")) else DEPTH + 1
        assert scale == pytest.approx(DECAY ** (DEPTH + 1 - number)), name
        assert decays == (name.endswith(".weight") and "norm" not in name), name


@pytest.mark.parametrize("arch", ["vit", "beit"])
def test_timms_groups(arch: str) -> None:
    """With a classifier, without which timm counts the last block to the head. It counts the final norm to the last block
    and BEiT's shared position table to the embeddings, where MAE's and BEiT's own code give both the head's rate."""
    if arch == "vit":
        net: Any = trainable_copy(backbone(depth=DEPTH, class_token=True))
    else:
        sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": DEPTH, "num_heads": 2}
        shared = {"use_shared_rel_pos_bias": True, "use_rel_pos_bias": False}
        net = wrap(build("beit_base_patch16_224", {**sizes, **shared}), "default", CARD, "beit")
    ours = found(net, layer_decay=DECAY)
    module: Any = net.module
    module.reset_classifier(3)
    skipped = module.no_weight_decay()
    groups = param_groups_layer_decay(module, 0.05, no_weight_decay_list=skipped, layer_decay=DECAY)
    theirs = {id(p): (group["lr_scale"], group["weight_decay"]) for group in groups for p in group["params"]}
    for name, parameter in module.named_parameters():
        if name.startswith(("head.", "fc_norm.")):
            continue
        scale, decays = ours[f"module.{name}"]
        expected = theirs[id(parameter)]
        if name.startswith(("norm.", "rel_pos_bias.")):
            assert scale == 1.0 != expected[0]
        else:
            assert (scale, 0.05 * decays) == pytest.approx(expected), name


def test_a_network_without_blocks_has_one_rate() -> None:
    net = trainable_copy(backbone("resnet_small32", width=4))
    rates = found(net, layer_decay=DECAY, head_scale=250.0)
    assert {scale for name, (scale, _) in rates.items() if name.startswith("module.")} == {1.0}
    assert {scale for name, (scale, _) in rates.items() if name.startswith("head.")} == {250.0}


def test_a_copy_has_memory_of_its_own() -> None:
    net = backbone()
    copy = trainable_copy(net)
    with torch.no_grad():
        next(copy.parameters()).fill_(7)
    assert not (next(net.parameters()) == 7).any()
    assert all(parameter.requires_grad for parameter in copy.parameters())
