"""Where a result comes from: git's own answer is the reference."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from ssl_bench._version import __version__
from ssl_bench.results import provenance as module
from ssl_bench.results.provenance import checkout_state, installed, provenance


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    (tmp_path / "file").write_text("one")
    git("init", "-q")
    git("add", "file")
    git("commit", "-q", "-m", "first", "--no-verify")
    return tmp_path


def test_commit_and_dirty(checkout: Path) -> None:
    head = subprocess.run(
        ["git", "-C", str(checkout), "log", "-1", "--format=%H"], capture_output=True, text=True, check=True
    )
    assert checkout_state(checkout) == (head.stdout.strip(), False)
    (checkout / "untracked").write_text("results are no change of the code")
    assert checkout_state(checkout)[1] is False
    (checkout / "file").write_text("two")
    assert checkout_state(checkout) == (head.stdout.strip(), True)


def test_a_folder_inside_a_checkout_is_none_itself(checkout: Path) -> None:
    (checkout / "venv").mkdir()
    assert checkout_state(checkout / "venv") == (None, None)


def test_a_broken_checkout_or_no_git_is_none(tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    empty = tmp_path / "empty"
    (empty / ".git").mkdir(parents=True)
    (empty / ".git" / "HEAD").write_text("nonsense")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert checkout_state(empty) == (None, None)
    monkeypatch.setenv("PATH", "")
    assert checkout_state(checkout) == (None, None)


def test_provenance_names_version_packages_command_and_time() -> None:
    before = datetime.now(UTC)
    made = provenance(["ssl-bench", "run", "--model", "x"])
    assert made.version == __version__
    assert made.packages["numpy"] == np.__version__
    assert made.packages["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert made.argv == ("ssl-bench", "run", "--model", "x")
    assert before <= datetime.fromisoformat(made.created) <= datetime.now(UTC)
    assert made.created.endswith("+00:00")


def test_packages_that_are_not_installed_are_left_out() -> None:
    assert installed(["numpy", "no-such-package-here"]) == {"numpy": np.__version__}
    assert "pillow" in installed(module.PACKAGES)
