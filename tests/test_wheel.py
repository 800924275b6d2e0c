"""The wheel carries the cards: installed outside the checkout, everything is found."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CARDS = ("model_zoo", "tasks", "results/published")


def test_the_cards_are_in_the_wheel_and_are_found_there(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*build, "-w", tmp_path, ROOT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    shipped = {path.name for path in (tmp_path / "site" / "ssl_bench" / "shipped").rglob("*.yaml")}
    assert shipped == {path.name for folder in CARDS for path in (ROOT / folder).rglob("*.yaml")}

    list_models = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ssl_bench.cli.app import main; main()"
    command = [sys.executable, "-c", list_models, str(tmp_path / "site"), "list", "models", "--json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert {"dino_vits16", "mae_vitb16", "raw_pixels"} <= {row["model"] for row in json.loads(listed.stdout)}
    where = "import sys; sys.path.insert(0, sys.argv[1]); import ssl_bench; print(ssl_bench.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where, str(tmp_path / "site")], capture_output=True, text=True, check=True
    )
    assert found.stdout.startswith(str(tmp_path / "site"))
