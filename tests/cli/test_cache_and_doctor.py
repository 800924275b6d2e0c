"""``cache`` and ``doctor``: what is stored, is it intact, what can this machine run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from command import ssl_bench
from folders import image_folder, plugin


@pytest.mark.usefixtures("fresh_registry")
def test_stored_features_are_listed_verified_and_removed(tmp_path: Path) -> None:
    image_folder(tmp_path / "data")
    ssl_bench(
        *("run", "--model", "colour", "--task", "knn_imagefolder:colours", "--data-root", tmp_path / "data"),
        *("--results", tmp_path / "results", "--include", plugin(tmp_path)),
    )
    listed = ssl_bench("cache", "list", "--json").json
    assert [row["kind"] for row in listed] == ["features", "features"]
    assert ssl_bench("cache", "verify").code == 0
    broken = next(Path(os.environ["SSL_BENCH_CACHE"]).glob("features/*/features.npy"))
    broken.write_bytes(b"damaged")
    verified = ssl_bench("cache", "verify", "--json")
    assert verified.code == 2
    assert sum(row["state"] != "intact" for row in verified.json) == 1
    assert ssl_bench("cache", "remove", listed[0]["name"]).code == 0
    assert len(ssl_bench("cache", "list", "--json").json) == 1
    assert ssl_bench("cache", "remove", "--features").code == 0
    assert ssl_bench("cache", "list", "--json").json == []
    assert ssl_bench("cache", "remove").code == 2
    assert ssl_bench("cache", "remove", "nothing*").code == 2


def test_doctor_names_libraries_devices_folders_and_data() -> None:
    found = {row["what"]: row["state"] for row in ssl_bench("doctor", "--json").json}
    assert found["data digits"].startswith("there: ")
    assert found["data cifar10"].startswith("not there")
    assert "cpu" in found["devices"]
    assert found["torch"][0].isdigit()
