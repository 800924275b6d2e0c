"""Open an image file as RGB, whatever it holds; one that cannot be read is named."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from ssl_bench.errors import ImageError

_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow's readers raise on files that are cut off, empty, damaged or no image at all."""


def open_rgb(path: Path) -> Image.Image:
    """The image in RGB; :class:`ImageError` with the path if it cannot be read.

    CMYK, grey, palette and transparent images are converted as ``Image.convert("RGB")`` does in the authors' loaders.
    """
    with explained(path):
        content = path.read_bytes()
        if not content:
            raise ValueError("the file is empty")
        with Image.open(io.BytesIO(content)) as image:
            rgb = to_rgb(image)
    return rgb


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever Pillow raises on a broken file becomes an :class:`ImageError` that names it."""
    try:
        yield
    except _BROKEN as error:
        raise ImageError(
            f"{path}: cannot be read as an image: {_reason(error)}.",
            "Put an intact copy there, or leave it out with --skip-broken.",
        ) from error


def to_rgb(image: Image.Image) -> Image.Image:
    """(any mode) -> RGB. 16-bit grey, which Pillow would clip to white, is scaled by 255 / 65535."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        grey = np.asarray(image).astype(np.float64) / 257
        return Image.fromarray(np.rint(grey).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "P" and isinstance(image.info.get("transparency"), bytes):
        image = image.convert("RGBA")  # the same colours as a direct conversion, without Pillow's warning
    if image.mode == "RGB":
        image.load()
        return image
    return image.convert("RGB")


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "it is in no image format that Pillow knows"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
