"""``figure``: files that are pictures, and clear messages."""

from __future__ import annotations

from pathlib import Path

from command import ssl_bench
from PIL import Image


def test_attention_of_a_transformer_on_images_of_a_data_set(tmp_path: Path) -> None:
    out = tmp_path / "attention.png"
    done = ssl_bench("figure", "attention", "--model", "random_vit_small32", "--out", out, "--count", 2)
    assert done.code == 0, done.err
    with Image.open(out) as picture:
        width, height = picture.size
    assert width > 2 * 96
    assert height > 2 * 96


def test_neighbours_of_raw_pixels(tmp_path: Path) -> None:
    out = tmp_path / "neighbours.png"
    assert ssl_bench("figure", "neighbours", "--model", "raw_pixels", "--dataset", "digits", "--out", out).code == 0
    assert out.stat().st_size > 1000


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    out = tmp_path / "x.png"
    assert "bars" in ssl_bench("figure", "bar", "--out", out).err
    assert "--model" in ssl_bench("figure", "attention", "--out", out).err
    assert "no records" in ssl_bench("figure", "bars", "--out", out).err
    assert "class token" in ssl_bench("figure", "attention", "--model", "random_resnet_small32", "--out", out).err
    (tmp_path / "text.jpg").write_text("no image")
    done = ssl_bench(
        "figure", "attention", "--model", "random_vit_small32", "--out", out, "--image", tmp_path / "text.jpg"
    )
    assert done.code == 2
    assert "text.jpg" in done.err
    assert not out.exists()
