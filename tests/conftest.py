"""What all tests share: no network, a cache of their own, and the small real data sets where they are."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["SSL_BENCH_OFFLINE"] = "1"

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from or written to the user's folders; no ``SSL_BENCH_`` variable leaks in."""
    for name in list(os.environ):
        if name.startswith("SSL_BENCH_") and name not in {"SSL_BENCH_OFFLINE", "SSL_BENCH_SHARED_DATA"}:
            monkeypatch.delenv(name)
    root = tmp_path_factory.mktemp("user")
    monkeypatch.setenv("SSL_BENCH_CACHE", str(root / "cache"))
    monkeypatch.setenv("SSL_BENCH_DATA", str(root / "data"))
    monkeypatch.setenv("SSL_BENCH_RESULTS", str(root / "results"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of small real data sets; tests that need it skip where it is missing."""
    folder = Path(os.environ.get("SSL_BENCH_SHARED_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip("the folder of small real data sets is not here (set SSL_BENCH_SHARED_DATA)")
    return folder


@pytest.fixture
def fresh_registry() -> Iterator[None]:
    """A registry that forgets what this test adds."""
    from ssl_bench import registry

    def forget() -> None:
        registry.registry.cache_clear()
        registry._CURRENT.clear()

    forget()
    yield
    forget()
