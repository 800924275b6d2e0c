"""Pictures for people: grids of images, nearest neighbours, attention maps; charts are in ``charts``."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ssl_bench.errors import FeatureError, StoreError
from ssl_bench.reporting.charts import bars, scatter
from ssl_bench.results.atomic import write_bytes

if TYPE_CHECKING:
    from ssl_bench.backbones.backbone import Backbone
    from ssl_bench.data.dataset import Dataset
    from ssl_bench.data.features import Features

__all__ = ["attention", "bars", "image_grid", "neighbours", "scatter", "spread_over"]

GAP = 6
CAPTION = 16
GREEN, RED = (46, 160, 67), (207, 34, 46)


def image_grid(
    rows: Sequence[Sequence[np.ndarray]],
    out: Path,
    captions: Sequence[Sequence[str]] | None = None,
    frames: Sequence[Sequence[tuple[int, int, int] | None]] | None = None,
    side: int = 96,
) -> Path:
    """A picture of ``rows`` of images, each (H, W, 3) or (H, W), uint8 or float in [0, 1], drawn ``side`` pixels wide and high.

    ``captions`` stand below the images, ``frames`` are colours around them; both have the shape of ``rows``.
    """
    if not rows or not any(len(row) for row in rows):
        raise StoreError(f"{out}: there are no images to draw.")
    cell = side + GAP, side + GAP + (CAPTION if captions else 0)
    size = max(map(len, rows)) * cell[0] + GAP, len(rows) * cell[1] + GAP
    canvas = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(11)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            x, y = GAP + j * cell[0], GAP + i * cell[1]
            canvas.paste(_tile(image, side), (x, y))
            frame = frames[i][j] if frames else None
            if frame is not None:
                draw.rectangle((x - 2, y - 2, x + side + 1, y + side + 1), outline=frame, width=2)
            if captions:
                draw.text((x + side / 2, y + side + 2), captions[i][j], fill="black", font=font, anchor="mt")
    stream = io.BytesIO()
    if out.suffix.lower() not in Image.registered_extensions():
        raise StoreError(f"{out}: is not the name of a picture.", "Give --out a name that ends in .png.")
    canvas.save(stream, Image.registered_extensions()[out.suffix.lower()])
    write_bytes(out, stream.getvalue())
    return out


def spread_over(images: int, count: int) -> list[int]:
    """``count`` positions among ``images`` (all, if there are fewer), from the first to the last."""
    count = min(count, images)
    return [round(i * (images - 1) / max(count - 1, 1)) for i in range(count)]


def neighbours(
    train: Features, test: Features, dataset: Dataset, out: Path, queries: Sequence[int] = range(8), k: int = 6
) -> Path:
    """Test images (left), each with its ``k`` nearest training images by cosine similarity of their features.

    ``queries``: rows of ``test``; those beyond its end are left out. Green frame: same class; red: another.
    """
    chosen = np.array([query for query in queries if query < len(test)], dtype=np.int64)
    if not len(chosen) or not len(train):
        raise FeatureError("There are no features to compare.", "Extract train and test features first.")
    similarity = _unit(test.x[chosen]) @ _unit(np.asarray(train.x)).T
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :k]
    rows, captions, frames = [], [], []
    for place, query in enumerate(chosen):
        found = nearest[place]
        label = int(test.y[query])
        images = [
            dataset.test.image(int(test.index[query])),
            *(dataset.train.image(int(train.index[j])) for j in found),
        ]
        rows.append([np.asarray(image.convert("RGB")) for image in images])
        captions.append([dataset.classes[label], *(f"{similarity[place, j]:.3f}" for j in found)])
        frames.append([None, *(GREEN if int(train.y[j]) == label else RED for j in found)])
    return image_grid(rows, out, captions, frames)


def attention(backbone: Backbone, images: Sequence[Image.Image], out: Path) -> Path:
    """Each image as the model sees it, then where the class token looks, one map for each head of the last block.

    Every map is scaled to its own maximum. Raises :class:`ssl_bench.errors.SettingsError` for models without a class token.
    """
    import torch

    if not images:
        raise StoreError(f"{out}: there are no images to draw.", "Give at least one image.")
    card = backbone.preprocess.card
    inputs = torch.stack([backbone.preprocess(image) for image in images])
    device = next(backbone.parameters()).device
    with torch.inference_mode():
        maps = backbone.attention(inputs.to(device)).float().cpu().numpy()
    mean, std = (np.asarray(values, dtype=np.float32) for values in (card.mean, card.std))
    seen = inputs.permute(0, 2, 3, 1).numpy() * std + mean
    rows = [[seen[i], *(heat(head) for head in maps[i])] for i in range(len(images))]
    captions = [["input", *(f"head {h + 1}" for h in range(maps.shape[1]))]] + [[""] * (1 + maps.shape[1])] * (
        len(rows) - 1
    )
    return image_grid(rows, out, captions, side=128)


def heat(values: np.ndarray) -> np.ndarray:
    """(h, w) of non-negative numbers -> (h, w, 3) in [0, 1]: black, red, yellow, white from 0 to the maximum."""
    share = values / max(float(values.max()), 1e-12)
    return np.stack([np.clip(3 * share - start, 0, 1) for start in (0, 1, 2)], axis=-1)


def _tile(image: np.ndarray, side: int) -> Image.Image:
    array = np.asarray(image)
    if array.dtype != np.uint8:
        array = (np.clip(array, 0, 1) * 255).round().astype(np.uint8)
    picture = Image.fromarray(array).convert("RGB")
    # Few pixels are shown as they are, many are shrunk smoothly.
    method = Image.Resampling.NEAREST if max(array.shape[:2]) <= side else Image.Resampling.BICUBIC
    return picture.resize((side, side), method)


def _unit(x: Any) -> np.ndarray:
    array = np.asarray(x, dtype=np.float32)
    unit: np.ndarray = array / np.maximum(np.linalg.norm(array, axis=1, keepdims=True), 1e-12)
    return unit
