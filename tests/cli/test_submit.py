"""``submit``: evaluates, packs what a reviewer needs, refuses what cannot be trusted; ``--review`` finds what was changed."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml
from command import Done, ssl_bench
from results_factory import make_record

from ssl_bench.results import provenance
from ssl_bench.results.pack import OATH, read_manifest
from ssl_bench.results.store import Store

pytestmark = pytest.mark.usefixtures("fresh_registry")
FACTS = {
    "licence": "MIT",
    "paper": {"title": "Means of colours", "authors": "A. Stranger", "venue": "2026"},
    "pretrain": {"dataset": "none"},
    "preprocess": {"resize": None, "crop": None},
}
CODE = """
import torch, ssl_bench

@ssl_bench.model("colours", **{facts!r})
def colours():
    class Colours(torch.nn.Module):
        def forward(self, images):
            return torch.cat([images.mean((2, 3)), images.std((2, 3))], dim=1)
    return Colours()
"""
SIGNED = ("--i-declare", "Ada Lovelace <ada@example.org>")


def forget() -> None:
    from ssl_bench import registry

    registry.registry.cache_clear()
    registry._CURRENT.clear()


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this checkout had no uncommitted changes."""
    monkeypatch.setattr(provenance, "checkout_state", lambda folder: ("c" * 40, False))


def plugin(folder: Path, **changed: object) -> Path:
    path = folder / "plugin_code.py"
    path.write_text(CODE.format(facts={**FACTS, **changed}))
    return path


def submit(tmp_path: Path, source: Path, *more: object, task: str = "knn_digits") -> Done:
    forget()
    return ssl_bench("submit", source, "--task", task, "--out", tmp_path / "submissions", *more)


def review(tmp_path: Path, *more: object) -> Done:
    forget()
    return ssl_bench("submit", "--review", tmp_path / "submissions", *more)


@pytest.mark.usefixtures("clean")
def test_a_pack_and_its_review(tmp_path: Path) -> None:
    source = plugin(tmp_path)
    done = submit(tmp_path, source, *SIGNED, "--json")
    assert done.code == 0, done.err
    folder = tmp_path / "submissions" / "colours"
    assert done.json == [{"pack": str(folder), "records": 1}]
    (record,) = Store(tmp_path / "submissions").all()
    assert (record.model, record.task, record.partial) == ("colours", "knn_digits", False)
    assert (folder / "plugin.py").read_bytes() == source.read_bytes()
    card = yaml.safe_load((folder / "card.yaml").read_text())["models"]["colours"]
    assert (card["licence"], card["pretrain"]) == ("MIT", {"dataset": "none"})
    assert OATH in (folder / "DECLARATION.md").read_text()
    assert "Ada Lovelace <ada@example.org>, 20" in (folder / "DECLARATION.md").read_text()
    assert "numpy==" in (folder / "environment.txt").read_text()
    manifest = read_manifest(folder)
    assert (manifest.ssl_bench_commit, manifest.device, manifest.plugin_commit) == ("c" * 40, "cpu", None)
    assert len(manifest.files) == 6
    looked = review(tmp_path, "--against", tmp_path / "nothing", "--report", tmp_path / "report.md")
    assert looked.code == 0, looked.out
    assert "## Review of results: no problem found" in looked.out
    assert "| colours | knn_digits | top1 |  | " in looked.out
    assert (tmp_path / "report.md").read_text() == looked.out


@pytest.mark.usefixtures("clean")
def test_it_goes_on_and_adds_tasks(tmp_path: Path) -> None:
    source = plugin(tmp_path)
    failed = submit(tmp_path, source, *SIGNED, "--data-root", tmp_path, task="knn_digits,knn_flowers")
    assert failed.code == 2
    assert not (tmp_path / "submissions").exists()
    assert submit(tmp_path, source, *SIGNED).code == 0
    first = Store(tmp_path / "submissions").all()
    assert submit(tmp_path, source, *SIGNED, task="knn_digits,low_shot_1_digits").code == 0
    both = Store(tmp_path / "submissions").all()
    assert both[0].run_id == first[0].run_id
    assert [record.task for record in both] == ["knn_digits", "low_shot_1_digits"]
    assert review(tmp_path).code == 0


