from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssl_bench.data.images import open_rgb
from ssl_bench.errors import ImageError


def photograph(size: tuple[int, int] = (60, 40)) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    return Image.fromarray(np.stack([x, y, 255 - x], axis=2).astype(np.uint8))


@pytest.mark.parametrize(
    ("mode", "suffix"),
    [("RGB", "jpg"), ("L", "jpg"), ("CMYK", "jpg"), ("P", "png"), ("RGBA", "png"), ("LA", "png"), ("1", "png")],
)
def test_every_mode_becomes_rgb_as_pillow_converts_it(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"image.{suffix}"
    photograph().convert(mode).save(path)
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB"))
    image = open_rgb(path)
    assert image.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(image), expected)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    grey = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    assert np.asarray(open_rgb(tmp_path / "grey.png"))[0].tolist() == [[0] * 3, [1] * 3, [100] * 3, [255] * 3]


def test_a_transparent_palette_is_no_warning(tmp_path: Path) -> None:
    image = photograph().convert("P")
    image.save(tmp_path / "p.png", transparency=bytes(range(256)))
    assert open_rgb(tmp_path / "p.png").mode == "RGB"


def whole_jpeg() -> bytes:
    file = io.BytesIO()
    photograph().save(file, "JPEG")
    return file.getvalue()


def whole_png() -> bytes:
    file = io.BytesIO()
    photograph().save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize(
    "content",
    [b"", b"no image at all", whole_jpeg()[:200], whole_jpeg()[: len(whole_jpeg()) // 2], whole_png()[:120]],
    ids=["empty", "text", "header only", "half a JPEG", "part of a PNG"],
)
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"broken\.jpg: cannot be read as an image"):
        open_rgb(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg.*No such file"):
        open_rgb(tmp_path / "gone.jpg")
