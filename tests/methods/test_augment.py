"""The batched augmentations against torchvision's on real images, and the distribution of what is drawn."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.datasets import load_sample_images
from torchvision.transforms import v2
from torchvision.transforms.functional import InterpolationMode
from torchvision.transforms.v2 import functional as F

from ssl_bench.methods.parts import colour
from ssl_bench.methods.parts.augment import apply_batched, apply_pil, batched_view, blur_kernel, pil_view
from ssl_bench.methods.parts.draws import Draws, draw
from ssl_bench.methods.parts.resample import blur_matrix, resample
from ssl_bench.methods.parts.views import ViewSpec

BYTE = 1 / 255


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    """Sixteen 48 x 40 pieces of scikit-learn's two photographs."""
    pieces = []
    for photo in load_sample_images().images:
        image = Image.fromarray(photo).resize((160, 120), Image.Resampling.BICUBIC)
        for k in range(8):
            left, top = 30 * (k % 4), 40 * (k // 4)
            pieces.append(image.crop((left, top, left + 48, top + 40)))
    return pieces


def tensors(images: list[Image.Image]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(i)).permute(2, 0, 1) for i in images]).float() / 255


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


PLAIN = {"flip": 0, "jitter_probability": 0, "gray": 0, "blur": 0, "solarize": 0}
CASES = {
    "crop_bicubic": (ViewSpec(size=32, **PLAIN), 2.01),
    "crop_bilinear": (ViewSpec(size=32, interpolation="bilinear", **PLAIN), 1.01),
    "crop_shrinking": (ViewSpec(size=12, crop_scale=(0.5, 1.0), **PLAIN), 2.01),
    "flip": (ViewSpec(size=32, **{**PLAIN, "flip": 1}), 2.01),
    "gray": (ViewSpec(size=32, **{**PLAIN, "gray": 1}), 2.51),
    "blur": (ViewSpec(size=32, blur_kernel=9, **{**PLAIN, "blur": 1}), 2.51),
    "brightness_contrast_saturation": (
        ViewSpec(size=32, jitter=(0.4, 0.4, 0.4, 0), **{**PLAIN, "jitter_probability": 1}),
        8,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_batched_view_is_the_pil_view(case, photos):
    """Same parameters, same pixels up to PIL's rounding to 8 bits after each operation."""
    spec, tolerance = CASES[case]
    draws = draw(spec, len(photos), 40, 48, generator())
    expected = torch.stack([apply_pil(image, draws.part(i, i + 1), spec) for i, image in enumerate(photos)])
    assert expected.shape == (16, 3, spec.size, spec.size)
    difference = (apply_batched(tensors(photos), draws, spec) - expected).abs()
    assert difference.max() <= tolerance * BYTE
    assert difference.mean() <= 1.5 * BYTE


def test_whole_simclr_view_stays_close_to_pil(photos):
    spec = ViewSpec(size=32, solarize=0.3)
    draws = draw(spec, len(photos), 40, 48, generator(3))
    expected = torch.stack([apply_pil(image, draws.part(i, i + 1), spec) for i, image in enumerate(photos)])
    difference = (apply_batched(tensors(photos), draws, spec) - expected).abs()
    assert difference.quantile(0.95) <= 6 * BYTE  # PIL's hue has 256 steps


@pytest.mark.parametrize("index", range(4))
def test_colour_operations_are_torchvisions(index, photos):
    images, factors = tensors(photos), torch.linspace(0.3, 1.7, len(photos))
    if index == 3:
        factors = factors / 4 - 0.25
    names = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    expected = torch.stack([names[index](x, f.item()) for x, f in zip(images, factors, strict=True)])
    assert torch.allclose(colour.OPERATIONS[index](images, factors), expected, atol=2e-5)
    assert torch.allclose(colour.grayscale(images), F.rgb_to_grayscale(images), atol=1e-6)


def test_jitter_applies_each_images_own_order(photos):
    images = tensors(photos)[:6]
    factors = torch.rand(6, 4, generator=generator()) * 0.8 + 0.6
    factors[:, 3] = torch.linspace(-0.2, 0.2, 6)
    order = torch.rand(6, 4, generator=generator(1)).argsort(1)
    active = torch.tensor([True, True, False, True, True, True])
    got = colour.jitter(images, factors, order, active, (True,) * 4)
    names = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
    for i, image in enumerate(images):
        for operation in order[i].tolist() if active[i] else []:
            image = names[operation](image, factors[i, operation].item())
        assert torch.allclose(got[i], image, atol=1e-4)


@pytest.mark.parametrize(("size", "kernel"), [(32, 3), (32, 23), (12, 23)])
def test_blur_is_torchvisions(size, kernel, photos):
    images = F.resize(tensors(photos), [size, size])
    sigma = torch.linspace(0.1, 2, len(images))
    matrix = blur_matrix(sigma, size, kernel)
    expected = torch.stack(
        [F.gaussian_blur(x, [kernel] * 2, [s.item()] * 2) for x, s in zip(images, sigma, strict=True)]
    )
    assert torch.allclose(resample(images, matrix, matrix), expected, atol=1e-5)


def test_solarize_inverts_from_the_threshold_on(photos):
    spec = ViewSpec(size=40, crop_scale=(1, 1), crop_ratio=(0.5, 2), **{**PLAIN, "solarize": 1})
    expected = F.solarize(F.resize(photos[0], [40, 40], InterpolationMode.BICUBIC), 128)
    draws = draw(spec, 1, 40, 48, generator())
    draws = Draws(**{**vars(draws), "box": torch.tensor([[0, 0, 40, 48]])})
    assert torch.equal(
        apply_pil(photos[0], draws, spec), F.to_dtype(F.pil_to_tensor(expected), torch.float32, scale=True)
    )


@given(low=st.floats(0.05, 0.9), height=st.integers(4, 60), width=st.integers(4, 60), seed=st.integers(0, 2**31))
@settings(deadline=None, max_examples=30)
def test_boxes_lie_inside_and_keep_area_and_aspect(low, height, width, seed):
    spec = ViewSpec(size=8, crop_scale=(low, 1.0))
    top, left, h, w = draw(spec, 64, height, width, generator(seed)).box.unbind(1)
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + h <= height).all()
    assert (left + w <= width).all()
    assert (h >= 1).all()
    assert (w >= 1).all()


def test_boxes_are_distributed_as_torchvisions():
    spec = ViewSpec(size=8)
    box = draw(spec, 4000, 64, 64, generator()).box.double()
    torch.manual_seed(0)
    image = torch.zeros(3, 64, 64)
    crop = v2.RandomResizedCrop(8, antialias=True)
    theirs = [crop.make_params([image]) for _ in range(4000)]
    theirs = torch.tensor([[p["top"], p["left"], p["height"], p["width"]] for p in theirs]).double()
    error = (box.var(0) / 4000 + theirs.var(0) / 4000).sqrt()
    assert ((box.mean(0) - theirs.mean(0)).abs() < 4 * error).all()
    assert torch.allclose(box.std(0), theirs.std(0), rtol=0.06)


def test_image_without_a_fitting_box_gets_the_central_one():
    spec = ViewSpec(size=8, crop_scale=(1.0, 1.0))
    assert draw(spec, 3, 10, 100, generator()).box.tolist() == [[0, 43, 10, 13]] * 3
    assert draw(spec, 3, 100, 10, generator()).box.tolist() == [[43, 0, 13, 10]] * 3


def test_probabilities_and_ranges_of_what_is_drawn():
    spec = ViewSpec(
        size=8, flip=0.3, jitter_probability=0.8, gray=0.2, blur=0.1, solarize=0.6, jitter=(1.2, 0.4, 0.2, 0.1)
    )
    draws = draw(spec, 20000, 16, 16, generator())
    for name, probability in {"flip": 0.3, "jitter": 0.8, "gray": 0.2, "blur": 0.1, "solarize": 0.6}.items():
        assert abs(getattr(draws, name).double().mean().item() - probability) < 0.015
    low, high = draws.factors.amin(0), draws.factors.amax(0)
    assert torch.allclose(low, torch.tensor([0.0, 0.6, 0.8, -0.1]), atol=2e-3)
    assert torch.allclose(high, torch.tensor([2.2, 1.4, 1.2, 0.1]), atol=2e-3)
    assert ((draws.sigma >= 0.1) & (draws.sigma <= 2.0)).all()
    assert len({tuple(o) for o in draws.order.tolist()}) == 24


def test_only_the_generator_decides(photos):
    spec, images = ViewSpec(size=16), tensors(photos)
    state = torch.get_rng_state()
    first, second = batched_view(images, spec, generator(5)), batched_view(images, spec, generator(5))
    assert torch.equal(first, second)
    assert not torch.equal(first, batched_view(images, spec, generator(6)))
    view = pil_view(spec)
    assert torch.equal(view(photos[0], generator(5)), view(photos[0], generator(5)))
    assert torch.equal(torch.get_rng_state(), state)


def test_batches_beyond_the_chunk_are_whole(photos):
    images = tensors(photos).repeat(20, 1, 1, 1)[:300]
    spec = ViewSpec(size=16)
    draws = draw(spec, 300, 40, 48, generator(1))
    assert torch.allclose(batched_view(images, spec, generator(1)), apply_batched(images, draws, spec), atol=1e-6)


def test_views_are_in_the_unit_interval(photos):
    for view in (
        batched_view(tensors(photos), ViewSpec(size=24), generator()),
        pil_view(ViewSpec(size=24))(photos[0], generator()),
    ):
        assert view.dtype == torch.float32
        assert view.min() >= 0
        assert view.max() <= 1


@pytest.mark.parametrize(("size", "side"), [(224, 23), (96, 9), (32, 3)])
def test_default_blur_kernel_is_simclrs(size, side):
    assert blur_kernel(ViewSpec(size=size)) == side
