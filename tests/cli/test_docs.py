"""The docs tell the truth: every verb and flag is documented, and the README's commands exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from command import ssl_bench

from ssl_bench.cli.app import VERBS
from ssl_bench.cli.reference import flags, page, verbs

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])


def test_the_command_reference_is_what_the_verbs_say() -> None:
    assert (ROOT / "docs" / "cli.md").read_text() == page(), "run: python -m ssl_bench.cli.reference > docs/cli.md"


def test_every_verb_and_flag_is_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    for name, command in verbs():
        section = re.search(rf"## `ssl-bench {re.escape(name)}\b.*?(?=\n## |\Z)", text, re.DOTALL)
        assert section, name
        for parameter in flags(command):
            for option in parameter.opts:
                if option.startswith("-"):
                    assert f"{option}`" in section.group() or f"{option}, " in section.group(), f"{name} {option}"


def test_every_flag_has_its_environment_variable() -> None:
    for name, command in verbs():
        for parameter in flags(command):
            long = [option for option in parameter.opts if option.startswith("--")]
            for option in long:
                assert "SSL_BENCH_" + option[2:].replace("-", "_").upper() in parameter.envvar, f"{name} {option}"


def test_the_help_of_every_verb_is_shown() -> None:
    done = ssl_bench("--help")
    assert done.code == 0
    for verb in VERBS:
        assert verb in done.out
        assert ssl_bench(verb, "--help").code == 0


def commands(path: Path) -> list[str]:
    """Every ``ssl-bench ...`` line of the page's shell blocks, continuation lines joined."""
    blocks = re.findall(r"```(?:sh|bash|console)\n(.*?)```", path.read_text(), re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [
        line.strip().removeprefix("$ ") for line in lines if line.strip().removeprefix("$ ").startswith("ssl-bench ")
    ]


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_in_the_docs_use_flags_that_exist(path: Path) -> None:
    known = {name: {option for p in flags(command) for option in p.opts} for name, command in verbs()}
    for line in commands(path):
        words = shlex.split(line, comments=True)[1:]
        if words[0].startswith("--"):
            assert words[0] in {"--help", "--version"}, line
            continue
        name = " ".join(words[:2]) if " ".join(words[:2]) in known else words[0]
        assert name in known, f"{path.name}: {line}"
        for word in words:
            if word.startswith("--"):
                assert word.split("=")[0] in known[name] | {"--help"}, f"{path.name}: {line}"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (path.parent / target).exists(), f"{path.relative_to(ROOT)}: {target}"


def test_the_readme_opens_with_the_two_commands() -> None:
    readme = (ROOT / "README.md").read_text()
    assert readme.index("make quickstart") < readme.index("make test") < 1500
    makefile = (ROOT / "Makefile").read_text()
    assert "quickstart:" in makefile
    assert "test:" in makefile


def blocks(path: Path, language: str) -> list[str]:
    """The page's code blocks of one language."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.usefixtures("fresh_registry")
def test_the_plugins_of_the_task_page_run(tmp_path: Path) -> None:
    squares, centroid = blocks(ROOT / "docs" / "add-a-task.md", "python")
    (tmp_path / "squares.py").write_text(squares)
    (tmp_path / "centroid.py").write_text(centroid)
    done = ssl_bench(
        *("run", "--model", "raw_pixels", "--task", "knn_squares,centroid_squares", "--results", tmp_path / "results"),
        *("--include", tmp_path / "squares.py", "--include", tmp_path / "centroid.py", "--json"),
    )
    assert done.code == 0, done.err
    assert {record["task"]: record["metrics"]["top1"] for record in done.json} == {
        "knn_squares": 100,
        "centroid_squares": 100,
    }


def test_the_cards_of_the_task_page_are_valid(tmp_path: Path) -> None:
    from ssl_bench.registry import Registry

    known = Registry()
    known.load_builtin()
    for number, block in enumerate(blocks(ROOT / "docs" / "add-a-task.md", "yaml")):
        (tmp_path / f"{number}.yaml").write_text(block)
    known.include(tmp_path)
    assert known.task("knn_birds").settings["k"] == [1, 20]
    assert known.dataset("birds").classes == 200  # type: ignore[union-attr]
