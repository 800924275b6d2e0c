import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.models import utils as lightly
from methods_common import TinyConvNet, descend, images, tiny_vit

from ssl_bench.errors import SettingsError
from ssl_bench.methods.load import load_method
from ssl_bench.methods.masked.mae import MAE, MAESettings, normalised, reconstruction
from ssl_bench.methods.parts.masking import Mask, patchify, random_mask, take, unpatchify
from ssl_bench.methods.parts.positions import sincos_2d

SMALL = {"decoder_dim": 16, "decoder_depth": 1, "decoder_heads": 2}
CPU = torch.device("cpu")


def test_loss_is_the_mean_over_hidden_patches_only():
    prediction, target = torch.randn(2, 3, 6, 5)
    hidden = torch.rand(3, 6) < 0.5
    errors = [
        float(((prediction[b, i] - target[b, i]) ** 2).mean()) for b in range(3) for i in range(6) if hidden[b, i]
    ]
    loss = reconstruction(prediction, target, hidden).item()
    assert loss == pytest.approx(sum(errors) / len(errors), rel=1e-5)
    assert loss == pytest.approx(torch.nn.MSELoss()(prediction[hidden], target[hidden]).item(), rel=1e-5)


def test_targets_are_normalised_with_the_unbiased_variance():
    patches = torch.randn(2, 3, 12) * 3 + 1
    assert torch.allclose(normalised(patches), lightly.normalize_mean_var(patches), atol=1e-6)
    one = patches[1, 2].double().numpy()
    by_hand = (one - one.mean()) / np.sqrt(one.var(ddof=1) + 1e-6)
    assert np.allclose(normalised(patches)[1, 2].numpy(), by_hand, atol=1e-5)


def test_patches_are_lightlys_and_come_back():
    batch = images(2, 16)
    assert torch.equal(patchify(batch, 4), lightly.patchify(batch, 4))
    assert patchify(batch, 4)[1, 5, 3 * 4 * 2 + 3 * 1 + 2] == batch[1, 2, 4 + 2, 4 + 1]
    wide = torch.randn(2, 3, 8, 12)
    assert torch.equal(unpatchify(patchify(wide, 4), 4, 8, 12), wide)


@given(batch=st.integers(1, 5), tokens=st.integers(2, 200), ratio=st.floats(0.01, 0.99), seed=st.integers(0, 999))
@settings(deadline=None, max_examples=40)
def test_mask_hides_the_ratio_and_restores_the_order(batch, tokens, ratio, seed):
    torch.manual_seed(seed)
    mask = random_mask(batch, tokens, ratio, CPU)
    visible = int(tokens * (1 - ratio))
    assert mask.keep.shape == (batch, visible)
    assert (mask.hidden.sum(1) == tokens - visible).all()
    assert not mask.hidden.gather(1, mask.keep).any()
    positions = torch.arange(tokens).expand(batch, -1)[..., None]
    shown = take(positions, mask.keep)
    hidden = torch.full((batch, tokens - visible, 1), -1)
    assert torch.equal(take(torch.cat([shown, hidden], 1), mask.restore)[..., 0].eq(-1), mask.hidden)
    assert torch.equal(take(positions, mask.restore.argsort(1))[:, :visible], shown)


def test_mask_is_uniform_and_differs_between_images():
    mask = random_mask(4000, 8, 0.75, CPU)
    share = mask.hidden.double().mean(0)
    assert (share - 0.75).abs().max() < 0.04
    assert len({tuple(row) for row in mask.keep.sort(1).values.tolist()}) == 28


@pytest.mark.parametrize("prefix", [0, 1])
def test_positions_are_lightlys_and_the_formula(prefix):
    ours = sincos_2d(16, 4, 4, prefix)
    theirs = lightly.get_2d_sine_cosine_positional_embedding(16, 4, cls_token=bool(prefix))
    assert np.allclose(ours.numpy(), theirs, atol=1e-6)
    y, x, k = 3, 1, 2
    row = sincos_2d(16, 5, 4)[y * 4 + x]
    assert row[k] == pytest.approx(np.sin(x * 10000 ** (-k / 4)), abs=1e-6)
    assert row[8 + 4 + k] == pytest.approx(np.cos(y * 10000 ** (-k / 4)), abs=1e-6)


