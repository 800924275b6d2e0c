"""Label propagation: against a restatement with full matrices, closed cases, real frames, resumption and broken data."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F
from trained_backbone import trained_backbone

from ssl_bench.backbones.backbone import Backbone, Layer
from ssl_bench.cards import DatasetCard, PreprocessCard
from ssl_bench.compute import Compute
from ssl_bench.data.builders import load_dataset
from ssl_bench.data.dataset import Dataset
from ssl_bench.data.davis import davis
from ssl_bench.data.transforms import Preprocess
from ssl_bench.errors import DataError, SettingsError
from ssl_bench.protocols.training_free.davis import Davis, DavisSettings, frame_size, tracked
from ssl_bench.protocols.training_free.propagate import objects_of, propagate

SMALL = DavisSettings(side=64, reach=3)


class Pixels(Backbone):
    """Patches of 2 x 2 pixels whose feature is their mean colour (against grey), and where they are times ``place``."""

    def __init__(self, place: float = 0.0, colour: float = 1.0) -> None:
        super().__init__()
        self.name, self.embed_dim, self.place, self.colour = "pixels", 5, place, colour
        self.preprocess = Preprocess(PreprocessCard(resize=None, crop=None, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)))
        self.pool = torch.nn.Conv2d(3, 3, 2, 2, groups=3, bias=False)
        torch.nn.init.constant_(self.pool.weight, 0.25)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    def layers(self, images: torch.Tensor, last: int = 1) -> list[Layer]:
        colours = self.colour * self.pool(images)
        height, width = colours.shape[-2:]
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        places = self.place * torch.stack([y, x, 1 - y**2 / 2 - x**2 / 2])
        return [Layer(None, torch.cat([colours, places[None].expand(len(images), -1, -1, -1)], 1))]


def with_full_matrices(
    target: torch.Tensor, sources: list[torch.Tensor], labels: list[torch.Tensor], top: int, reach: int
) -> torch.Tensor:
    """All pairs of all context frames at once, the neighbourhood as a 0/1 matrix."""
    _, height, width = target.shape
    places = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")).flatten(1)
    near = (
        ((places[:, :, None] - places[:, None]).abs() <= reach).all(0) if reach else torch.ones(1, 1, dtype=torch.bool)
    )
    t = F.normalize(target.flatten(1), dim=0)
    affinity = torch.cat([(torch.exp(F.normalize(s.flatten(1), dim=0).T @ t / 0.1)) * near.float() for s in sources])
    least = affinity.topk(top, dim=0).values.min(0).values
    affinity[affinity < least] = 0
    affinity /= affinity.sum(0, keepdim=True)
    known = torch.cat([label.flatten(1) for label in labels], 1)
    return (known @ affinity).reshape(-1, height, width)


@pytest.mark.parametrize(("reach", "top", "frames"), [(2, 5, 3), (0, 5, 2), (12, 1, 1), (1, 3, 8)])
def test_propagation_is_that_of_full_matrices(reach: int, top: int, frames: int) -> None:
    random = torch.Generator().manual_seed(reach + top)
    target = torch.randn(6, 7, 9, generator=random)
    sources = [torch.randn(6, 7, 9, generator=random) for _ in range(frames)]
    labels = [torch.rand(3, 7, 9, generator=random) for _ in range(frames)]
    found = propagate(target, sources, labels, top, reach)
    torch.testing.assert_close(found, with_full_matrices(target, sources, labels, top, reach))


def test_features_that_tell_the_place_copy_the_mask() -> None:
    eye = torch.eye(30).reshape(30, 5, 6)
    label = torch.rand(2, 5, 6)
    torch.testing.assert_close(propagate(eye, [eye], [label], top=1), label)
    # without a limit a patch finds its feature wherever it went; within reach 0 columns it cannot
    moved = eye.roll(3, dims=2)
    torch.testing.assert_close(propagate(moved, [eye], [label], top=1, reach=0), label.roll(3, dims=2))
    assert not torch.allclose(propagate(moved, [eye], [label], top=1, reach=1), label.roll(3, dims=2))


def test_soft_labels_become_objects_of_the_frame() -> None:
    soft = torch.zeros(3, 4, 4)
    soft[0], soft[1, :, 2:] = 0.9, 0.05  # a weak object wins after scaling; the third has no pixel
    soft[0, :, 2:] = 0.5
    found = objects_of(soft, (16, 16), (32, 32))
    assert found.shape == (32, 32)
    assert found.dtype == np.uint8
    assert (found[:, :8] == 0).all()
    assert (found[:, 24:] == 1).all()
    assert not (found == 2).any()
    assert (objects_of(torch.ones(2, 4, 4) * torch.tensor([1.0, 0.0])[:, None, None], (8, 8), (8, 8)) == 0).all()


def video(root: Path, frames: list[np.ndarray], masks: list[np.ndarray], name: str = "a") -> None:
    for kind, end, pictures in (("JPEGImages", "jpg", frames), ("Annotations", "png", masks)):
        folder = root / "DAVIS" / kind / "480p" / name
        folder.mkdir(parents=True)
        for time, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / f"{time:05d}.{end}", **({"quality": 100} if end == "jpg" else {}))


def card(year: int = 2017) -> DatasetCard:
    return DatasetCard(name="davis", builder="davis", title="", options={"year": year, "folders": ["DAVIS"]})


def scene(count: int = 5, step: int = 0) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """A red and a green square in a blue room, on whole patches of 2 pixels, that move ``step`` pixels a frame."""
    frames, masks = [], []
    for time in range(count):
        mask = np.zeros((64, 64), np.uint8)
        mask[8:24, 8 + step * time : 24 + step * time], mask[40:56, 8 : 24 + step] = 1, 2
        colours = np.array([[30, 40, 200], [220, 30, 30], [30, 210, 40]], dtype=np.uint8)
        frames.append(colours[mask])
        masks.append(mask)
    return frames, masks


@pytest.mark.parametrize("model", [Pixels(), Pixels(place=1.0)], ids=["colours", "colours and places"])
def test_frames_that_stay_the_same_keep_their_masks(tmp_path: Path, model: Backbone) -> None:
    video(tmp_path, *scene())
    found = Davis().evaluate(model, davis(tmp_path, card()), SMALL, Compute(cache=tmp_path / "cache"))
    assert found.metrics["jf_mean"] == pytest.approx(100)
    assert found.metrics["j_recall"] == 100
    assert found.metrics["f_decay"] == 0
    assert found.details["objects"].keys() == {"a 1", "a 2"}


def test_objects_are_followed_by_colour_and_lost_by_place(tmp_path: Path) -> None:
    video(tmp_path, *scene(count=8, step=4))
    data, compute = davis(tmp_path, card()), Compute(cache=tmp_path / "cache")
    colour, place = (
        Davis().evaluate(model, data, DavisSettings(side=64, reach=4), compute).details["objects"]["a 1"]["j"]
        for model in (Pixels(), Pixels(place=1.0, colour=0.0))
    )
    assert colour > 95
    assert place < 60


def test_context_is_the_first_frame_and_the_last_few(tmp_path: Path) -> None:
    """Against a loop written anew over the restated propagation."""
    video(tmp_path, *scene(count=7, step=2))
    split, model = davis(tmp_path, card()).test, Pixels(place=0.3)
    settings = DavisSettings(side=64, last=2, reach=3, top=5)
    with torch.inference_mode():
        found = tracked(model, split, 0, 7, settings, Compute())
        features = []
        for time in range(7):
            pixels = torch.from_numpy(np.asarray(split.frame(0, time)).copy()).permute(2, 0, 1)[None]
            features.append(model.layers(model.preprocess.normalise(pixels))[0].map[0])
        known = [F.one_hot(torch.from_numpy(split.mask(0, 0)[1::2, 1::2].astype(np.int64)), 3).permute(2, 0, 1).float()]
        for time in range(1, 7):
            context = [0, *[t for t in (time - 2, time - 1) if t >= 1]]
            known.append(
                with_full_matrices(features[time], [features[t] for t in context], [known[t] for t in context], 5, 3)
            )
            np.testing.assert_array_equal(found[time - 1], objects_of(known[time], (64, 64), (64, 64)))


def test_frame_sizes_are_the_official_ones() -> None:
    assert frame_size(480, 854, 480, 16) == (480, 832)
    assert frame_size(480, 910, 480, 8) == (480, 896)
    assert frame_size(854, 480, 480, 16) == (832, 480)
    assert frame_size(480, 854, 480, 14) == (476, 826)
    assert frame_size(64, 64, 64, 8) == (64, 64)
    with pytest.raises(SettingsError, match="less than a patch"):
        frame_size(64, 64, 8, 16)


def test_real_frames(shared_data: Path, tmp_path: Path) -> None:
    data = load_dataset("davis_2016_mini", shared_data)
    assert data.test.names == ("car-shadow", "horsejump-high", "libby")
    assert data.test.lengths.tolist() == [40, 50, 49]
    assert set(np.unique(data.test.mask(0, 0))) == {0, 1}
    few = DavisSettings(side=96, frames=4, reach=6)
    found = Davis().evaluate(trained_backbone("vit"), data, few, Compute(cache=tmp_path))
    assert found.metrics["jf_mean"] == pytest.approx((found.metrics["j_mean"] + found.metrics["f_mean"]) / 2)
    assert 5 < found.metrics["jf_mean"] < 100
    fine = Davis().evaluate(Pixels(place=0.5), data, few, Compute(cache=tmp_path))
    assert fine.metrics["j_mean"] > found.metrics["j_mean"] + 20  # patches of 2 pixels against patches of 8, 96 high
    assert fine.interval is not None
    assert fine.interval.low <= fine.metrics["jf_mean"] <= fine.interval.high


def test_procedural_videos_and_resumption(tmp_path: Path) -> None:
    data, model = load_dataset("moving_shapes", limit=1), trained_backbone("vit")
    whole = Davis().evaluate(model, data, SMALL, Compute(cache=tmp_path / "a"))
    assert len(whole.details["objects"]) == 2 * len(data.test)
    compute, made = Compute(cache=tmp_path / "b"), []

    def stop_at(third: int) -> None:
        made.append(third)
        if len(made) == 3:
            raise KeyboardInterrupt

    class Stops(type(data.test)):  # type: ignore[misc]
        def frame(self, index: int, time: int) -> Image.Image:
            if time == 0:
                stop_at(index)
            return super().frame(index, time)

    stopping = Stops(data.test.parent, data.test.indices)
    with pytest.raises(KeyboardInterrupt):
        Davis().evaluate(model, Dataset(data.name, data.train, stopping), SMALL, compute)
    assert list((tmp_path / "b" / "davis").glob("*.pt"))
    first = len(made)
    again = Davis().evaluate(model, Dataset(data.name, data.train, stopping), SMALL, compute)
    assert again.metrics == whole.metrics
    assert min(made[first:]) >= 1  # the first video was done
    assert not list((tmp_path / "b" / "davis").glob("*.pt"))


def test_lists_of_both_years(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        video(tmp_path, *scene(3), name=name)
    folder = tmp_path / "DAVIS" / "ImageSets"
    assert davis(tmp_path, card()).test.names == ("a", "b", "c")
    (folder / "2017").mkdir(parents=True)
    (folder / "2017" / "val.txt").write_text("c\na\n\n")
    assert davis(tmp_path, card()).test.names == ("c", "a")
    (folder / "480p").mkdir()
    (folder / "480p" / "val.txt").write_text("".join(f"/JPEGImages/480p/b/0000{t}.jpg /x\n" for t in range(3)))
    sixteen = davis(tmp_path, card(2016))
    assert sixteen.test.names == ("b",)
    assert sixteen.test.mask(0, 0).max() == 1
    assert sixteen.test.fingerprint != davis(tmp_path, card()).test.fingerprint


def test_broken_videos_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no data set davis"):
        davis(tmp_path, card())
    frames, masks = scene(4)
    video(tmp_path, frames, [masks[0] * 0, *masks[1:]], name="empty")
    video(tmp_path, frames[:2], masks[:2], name="short")
    video(tmp_path, frames, [masks[0], masks[1][:32], *masks[2:]], name="size")
    compute, root = Compute(cache=tmp_path / "cache"), tmp_path / "DAVIS"

    def run(name: str) -> None:
        (root / "ImageSets" / "2017").mkdir(parents=True, exist_ok=True)
        (root / "ImageSets" / "2017" / "val.txt").write_text(name)
        Davis().evaluate(Pixels(), davis(tmp_path, card()), SMALL, compute)

    for name, says in (
        ("empty", "empty: there is no object"),
        ("short", "short: has 2 frames"),
        ("size", "frame 1: the mask is 64 x 32 pixels, the frame 64 x 64"),
        ("gone", "no frame in"),
        ("", "no video"),
    ):
        with pytest.raises(DataError, match=says):
            run(name)
    (root / "Annotations/480p/short/00001.png").unlink()
    with pytest.raises(DataError, match="no mask"):
        run("short")
    shutil.copy(root / "JPEGImages/480p/short/00001.jpg", root / "Annotations/480p/short/00001.png")
    with pytest.raises(DataError, match="picture with colours"):
        davis(tmp_path, card()).test.mask(0, 1)
    with pytest.raises(DataError, match="has no videos"):
        Davis().evaluate(Pixels(), load_dataset("shapes", limit=1), SMALL, compute)


def test_a_model_without_maps_is_refused(tmp_path: Path) -> None:
    class NoMaps(Pixels):
        layers = Backbone.layers  # type: ignore[assignment]

    video(tmp_path, *scene())
    with pytest.raises(SettingsError, match="no intermediate layers"):
        Davis().evaluate(NoMaps(), davis(tmp_path, card()), SMALL, Compute(cache=tmp_path / "cache"))
