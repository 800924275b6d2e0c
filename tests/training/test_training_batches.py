"""What a step sees: order, sharding, views, normalisation, broken images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from training_toys import Toy, ToySplit, toy_data, toy_recipe

from ssl_bench.compute import Compute
from ssl_bench.data.dataset import Split
from ssl_bench.errors import DataError, SettingsError, TrainingError
from ssl_bench.methods.negative_free.dino import DINO, DINOSettings
from ssl_bench.methods.parts.augment import pil_view
from ssl_bench.methods.parts.views import ViewSpec
from ssl_bench.progress import Silent
from ssl_bench.training.batches import batches, generator, indices
from ssl_bench.training.plan import Plan
from ssl_bench.training.views import view_specs

PLAIN = ViewSpec(size=16, crop_scale=(1, 1), crop_ratio=(1, 1), flip=0, jitter_probability=0, gray=0, blur=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 4), st.integers(0, 40), st.integers(0, 3))
def test_epoch_shows_every_image_at_most_once_in_an_order_of_its_own(
    batch: int, accumulate: int, processes: int, spare: int, seed: int
) -> None:
    recipe = toy_recipe(batch_size=batch, accumulate=accumulate, epochs=2, seed=seed)
    plan = Plan(recipe, batch * accumulate * processes + spare, processes)
    epochs = []
    for epoch in range(2):
        steps = range(epoch * plan.steps_per_epoch, (epoch + 1) * plan.steps_per_epoch)
        seen = np.concatenate([indices(plan, s, r).ravel() for s in steps for r in range(processes)])
        assert len(set(seen.tolist())) == len(seen) == plan.steps_per_epoch * plan.batch > plan.images - plan.batch
        epochs.append(seen.tolist())
    if plan.images > 10:
        assert epochs[0] != epochs[1]


def test_processes_together_see_what_one_process_with_their_joined_batch_sees() -> None:
    two = Plan(toy_recipe(batch_size=4, accumulate=3), 100, processes=2)
    one = Plan(toy_recipe(batch_size=8, accumulate=3), 100)
    for step in (0, 3, 5):
        joined = np.concatenate([indices(two, step, 0), indices(two, step, 1)], axis=1)
        assert np.array_equal(joined, indices(one, step, 0))


def test_generators_differ_by_purpose_and_number() -> None:
    keys = [("a", 0), ("b", 0), ("a", 1), ("a", 0, 1), ("a", 1, 2), ("a", 2, 1)]
    seeds = {generator(*key).initial_seed() for key in keys}
    assert len(seeds) == len(keys)


@pytest.mark.parametrize("augment", ["pil", "batched"])
@pytest.mark.parametrize("in_memory", [True, False])
def test_views_are_normalised_pixels_of_the_right_images(augment: str, in_memory: bool) -> None:
    data = toy_data(12, in_memory=in_memory).train
    recipe = toy_recipe(augment=augment, batch_size=4, epochs=1)
    plan = Plan(recipe, 12)
    seen = list(batches(plan, data, [PLAIN, PLAIN], Compute()))
    assert len(seen) == 3
    for step, views in enumerate(seen):
        pixels = data.images[indices(plan, step, 0)[0]].transpose(0, 3, 1, 2) / 255
        for view in views:
            np.testing.assert_allclose(view.numpy(), (pixels - 0.5) / 0.25, atol=1e-5)


@pytest.mark.parametrize("augment", ["pil", "batched"])
def test_batches_from_a_later_step_are_the_same(augment: str) -> None:
    data = toy_data().train
    plan = Plan(toy_recipe(augment=augment, batch_size=4, accumulate=2, epochs=2), 30)
    specs = [ViewSpec(size=16), ViewSpec(size=8)]
    whole, rest = (list(batches(plan, data, specs, Compute(), start)) for start in (0, 4))
    assert len(whole) == 12
    assert len(rest) == 4
    for a, b in zip(whole[8:], rest, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert [tuple(v.shape) for v in whole[0]] == [(4, 3, 16, 16), (4, 3, 8, 8)]


def test_views_depend_neither_on_the_batch_nor_on_the_number_of_workers() -> None:
    data = toy_data(8).train
    plan = Plan(toy_recipe(augment="pil", batch_size=4, epochs=1), 8)
    spec = ViewSpec(size=16)
    alone, helped = (list(batches(plan, data, [spec], Compute(workers=n))) for n in (0, 1))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(alone, helped, strict=True))
    index = int(indices(plan, 1, 0)[0, 2])
    view = pil_view(spec)(data.image(index), generator("image", 0, 0, index))
    torch.testing.assert_close(alone[1][0][2], (view - 0.5) / 0.25, rtol=0, atol=1e-6)


class Broken(ToySplit):
    """Image 3 cannot be read."""

    def image(self, index: int) -> Image.Image:
        if index == 3:
            raise DataError("photo_3.jpg: cannot be read.")
        return super().image(index)


def broken() -> Split:
    whole = toy_data(8).train
    return Broken(whole.images, whole.labels, in_memory=False)


@pytest.mark.parametrize("workers", [0, 1])
def test_broken_image_stops_with_its_own_message_or_is_skipped_and_named(workers: int) -> None:
    plan = Plan(toy_recipe(augment="pil", batch_size=4, epochs=2), 8)
    with pytest.raises(DataError, match=r"^photo_3\.jpg: cannot be read\.$"):
        list(batches(plan, broken(), [PLAIN], Compute(workers=workers)))
    progress = Silent()
    compute = Compute(workers=workers, skip_broken=True, progress=progress)
    assert len(list(batches(plan, broken(), [PLAIN], compute))) == 4
    assert progress.notes == ["Skipped: photo_3.jpg: cannot be read."]


def test_batched_augmentation_refuses_images_of_several_sizes() -> None:
    class Mixed(ToySplit):
        def image(self, index: int) -> Image.Image:
            return super().image(index).resize((8 + index, 8))

    whole = toy_data(8).train
    plan = Plan(toy_recipe(batch_size=4), 8)
    with pytest.raises(TrainingError, match="differ in size"):
        next(batches(plan, Mixed(whole.images, whole.labels, in_memory=False), [PLAIN], Compute()))


def test_recipe_changes_views_and_leaves_the_crops_of_local_ones() -> None:
    recipe = toy_recipe(
        image_size=32, views={"blur": 0.0, "crop_scale": (0.3, 1.0), "local": {"crop_scale": (0.1, 0.3), "gray": 0.0}}
    )
    given = DINO.augmentation(32, DINOSettings(local_crops=2))
    changed = view_specs(DINO, recipe, DINOSettings(local_crops=2))
    assert [spec.size for spec in changed] == [32, 32, 16, 16]
    assert [spec.blur for spec in changed] == [0, 0, 0, 0]
    assert [spec.crop_scale for spec in changed] == [(0.3, 1.0)] * 2 + [(0.1, 0.3)] * 2
    assert [spec.gray for spec in changed] == [given[0].gray] * 2 + [0.0] * 2
    assert changed[1].solarize == given[1].solarize == 0.2
    assert view_specs(DINO, toy_recipe(image_size=32), DINOSettings(local_crops=2)) == given


@pytest.mark.parametrize("views", [{"blurr": 0.1}, {"flip": 2}, {"local": 3}])
def test_wrong_view_field_is_named(views: dict[str, object]) -> None:
    name, value = next(iter(views.items()))
    with pytest.raises(SettingsError, match=rf"toy_small: views\.{name}.*{value}"):
        view_specs(Toy, toy_recipe(views=views), None)
