"""``ssl-bench data``: list, check, prepare."""

from __future__ import annotations

from pathlib import Path

import pytest
from command import ssl_bench
from folders import image_folder
from PIL import Image


def test_the_embedded_data_is_complete() -> None:
    assert "placed_digits is complete" in ssl_bench("data", "check", "placed_digits").out
    assert {"imagenet", "digits", "cifar10"} <= {row["dataset"] for row in ssl_bench("data", "list", "--json").json}


def test_an_image_folder_with_a_stray_file_and_an_empty_image(tmp_path: Path) -> None:
    folder = image_folder(tmp_path)
    (folder / "train" / "red" / "notes.txt").write_text("")
    (folder / "train" / "red" / "000.png").write_bytes(b"")
    done = ssl_bench("data", "check", "imagefolder:colours", "--data-root", tmp_path, "--json")
    assert done.code == 2
    assert {(f["kind"], Path(f["where"]).name) for f in done.json["findings"]} == {
        ("extra", "notes.txt"),
        ("wrong", "000.png"),
    }


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check", "imagenett"], "imagenet"),
        (["prepare", "cifar10"], "only imagenet"),
        (["chekc"], "check"),
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = ssl_bench("data", *arguments, *(["--data-root", tmp_path] if len(arguments) > 1 else []))
    assert done.code == 2
    assert says in done.err


def test_a_missing_data_set_says_where_it_is_expected(tmp_path: Path) -> None:
    done = ssl_bench("data", "check", "imagenet", "--data-root", tmp_path)
    assert done.code == 2
    assert "not usable" in done.out
    assert str(tmp_path / "imagenet") in done.out.replace("\n", "")


def test_decode_reads_the_maps_too(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for kind, mode in (("rgb", "RGB"), ("semseg", "L"), ("depth", "I;16")):
            folder = tmp_path / f"nyuv2/{part}/{kind}/data"
            folder.mkdir(parents=True)
            Image.new(mode, (4, 4), 77 if mode != "RGB" else (77, 77, 77)).save(folder / "0001.png")
    assert "class" not in ssl_bench("data", "check", "nyuv2", "--data-root", tmp_path).out.replace("classes", "")
    assert "has class 76" in ssl_bench("data", "check", "nyuv2", "--data-root", tmp_path, "--decode").out