def everything(batch: int) -> Mask:
    """A mask that hides nothing."""
    index = torch.arange(16).expand(batch, -1)
    return Mask(index, index, torch.zeros(batch, 16, dtype=torch.bool))


@pytest.mark.parametrize(
    "changes", [{}, {"dynamic_img_size": True}, {"class_token": False, "global_pool": "avg", "fc_norm": False}]
)
def test_encoder_with_nothing_hidden_is_timms(changes):
    vit = tiny_vit(**changes)
    method = load_method("mae", vit, **SMALL).eval()
    assert torch.allclose(method.encode(images(3), everything(3)), vit.forward_features(images(3)), atol=1e-5)


def test_hidden_patches_cannot_be_seen():
    method = load_method("mae", tiny_vit(), **SMALL).eval()
    mask = random_mask(2, 16, 0.75, CPU)
    patches = patchify(images(2), 4)
    changed = torch.where(mask.hidden[..., None], patches + 5, patches)
    first, second = (method.encode(unpatchify(p, 4, 16, 16), mask) for p in (patches, changed))
    assert torch.equal(first, second)
    assert first.shape == (2, 1 + 4, 16)


def test_decoder_answers_in_the_images_order():
    """Shuffling which visible patch comes first changes nothing: positions are added before and after."""
    method = load_method("mae", tiny_vit(), **SMALL).eval()
    mask = random_mask(2, 16, 0.5, CPU)
    shuffled = mask.restore.argsort(1)
    shuffled = torch.cat([shuffled[:, :8].flip(1), shuffled[:, 8:].flip(1)], 1)
    other = Mask(shuffled[:, :8], shuffled.argsort(1), mask.hidden)
    first, second = (method.decoder(method.encode(images(2), m), m) for m in (mask, other))
    assert torch.allclose(first, second, atol=1e-5)
    assert first.shape == (2, 16, 48)


def test_whole_loss_by_hand():
    method = load_method("mae", tiny_vit(), **SMALL)
    torch.manual_seed(5)
    loss = method([images(3)], 0)["loss"].item()
    torch.manual_seed(5)
    mask = random_mask(3, 16, 0.75, CPU)
    prediction = method.decoder(method.encode(images(3), mask), mask)
    target = lightly.normalize_mean_var(lightly.patchify(images(3), 4))
    assert loss == pytest.approx(torch.nn.MSELoss()(prediction[mask.hidden], target[mask.hidden]).item(), rel=1e-5)


def test_positions_are_fixed_and_all_else_learns():
    method = load_method("mae", tiny_vit(), **SMALL)
    assert torch.equal(method.encoder.pos_embed[0], sincos_2d(16, 4, 4, 1))
    method([images(3)], 0)["loss"].backward()
    without = {name for name, p in method.named_parameters() if p.grad is None}
    assert without == {"encoder.pos_embed"}


def test_training_lowers_the_loss():
    method = load_method("mae", tiny_vit(), **SMALL)
    losses = descend(method, [images(4)], 30, lr=0.2)
    assert sum(losses[-5:]) < 0.95 * sum(losses[:5])


def test_plain_pixels_are_the_target_without_norm_pix():
    method = load_method("mae", tiny_vit(), norm_pix=False, **SMALL)
    with torch.no_grad():
        method.decoder.predict.weight.zero_()
    assert method([torch.full((2, 3, 16, 16), 3.0)], 0)["loss"].item() == pytest.approx(9.0)


@pytest.mark.parametrize("encoder", [TinyConvNet, lambda: tiny_vit(reg_tokens=2), lambda: tiny_vit(pos_embed="none")])
def test_encoders_that_cannot_drop_tokens_are_refused(encoder):
    with pytest.raises(SettingsError, match="mae needs a"):
        load_method("mae", encoder(), **SMALL)


def test_decoder_width_must_fit_its_heads():
    with pytest.raises(SettingsError, match="3 heads"):
        load_method("mae", tiny_vit(), decoder_dim=16, decoder_heads=3)


def test_augmentation_is_a_crop_and_a_flip():
    (view,) = MAE.augmentation(224, MAESettings())
    assert (view.crop_scale, view.flip, view.jitter_probability, view.gray, view.blur) == ((0.2, 1.0), 0.5, 0, 0, 0)