def test_uncommitted_changes_of_ssl_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "checkout_state", lambda folder: ("c" * 40, True))
    done = submit(tmp_path, plugin(tmp_path), *SIGNED)
    assert done.code == 2
    assert "ssl-bench itself has uncommitted changes" in done.err


@pytest.mark.usefixtures("clean")
def test_uncommitted_changes_of_the_plugins_repository(tmp_path: Path) -> None:
    source = plugin(tmp_path)

    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", "-C", str(tmp_path), *who, *arguments], check=True, capture_output=True)

    git("init", "-q")
    assert "or does not have the file: commit them" in submit(tmp_path, source, *SIGNED).err
    git("add", source.name)
    git("commit", "-qm", "Add the plugin")
    assert submit(tmp_path, source, *SIGNED).code == 0
    assert len(read_manifest(tmp_path / "submissions" / "colours").plugin_commit or "") == 40
    source.write_text(source.read_text() + "\n# changed\n")
    done = submit(tmp_path, source, *SIGNED)
    assert done.code == 2
    assert f"the repository of {source} has uncommitted changes" in done.err


@pytest.mark.usefixtures("clean")
def test_a_record_of_dirty_code_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was measured before the checkout was clean."""
    source = plugin(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(provenance, "checkout_state", lambda folder: ("c" * 40, True))
        assert ssl_bench("run", "--include", source, "--model", "colours", "--task", "knn_digits").code == 0
    done = submit(tmp_path, source, *SIGNED)
    assert done.code == 2
    assert "knn_digits seed 0 was measured by ssl-bench with uncommitted changes: run it again with --force" in done.err
    assert not (tmp_path / "submissions").exists()
    assert submit(tmp_path, source, *SIGNED, "--force").code == 0


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"licence": None}, "the card of colours does not say: licence"),
        ({"paper": None}, "does not say: paper (title and authors"),
        ({"pretrain": {}}, "does not say: pretrain.dataset"),
    ],
)
def test_a_card_that_says_too_little(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    done = submit(tmp_path, plugin(tmp_path, **changed), *SIGNED)
    assert done.code == 2
    assert said in done.err


@pytest.mark.usefixtures("clean")
def test_the_declaration_is_asked_for_and_shown(tmp_path: Path) -> None:
    done = submit(tmp_path, plugin(tmp_path))
    assert done.code == 2
    assert "nobody signs the declaration" in done.err
    assert "The test images and their labels were used for nothing but the final evaluation" in done.err


@pytest.mark.usefixtures("clean")
def test_changed_settings_need_a_reason(tmp_path: Path) -> None:
    source = plugin(tmp_path)
    done = submit(tmp_path, source, *SIGNED, "--set", "k=3")
    assert "say why with --deviation" in done.err
    done = submit(tmp_path, source, *SIGNED, "--set", "k=3", "--deviation", "the paper takes 3 neighbours")
    assert done.code == 0, done.err
    folder = tmp_path / "submissions" / "colours"
    assert "Changed settings: the paper takes 3 neighbours" in (folder / "DECLARATION.md").read_text()
    looked = review(tmp_path)
    assert looked.code == 0
    assert "settings were changed: k = [3]" in looked.out


@pytest.mark.usefixtures("clean")
def test_a_subset_of_a_data_set_is_partial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ssl_bench.runner.is_whole", lambda dataset: False)
    done = submit(tmp_path, plugin(tmp_path), *SIGNED)
    assert done.code == 2
    assert "knn_digits seed 0 is partial: not all images of digits were used" in done.err
    assert not (tmp_path / "submissions").exists()
    assert submit(tmp_path, plugin(tmp_path), *SIGNED, "--limit", 3).code == 2


@pytest.mark.usefixtures("clean")
def test_what_was_changed_in_a_pack_is_found(tmp_path: Path) -> None:
    source = plugin(tmp_path)
    assert submit(tmp_path, source, *SIGNED).code == 0
    folder = tmp_path / "submissions" / "colours"
    (path,) = folder.glob("*/*.json")
    content = json.loads(path.read_text())
    content["metrics"]["top1"] = 99.9
    path.write_text(json.dumps(content))
    (folder / "DECLARATION.md").write_text("I promise nothing.")
    (folder / "environment.txt").unlink()
    (folder / "extra.txt").write_text("x")
    done = review(tmp_path, "--json")
    assert done.code == 2
    said = " ".join(f"{problem['where']}: {problem['what']}" for problem in done.json["problems"])
    for part in (
        f"{path.parent.name}/{path.name} was changed after it was packed",
        "DECLARATION.md was changed after it was packed",
        "DECLARATION.md is not the declaration of ssl-bench",
        "environment.txt was removed",
        "extra.txt is not in submission.json",
        "was changed after it was written (its content does not fit its run id)",
    ):
        assert part in said
    (folder / "submission.json").unlink()
    assert "the submission was not finished" in review(tmp_path).out


@pytest.mark.usefixtures("clean")
def test_a_record_of_main_may_not_vanish(tmp_path: Path) -> None:
    source = plugin(tmp_path)
    assert submit(tmp_path, source, *SIGNED, task="knn_digits,low_shot_1_digits").code == 0
    main = tmp_path / "main"
    (tmp_path / "submissions").rename(main)
    assert submit(tmp_path, source, *SIGNED).code == 0
    done = review(tmp_path, "--against", main)
    assert done.code == 2
    assert "1 removed" in done.out
    assert "is in main and not here: records are never changed or removed" in done.out


@pytest.mark.usefixtures("clean")
def test_a_model_of_ssl_bench_keeps_its_card(tmp_path: Path) -> None:
    """Under a known name nobody submits another network; and no file of a pack lies elsewhere."""
    source = tmp_path / "card.yaml"
    facts = {**FACTS, "arch": "resnet_small32", "preprocess": "small32"}
    source.write_text(yaml.safe_dump({"method": "mine", "models": {"mine_small": facts}}))
    assert submit(tmp_path, source, *SIGNED).code == 0
    folder = tmp_path / "submissions" / "mine_small"
    assert review(tmp_path).code == 0
    text = (folder / "card.yaml").read_text().replace("resnet_small32", "vit_small32")
    (tmp_path / "other.yaml").write_text(text)
    forget()
    done = ssl_bench("submit", "--review", folder.parent, "--include", tmp_path / "other.yaml")
    assert "its card is another one than that of mine_small in ssl-bench" in done.out
    (folder / "card.yaml").unlink()
    (folder / "card.yaml").symlink_to(source)
    assert "card.yaml is a link, not a file" in review(tmp_path).out


def test_review_runs_no_code_and_needs_no_torch(tmp_path: Path) -> None:
    """A stranger's plugin is not imported, not even from its pack."""
    import sys

    folder = tmp_path / "submissions" / "colours"
    folder.mkdir(parents=True)
    (folder / "plugin.py").write_text("raise SystemExit('run!')")
    (folder / "DECLARATION.md").write_text("x")
    code = (
        "import sys; from pathlib import Path; from ssl_bench.results.pack import review_folder;"
        "from ssl_bench.reporting.review_report import markdown;"
        f"print(markdown(review_folder(Path({str(folder.parent)!r})), [])); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "the submission was not finished" in done.stdout


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "there is no such folder" in review(tmp_path).err
    assert "Give a plugin, card or model" in ssl_bench("submit").err


def test_an_edited_record_is_named_and_left_out_of_tables_and_leaderboard(tmp_path: Path) -> None:
    store = Store(tmp_path / "results")
    store.save(make_record("honest_vits16", top1=70.0))
    path = store.save(make_record("edited_vits16", top1=60.0))
    path.write_text(path.read_text().replace("60.0", "99.9"))
    table = ssl_bench("table", "--results", store.root, "--format", "csv")
    site = ssl_bench("leaderboard", "--results", store.root, "--out", tmp_path / "site")
    for done in (table, site):
        assert done.code == 0
        assert f"Left out: {path}: was changed after it was written" in done.err
    assert "honest_vits16" in table.out
    assert "edited_vits16" not in table.out
    assert "edited_vits16" not in (tmp_path / "site" / "index.html").read_text()
