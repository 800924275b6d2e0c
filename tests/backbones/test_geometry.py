"""The same weights, images cut in another way."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import CenterCrop, Resize
from torchvision.transforms.functional import InterpolationMode

from ssl_bench.backbones.archs import build, wrap
from ssl_bench.backbones.embeddings import embed, embedding_dim
from ssl_bench.backbones.geometry import seen_as
from ssl_bench.backbones.plain import PlainBackbone
from ssl_bench.cards import PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.features import extract
from ssl_bench.data.splits import ArraySplit
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import SettingsError


def backbone(**card):
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    preprocess = Preprocess(PreprocessCard(mean=mean, std=std, **card))
    net = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(2), torch.nn.Flatten())
    return PlainBackbone(net, "default", preprocess, "small", 12).eval()


def picture():
    return Image.fromarray(np.random.RandomState(0).randint(0, 256, (60, 90, 3)).astype(np.uint8))


@pytest.mark.parametrize(
    "own", [{}, {"interpolation": "bilinear"}, {"crop_first": "down"}, {"resize": 24, "squash": True}]
)
def test_the_suite_resizes_the_shorter_side_to_the_crop(own):
    model = backbone(**{"resize": 28, "crop": 24, **own})
    view = seen_as(model, "suite")
    expected = CenterCrop(24)(Resize(24, InterpolationMode.BICUBIC)(picture()))
    np.testing.assert_array_equal(view.preprocess.pixels(picture()).permute(1, 2, 0), np.asarray(expected))
    assert (view.preprocess.card.mean, view.preprocess.card.std) == (
        model.preprocess.card.mean,
        model.preprocess.card.std,
    )
    assert model.preprocess.card.resize == own.get("resize", 28)


def test_squashed_images_lose_nothing():
    view = seen_as(backbone(resize=28, crop=24), "squash")
    expected = Resize((24, 24), InterpolationMode.BILINEAR)(picture())
    np.testing.assert_array_equal(view.preprocess.pixels(picture()).permute(1, 2, 0), np.asarray(expected))


def test_the_models_own_geometry_is_the_model_itself():
    model = backbone(resize=28, crop=24)
    assert seen_as(model, "model") is model
    whole = backbone(resize=None, crop=None)
    assert seen_as(whole, "suite") is whole


def test_weights_are_shared_and_features_are_kept_apart(tmp_path):
    """The view is another entry in the store, and leaves the model as it was."""
    model = backbone(resize=28, crop=24)
    model.module.register_parameter("scale", torch.nn.Parameter(torch.ones(1)))
    view = seen_as(model, "suite")
    assert next(view.parameters()) is next(model.parameters())
    pixels = np.random.RandomState(0).randint(0, 256, (4, 30, 40, 3)).astype(np.uint8)
    split = ArraySplit(pixels, [0, 1, 0, 1], ["a", "b"])
    compute = Compute(cache=tmp_path)
    own, other, again = (extract(m, split, compute).x for m in (model, view, seen_as(model, "suite")))
    assert not np.array_equal(own, other)
    np.testing.assert_array_equal(other, again)
    assert len(list((tmp_path / "features").glob("*/meta.json"))) == 2
    assert not model.training


def test_vissls_8192_numbers_of_a_resnet():
    """Averages of 6 x 6 pixels at the four corners of the 7 x 7 map."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = wrap(build("resnet18", {}), "pool", Preprocess(PreprocessCard()), "small").eval()
        images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        last = model.layers(images)[0].map
        found = embed(model, images, "pool_2x2").view(2, 512, 2, 2)
    assert last.shape[-2:] == (7, 7)
    assert embedding_dim(model, "pool_2x2") == 2048
    for row in (0, 1):
        for column in (0, 1):
            expected = last[:, :, row : row + 6, column : column + 6].mean((2, 3))
            torch.testing.assert_close(found[:, :, row, column], expected)
    with pytest.raises(SettingsError, match="maps of 1 x 1 pixels have no pool_2x2"):
        embed(model, torch.zeros(1, 3, 32, 32), "pool_2x2")
