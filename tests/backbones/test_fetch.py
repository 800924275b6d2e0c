"""Downloads from a server on this machine that stops early, forgets, changes its mind or answers with errors."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from ssl_bench.backbones.fetch import ATTEMPTS, fetch, offline
from ssl_bench.errors import CheckpointError, StoreError
from ssl_bench.progress import Silent

CONTENT = bytes(range(256)) * 4096  # 1 MiB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Waits(list[float]):
    def __call__(self, seconds: float) -> None:
        self.append(seconds)


def get(site: Any, folder: Path, name: str = "model.pth", **options: Any) -> tuple[Path, str]:
    return fetch(site.url(name), folder, wait=Waits(), **options)


def pinned(folder: Path) -> dict[str, dict[str, str]]:
    return json.loads((folder / "lock.json").read_text())


def test_first_use_downloads_and_pins_then_needs_no_network(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"] = CONTENT
    path, sha256 = get(site, tmp_path / "new")
    assert path == tmp_path / "new" / "model.pth"
    assert path.read_bytes() == CONTENT
    assert sha256 == SHA256
    assert pinned(tmp_path / "new") == {site.url("model.pth"): {"file": "model.pth", "sha256": SHA256}}
    site.files.clear()
    assert get(site, tmp_path / "new") == (path, SHA256)
    assert site.asked == [None]
    assert not list(path.parent.glob("*.part*"))


@pytest.mark.parametrize("etag", ['"one"', None])
def test_interrupted_download_goes_on_where_it_stopped(site: Any, tmp_path: Path, etag: str | None) -> None:
    site.files["model.pth"], site.cut, site.etag = CONTENT, [300_000, 200_000], etag
    waits, progress = Waits(), Silent()
    path, sha256 = fetch(site.url("model.pth"), tmp_path, progress, wait=waits)
    assert sha256 == SHA256
    assert path.read_bytes() == CONTENT
    assert site.asked == [None, "bytes=300000-", "bytes=500000-"]
    assert site.sent == len(CONTENT)
    assert waits == [1.0, 2.0]
    assert len(progress.notes) == 2


def test_killed_process_resumes_in_the_next_one(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"], site.cut = CONTENT, [100_000] * ATTEMPTS
    with pytest.raises(CheckpointError, match="too early"):
        get(site, tmp_path)
    assert (tmp_path / "model.pth.part").stat().st_size == 100_000 * ATTEMPTS
    assert not (tmp_path / "model.pth").exists()
    get(site, tmp_path)
    assert site.sent == len(CONTENT)


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"], site.cut = CONTENT, [100_000] * ATTEMPTS
    with pytest.raises(CheckpointError):
        get(site, tmp_path)
    site.files["model.pth"], site.etag = CONTENT[::-1], '"two"'
    assert get(site, tmp_path)[0].read_bytes() == CONTENT[::-1]


def test_server_without_ranges_and_part_that_is_too_long(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"] = CONTENT
    site.ranges = False
    (tmp_path / "model.pth.part").write_bytes(b"x" * 1000)
    assert get(site, tmp_path)[1] == SHA256
    site.ranges = True
    (tmp_path / "long.pth.part").write_bytes(b"x" * (len(CONTENT) + 5))
    site.files["long.pth"] = CONTENT
    assert get(site, tmp_path, "long.pth")[1] == SHA256


def test_server_errors_are_tried_again_but_missing_files_are_not(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"], site.status = CONTENT, [503, 500, 429]
    waits = Waits()
    assert fetch(site.url("model.pth"), tmp_path, wait=waits)[1] == SHA256
    assert waits == [1.0, 2.0, 4.0]
    site.asked.clear()
    with pytest.raises(CheckpointError, match=r"none\.pth cannot be fetched: the server answers 404") as caught:
        get(site, tmp_path, "none.pth")
    assert len(site.asked) == 1
    assert f"put it at {tmp_path / 'none.pth'}" in str(caught.value)
    assert "--weights" in str(caught.value)


def test_no_server(tmp_path: Path) -> None:
    waits = Waits()
    with pytest.raises(CheckpointError, match="cannot be fetched: .*refused"):
        fetch("http://127.0.0.1:9/model.pth", tmp_path, wait=waits)
    assert waits == []


def test_file_put_there_by_hand_is_used_and_pinned(site: Any, tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(CONTENT)
    assert get(site, tmp_path)[1] == SHA256
    assert site.asked == []
    assert pinned(tmp_path)[site.url("model.pth")]["sha256"] == SHA256


@pytest.mark.parametrize("pin", ["lock file", "card"])
def test_changed_file_is_refused_with_both_hashes(site: Any, tmp_path: Path, pin: str) -> None:
    site.files["model.pth"] = CONTENT
    path, _ = get(site, tmp_path)
    path.write_bytes(b"another")
    other = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(CheckpointError) as caught:
        get(site, tmp_path, sha256=SHA256 if pin == "card" else None)
    assert SHA256 in str(caught.value)
    assert other in str(caught.value)
    assert "Delete it to fetch it again" in str(caught.value)
    path.unlink()
    assert get(site, tmp_path)[1] == SHA256


def test_wrong_file_at_first_use_is_refused_by_the_cards_hash(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"] = b"<html>please log in</html>"
    with pytest.raises(CheckpointError, match=f"the model's card pins {SHA256}"):
        get(site, tmp_path, sha256=SHA256)
    assert not (tmp_path / "lock.json").exists()


def test_two_addresses_with_one_file_name_do_not_mix(site: Any, tmp_path: Path) -> None:
    """Several methods call their file resnet50.pth."""
    site.files |= {"a/resnet50.pth": b"first", "b/resnet50.pth": b"second"}
    first, second = (get(site, tmp_path, f"{folder}/resnet50.pth")[0] for folder in "ab")
    assert (first.read_bytes(), second.read_bytes()) == (b"first", b"second")
    assert get(site, tmp_path, "a/resnet50.pth")[0] == first
    assert get(site, tmp_path, "b/resnet50.pth")[0] == second


def test_only_looking_and_offline(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.files["model.pth"] = CONTENT
    with pytest.raises(CheckpointError, match="is not on this machine"):
        get(site, tmp_path, download=False)
    assert site.asked == []
    monkeypatch.setenv("SSL_BENCH_OFFLINE", "1")
    with pytest.raises(CheckpointError, match="forbids the network") as caught:
        fetch("https://dl.fbaipublicfiles.com/dino/x.pth", tmp_path)
    assert str(tmp_path / "x.pth") in str(caught.value)
    assert get(site, tmp_path)[1] == SHA256  # this machine is no network
    with pytest.raises(CheckpointError, match="only http and https"):
        fetch("file:///etc/passwd", tmp_path)


@pytest.mark.parametrize(
    ("value", "expected"), [("1", True), ("true", True), ("0", False), ("", False), ("off", False)]
)
def test_offline_variables(value: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, other in (("SSL_BENCH_OFFLINE", "HF_HUB_OFFLINE"), ("HF_HUB_OFFLINE", "SSL_BENCH_OFFLINE")):
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(other, raising=False)
        assert offline() is expected


def test_damaged_lock_file_and_folder_that_cannot_be_written(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"] = CONTENT
    (tmp_path / "lock.json").write_text("{broken")
    with pytest.raises(StoreError, match=r"lock\.json cannot be read"):
        get(site, tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        get(site, tmp_path / "file" / "checkpoints")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a device that is always full")
def test_full_disk(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"] = CONTENT
    (tmp_path / "model.pth.part").symlink_to("/dev/full")
    with pytest.raises(StoreError, match="No space left"):
        get(site, tmp_path)


def test_two_at_once_fetch_it_once(site: Any, tmp_path: Path) -> None:
    site.files["model.pth"], site.cut = CONTENT, [500_000]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: get(site, tmp_path), range(4)))
    assert {sha256 for _, sha256 in found} == {SHA256}
    assert site.sent == len(CONTENT)
