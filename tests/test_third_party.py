"""A real third-party package, installed into a fresh environment, is found and its model runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment that sees this one's packages and has the tiny plugin installed; needs no network."""
    folder = tmp_path_factory.mktemp("fresh") / "venv"
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    (Path(site.stdout.strip()) / "parent.pth").write_text(
        f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n"
    )
    package = Path(__file__).parent / "third_party"
    install = [python, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index", str(package)]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return python


def ssl_bench(python: Path, *arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-m", "ssl_bench", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ},
        check=False,
    )


def test_its_models_are_listed_and_its_broken_part_is_named(environment: Path, tmp_path: Path) -> None:
    done = ssl_bench(environment, "list", "models", "--json", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {"tiny_colour", "tiny_random"} <= {row["model"] for row in json.loads(done.stdout)}
    assert "broken on purpose" in done.stderr
    plugins = json.loads(ssl_bench(environment, "list", "plugins", "--json", folder=tmp_path).stdout)
    assert any("sslb_tiny_plugin" in row["plugin"] for row in plugins)


def test_its_model_runs(environment: Path, tmp_path: Path) -> None:
    done = ssl_bench(
        environment, "run", "--model", "tiny_colour", "--task", "knn_digits", "--limit", "20", "--json", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    (record,) = json.loads(done.stdout)
    assert record["model"] == "tiny_colour"
    assert record["dataset"]["name"] == "digits"
    assert 0 <= record["metrics"]["top1"] <= 100


def test_this_environment_does_not_have_the_plugin() -> None:
    code = "import importlib.metadata as m; print([e.name for e in m.entry_points(group='ssl_bench.plugins')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "tiny" not in done.stdout
