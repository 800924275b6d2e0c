"""The workflow that reviews submissions, and the texts that contributors sign."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import yaml
from results_factory import make_predictions, make_record

from ssl_bench.results.pack import OATH
from ssl_bench.results.store import Store

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / ".github" / "workflows" / "submission.yml").read_text()
BLOCK = """
import sys
from importlib.abc import MetaPathFinder
from importlib.metadata import packages_distributions

allowed, owners_of = set({allowed!r}), packages_distributions()

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        owners = {{owner.lower() for owner in owners_of.get(name.partition(".")[0], [])}}
        if owners and not owners & allowed:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
sys.argv = {argv!r}
from ssl_bench.cli.app import main
main()
"""


def steps() -> list[dict[str, object]]:
    (job,) = yaml.safe_load(TEXT)["jobs"].values()
    return list(job["steps"])


def test_it_reads_only_and_knows_no_secret() -> None:
    content = yaml.safe_load(TEXT)
    assert content["permissions"] == {"contents": "read"}
    assert list(content[True]) == ["pull_request"]  # YAML 1.1 reads the key `on` as true
    assert "secrets" not in TEXT
    assert "pull_request_target" not in TEXT
    assert all(step["with"]["persist-credentials"] is False for step in steps() if "checkout" in str(step.get("uses")))


def test_its_command_needs_no_package_that_it_does_not_install(tmp_path: Path) -> None:
    """Nor those that they need in turn: everything else is made unfindable."""
    installed = re.search(r"pip install --constraint \S+ (.*)", TEXT)
    command = re.search(r"ssl-bench (submit .*)", TEXT)
    assert installed
    assert command
    needed = "typing-extensions typing-inspection annotated-types pydantic-core annotated-doc shellingham click pygments markdown-it-py mdurl"
    allowed = {"ssl-bench", *installed[1].split(), *needed.split()}
    for name in ("branch", "main"):
        (tmp_path / name / "results" / "submissions").mkdir(parents=True)
    Store(tmp_path / "branch" / "results" / "submissions").save(make_record(n_test=100), make_predictions())
    allowed |= {name.replace("-", "_") for name in allowed}
    code = BLOCK.format(allowed=sorted(allowed), argv=["ssl-bench", *shlex.split(command[1])])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    report = (tmp_path / "report.md").read_text()
    assert report.startswith("## Review of results: ")
    assert "its predictions give" in report


def test_the_guide_has_the_oath_that_is_signed() -> None:
    quoted = [
        line.removeprefix("> ") for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line[:1] == ">"
    ]
    assert " ".join(" ".join(quoted).split()) == " ".join(OATH.partition("\n\n")[2].split())
