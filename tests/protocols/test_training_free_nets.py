"""Networks of every kind pass the protocols that train nothing, at sizes they were not built for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.beit import Beit
from timm.models.swin_transformer import SwinTransformer
from trained_backbone import trained_backbone

from ssl_bench.backbones.any_size import accept_any_size
from ssl_bench.backbones.archs import wrap
from ssl_bench.backbones.backbone import Backbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.protocols.training_free.attention import AttentionMasks
from ssl_bench.protocols.training_free.copydays import Copydays
from ssl_bench.protocols.training_free.davis import Davis
from ssl_bench.protocols.training_free.patches import patch_side
from ssl_bench.protocols.training_free.retrieve import Retrieve


def net(kind: str) -> Backbone:
    if kind in {"vit", "resnet"}:
        return trained_backbone(kind, trained=False)
    torch.manual_seed(0)
    card = PreprocessCard(resize=None, crop=None)
    if kind == "swin":
        swin = SwinTransformer(
            img_size=32, patch_size=4, window_size=2, embed_dim=8, depths=(1, 1), num_heads=(1, 2), num_classes=0
        )
        return wrap(swin, "default", card, "small_swin").eval()
    beit = Beit(
        img_size=32,
        patch_size=8,
        embed_dim=16,
        depth=2,
        num_heads=2,
        use_rel_pos_bias=True,
        use_abs_pos_emb=False,
        num_classes=0,
    )
    return wrap(beit, "default", card, "small_beit").eval()


@pytest.mark.parametrize("kind", ["vit", "resnet", "swin", "beit"])
@pytest.mark.parametrize(
    ("protocol", "dataset", "settings"),
    [
        (Retrieve(), "shapes", {"side": 48}),
        (Copydays(), "shapes_copies", {"side": 96}),
        (Davis(), "moving_shapes", {"side": 128, "frames": 3}),
    ],
    ids=["retrieve", "copydays", "davis"],
)
def test_networks_run_and_stay_as_they_are(
    tmp_path: Path, kind: str, protocol: Any, dataset: str, settings: dict[str, Any]
) -> None:
    model = net(kind)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    data = load_dataset(dataset, limit=1)
    found = protocol.evaluate(model, data, protocol.settings(**settings), Compute(cache=tmp_path))
    assert 0 <= found.metrics[found.primary] <= 100
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert modes == [module.training for module in model.modules()]


def test_attention_of_a_beit_at_another_size_is_that_of_its_resampled_tables() -> None:
    model = net("beit")
    for block in model.module.blocks:
        torch.nn.init.normal_(block.attn.relative_position_bias_table, std=2)
    found = AttentionMasks().evaluate(
        model, load_dataset("shapes", limit=2), AttentionMasks.settings(side=64), Compute()
    )
    assert 0 < found.metrics["jaccard"] < 100
    # the weights with which the last block's output mixes values, taken out of the network as it runs
    images, free = torch.randn(1, 3, 64, 48), accept_any_size(model, 64)
    attn, seen = free.module.blocks[-1].attn, []
    bias = attn._get_rel_pos_bias

    def watch(_: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        tokens = inputs[0]
        joint = torch.nn.functional.linear(tokens, attn.qkv.weight, torch.cat([attn.q_bias, attn.k_bias, attn.v_bias]))
        query, key, _ = joint.reshape(1, tokens.shape[1], 3, 2, -1).permute(2, 0, 3, 1, 4)
        seen.append((query @ key.transpose(-2, -1) * attn.scale + bias()).softmax(-1)[:, :, 0, 1:])

    attn.register_forward_pre_hook(watch)
    with torch.inference_mode():
        free(images)
        torch.testing.assert_close(free.attention(images), seen[0].reshape(1, 2, 8, 6))


def test_patches() -> None:
    assert [patch_side(net(kind)) for kind in ("vit", "beit", "resnet", "swin")] == [8, 8, 32, 32]
