"""The leaderboard's folder: whole, safe to open, all links good, readable without a script, light."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag

import pytest
from results_factory import make_record
from site_reader import Page, pages

from ssl_bench.errors import StoreError
from ssl_bench.registry import registry
from ssl_bench.reporting import cells as cells_module
from ssl_bench.reporting.leaderboard import write_leaderboard
from ssl_bench.reporting.site.pages import address, slug
from ssl_bench.results import atomic
from ssl_bench.results.record import Record, WeightsFacts

EVIL = "x</script><img src=//a onerror=alert(1)>\"'&<!--_y"


def some_records() -> list[Record]:
    return [
        make_record("dino_vits16", "knn_imagenet", 74.2, n_test=50000),
        make_record("supervised_resnet50", "knn_imagenet", 79.1, n_test=50000, minute=1),
        make_record("swav_resnet50", "knn_imagenet", 65.0, n_test=50000, minute=1),
        make_record("mine", "knn_digits", 90.0, minute=2),
        make_record("yours", "knn_digits", 80.0, minute=3, partial=True),
        make_record("theirs", "knn_digits", 95.0, minute=4, seed=1),
        make_record("mine", "knn_digits", 10.0, minute=0),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_leaderboard(some_records(), tmp_path_factory.mktemp("site")).parent


def read(site: Path, page: str) -> str:
    return (site / page).read_text(encoding="utf-8")


def test_a_folder_of_pages(site: Path) -> None:
    top = {path.name for path in site.iterdir()}
    assert top == {
        "index.html",
        "tasks.html",
        "papers.html",
        "charts.html",
        "site.css",
        "site.js",
        "board.js",
        "models",
        "tasks",
        "papers",
        "figures",
    }
    assert {path.stem for path in (site / "papers").iterdir()} == set(registry().papers)
    index = Page(site / "index.html").data
    assert {f"models/{path.name}" for path in (site / "models").iterdir()} == {
        address("models", model["model"]) for model in index["models"]
    }
    assert {path.name for path in (site / "tasks").iterdir()} == {Path(t["page"]).name for t in index["tasks"]}


def test_every_link_leads_somewhere(site: Path) -> None:
    found = {page.path: page for page in pages(site)}
    followed = 0
    for path, page in found.items():
        for link in page.links:
            if re.match(r"https?://", link):
                continue
            file, place = urldefrag(link)
            target = found.get((path.parent / unquote(file)).resolve() if file else path)
            assert target is not None, (path, link)
            assert not place or place in target.ids, (path, link)
            followed += 1
    assert followed > 500


def test_nothing_is_requested_from_anywhere(site: Path) -> None:
    for page in pages(site):
        assert page.strangers == [], page.path
        assert page.handlers == [], page.path
        assert "default-src 'none'" in page.text
        assert not re.search(r"@import|url\(|<style|style=", page.text), page.path
    scripts = read(site, "site.js") + read(site, "board.js") + read(site, "site.css")
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|import|eval)\s*\(|@import|url\(|innerHTML", scripts
    )


def test_it_is_light(site: Path) -> None:
    files = [path for path in site.rglob("*") if path.is_file() and path.parent.name != "figures"]
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_the_data_are_in_the_first_page_once(site: Path) -> None:
    data = Page(site / "index.html").data
    names = [model["model"] for model in data["models"]]
    tasks = [task["task"] for task in data["tasks"]]
    row, column = names.index("mine"), tasks.index("knn_digits")
    assert data["measured"][row][column] == 90.0
    row, column = names.index("dino_vits16"), tasks.index("linear_imagenet")
    assert data["published"][str(row)][str(column)] == 77.0
    assert len(data["measured"][row]) <= column
    assert data["faded"] == {str(names.index("yours")): [tasks.index("knn_digits")]}
    assert [page.path.name for page in pages(site) if 'id="data"' in page.text] == ["index.html"]


def test_measured_models_come_first_and_published_ones_follow(site: Path) -> None:
    rows = Page(site / "index.html").rows
    names = [row.split(" NC")[0] for row in rows]
    assert set(names[:6]) == {"dino_vits16", "supervised_resnet50", "swav_resnet50", "mine", "yours", "theirs"}
    assert "mae_vitb16" in names[6:]
    assert len(names) == len(set(names))


def test_numbers_can_be_read_without_a_script(site: Path) -> None:
    text = read(site, "index.html")
    assert re.search(r"<td><u>74\.2 ±0\.4</u>.{0,80}paper 74\.5, −0\.3", text)
    assert re.search(r"<td class=f>80\.0 ±\d\.\d<sup>‡</sup>", text)
    assert "76.8?" in text
    assert "hidden" not in re.sub(r"<(form|p|button|span)[^>]*>", "", text.split("<script")[-3])


def test_a_models_page(site: Path) -> None:
    page = Page(site / address("models", "dino_vits16"))
    assert "shorter side to 256 pixels, bicubic; central 224 x 224 pixels" in page.text
    assert "cls: class token of the last block" in page.text
    assert 'href="https://arxiv.org/abs/2104.14294"' in page.text
    assert "a" * 64 in page.text
    assert "10 of 10 tensors matched" in page.text
    assert "ssl-bench run --model dino_vits16 --task knn_imagenet" in page.text
    assert "74.2 ±0.4" in page.text
    assert "paper 74.5, −0.3" in page.text
    assert "papers/dino.html#table-2" in page.text
    assert "k [10, 20], temperature 0.07" in page.text
    assert "ssl-bench 0.1.0 at commit cccccccccccc; python 3.11.2, timm 1.0.20, torch 2.6.0; cpu, fp32" in page.text


def test_superseded_records_are_left_out(site: Path) -> None:
    text = read(site, address("models", "mine"))
    assert "top1 90.0" in text
    assert "top1 10.0" not in text


def test_a_tasks_page(site: Path) -> None:
    text = read(site, address("tasks", "knn_digits"))
    rows = re.findall(r'<tr( class="faded")?><td class="number">([^<]*)<th scope="row"><a[^>]*>([^<]*)', text)
    assert rows == [("", "1", "theirs"), ("", "2", "mine"), (' class="faded"', "", "yours")]
    assert "score_c(x) = sum over i in N_k(x)" in text
    assert "<code>temperature</code>" in text
    assert re.search(r"<th scope=\"row\">k<td><code>\[10, 20\]</code>", text)
    assert "ssl-bench run --model NAME --task knn_digits" in text


def test_a_papers_page(site: Path) -> None:
    text = read(site, address("papers", "dino"))
    table = text[text.index('id="table-2"') : text.index("</table>")]
    row = next(line for line in table.split("<tr>") if "DINO ViT-S<" in line)
    assert 'href="../models/dino_vits16.html"' in row
    assert re.search(r">74\.5<sup.*measured 74\.2 ±0\.4, −0\.3", row)
    assert "Comparison across architectures" in table
    assert "2 of 73 numbers measured here" not in text
    assert "3 of 73 numbers measured here" in text
    assert "In brackets" not in text


def test_non_commercial_weights_are_marked(site: Path) -> None:
    assert 'title="CC-BY-NC-4.0: non-commercial use only">NC<' in read(site, address("models", "swav_resnet50"))
    assert "badge" not in read(site, address("models", "dino_vits16"))
    uses = {model["model"]: model.get("use") for model in Page(site / "index.html").data["models"]}
    assert (uses["swav_resnet50"], uses["dino_vits16"], uses["mine"]) == ("non-commercial", "any", None)


def test_stale_records_are_greyed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = registry().task("knn_digits")
    monkeypatch.setattr(cells_module, "_card", lambda task: card.model_copy(update={"version": 2}))
    write_leaderboard([make_record("old", top1=99.0), make_record("new", top1=80.0, task_version=2)], tmp_path)
    rows = re.findall(
        r'<tr( class="faded")?><td class="number">([^<]*)<th scope="row"><a[^>]*>([^<]*)',
        read(tmp_path, "tasks/knn_digits.html"),
    )
    assert rows == [("", "1", "new"), (' class="faded"', "", "old")]
    assert re.search(r"<td class=f>99\.0 ±\d\.\d<sup>†</sup>", read(tmp_path, "index.html"))


def test_charts_are_drawn_in_their_page(tmp_path: Path) -> None:
    speeds = [
        make_record(model, "throughput_imagenet", speed, primary="images_per_second")
        for model, speed in (("dino_vits16", 900.0), ("mae_vitb16", 300.0))
    ]
    accuracies = [
        make_record("dino_vits16", top1=90.0),
        make_record("mae_vitb16", top1=80.0),
        make_record("ibot_vits16"),
    ]
    write_leaderboard([*speeds, *accuracies], tmp_path)
    text = read(tmp_path, "charts.html")
    titles = re.findall(r"<circle [^>]*><title>([^<]*)</title>", text)
    assert "dino_vits16: 90.0, 900 images per second (cpu, fp32)" in titles
    assert "mae_vitb16: 80.0, 1600 epochs of pretraining" in titles
    assert "dino_vits16: 90.0, 21 million parameters" in titles
    assert "throughput_imagenet" not in text
    assert text.count("<svg") == 3
    assert {path.stem for path in (tmp_path / "figures").iterdir()} == {
        "bars",
        "scatter",
        "scatter_throughput",
        "scatter_epochs",
    }


def test_models_without_size_have_no_scatter_chart(tmp_path: Path) -> None:
    weights = WeightsFacts(source="none", sha256="0", matched=0, total=0, parameters=0)
    write_leaderboard([make_record("raw_pixels", weights=weights)], tmp_path)
    assert "<svg" not in read(tmp_path, "charts.html")
    assert (tmp_path / "figures" / "bars.png").exists()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    record = make_record(EVIL, task="knn_digits", method="<b>m</b>", metrics={"top1": 50.0, "</script>": 1.0})
    strange = make_record("b_x", task=EVIL, method="</svg><script>x</script>", minute=1)
    write_leaderboard([record, strange], tmp_path)
    for page in pages(tmp_path):
        assert page.strangers == [], page.path
        assert page.handlers == [], page.path
        assert all("src" in given or given.get("type") == "application/json" for given, _ in page.scripts), page.path
        assert "<b>m</b>" not in page.text
    index = Page(tmp_path / "index.html")
    assert EVIL in index.rows
    assert EVIL in [model["model"] for model in index.data["models"]]
    assert (tmp_path / address("models", EVIL)).is_file()


def test_no_two_names_share_a_page() -> None:
    names = ["a/b", "a-b", "a:b", "A-b", "dino_vits16", "..", "x" * 300, "x" * 299]
    assert len({slug(name).lower() for name in names}) == len(names)
    assert slug("dino_vits16") == "dino_vits16"
    assert all(re.fullmatch(r"[A-Za-z0-9._+=-]+", slug(name)) and not slug(name).startswith(".") for name in names)


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    write_leaderboard([make_record(metrics={"top1": float("nan")}, interval=None)], tmp_path)
    data = Page(tmp_path / "index.html").data
    assert data["measured"][0][0] is None


def test_without_records_the_published_numbers_are_shown(tmp_path: Path) -> None:
    path = write_leaderboard([], tmp_path)
    page = Page(path)
    assert "Nothing is measured yet" in page.text
    assert "dino_vits16" in page.rows
    assert not (tmp_path / "figures").exists()
    assert "Nobody has measured" in read(tmp_path, address("models", "dino_vits16"))


def test_pages_of_what_is_gone_are_removed_and_nothing_else(tmp_path: Path) -> None:
    write_leaderboard([make_record("mine")], tmp_path)
    (tmp_path / "models" / "notes.html").write_text("mine, not the site's")
    write_leaderboard([make_record("yours")], tmp_path)
    assert not (tmp_path / address("models", "mine")).exists()
    assert (tmp_path / address("models", "yours")).exists()
    assert (tmp_path / "models" / "notes.html").exists()


def test_an_old_page_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_leaderboard([], tmp_path)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "replace", full)
    with pytest.raises(StoreError, match="disk is full"):
        write_leaderboard([], tmp_path, title="another")
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert path in before
