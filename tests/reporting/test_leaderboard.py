"""The leaderboard page: whole, safe to open, without any request, and working in a real browser."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from results_factory import make_record

from ssl_bench.cards import Paper
from ssl_bench.errors import StoreError
from ssl_bench.registry import registry
from ssl_bench.reporting.leaderboard import write_leaderboard
from ssl_bench.reporting.model_facts import command, facts, family, paper_link, web_address
from ssl_bench.results import atomic
from ssl_bench.results.record import Record, WeightsFacts

EVIL = "x</script><img src=//a onerror=alert(1)>\"'&<!--_y"
CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


def some_records() -> list[Record]:
    return [
        make_record("dino_vits16", "knn_imagenet", 74.2, n_test=50000),
        make_record("supervised_resnet50", "knn_imagenet", 79.1, n_test=50000, minute=1),
        make_record("mine", "knn_digits", 90.0, minute=2),
        make_record("yours", "knn_digits", 80.0, minute=3, partial=True),
        make_record("theirs", "knn_digits", 95.0, minute=4, seed=1),
        make_record("mine", "knn_digits", 10.0, minute=0),
    ]


class Page(HTMLParser):
    """What a browser would load, the rows of the table, and the embedded data."""

    LOADING = ("src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background", "ping")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.links: list[str] = []
        self.loads: list[tuple[str, str, str]] = []
        self.handlers: list[str] = []
        self.rows: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if tag == "a" and name == "href":
                self.links.append(value or "")
            elif name in self.LOADING or (name == "style" and "url(" in (value or "")):
                self.loads.append((tag, name, value or ""))
            if name.startswith("on"):
                self.handlers.append(f"{tag} {name}")
        if tag in {"link", "img", "iframe", "object", "embed", "base", "video", "audio"}:
            self.loads.append((tag, "", ""))
        if tag == "tr" and "data-model" in dict(attrs):
            self.rows.append(dict(attrs)["data-model"] or "")
        self._script = tag == "script"
        if self._script:
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data

    @property
    def data(self) -> Any:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))


def read(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_leaderboard(some_records(), tmp_path_factory.mktemp("site")).parent


def test_one_page_and_its_pictures(site: Path) -> None:
    assert sorted(str(path.relative_to(site)) for path in site.rglob("*") if path.is_file()) == [
        "figures/bars.png",
        "figures/bars.svg",
        "figures/scatter.png",
        "figures/scatter.svg",
        "index.html",
    ]


def test_nothing_is_requested_from_anywhere(site: Path) -> None:
    page = read(site / "index.html")
    assert page.loads == []
    assert page.handlers == []
    assert page.links
    assert all(re.match(r"https://arxiv\.org/", link) for link in page.links)
    assert not re.search(r"@import|url\(", page.text)
    assert not re.search(r"\b(fetch|XMLHttpRequest|WebSocket|EventSource|import)\s*\(", page.text)
    assert "default-src 'none'" in page.text


def test_the_data_is_in_the_page_as_json(site: Path) -> None:
    data = read(site / "index.html").data
    mine = next(row for row in data["results"] if row["model"] == "mine")
    assert (mine["value"], mine["task"]) == (90.0, "knn_digits")
    dino = data["models"]["dino_vits16"]
    assert dino["weights"]["sha256"] == "a" * 64
    assert dino["preprocess"]["interpolation"] == "bicubic"
    assert dino["paper"]["url"] == "https://arxiv.org/abs/2104.14294"
    assert [run["command"] for run in dino["runs"]] == ["ssl-bench run --model dino_vits16 --task knn_imagenet"]
    assert {number["task"] for number in dino["published"]} >= {"knn_imagenet", "linear_imagenet"}


def test_superseded_records_are_left_out(site: Path) -> None:
    runs = read(site / "index.html").data["models"]["mine"]["runs"]
    assert [run["metrics"]["top1"] for run in runs] == [90.0]


def test_measured_models_come_first_and_published_ones_follow(site: Path) -> None:
    rows = read(site / "index.html").rows
    assert set(rows[:5]) == {"dino_vits16", "supervised_resnet50", "mine", "yours", "theirs"}
    assert "swav_resnet50" in rows[5:]
    assert len(rows) == len(set(rows))


def test_partial_results_are_faded_and_published_numbers_shown(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert re.search(r'class="number faded" data-value="80.0"', text)
    assert re.search(r"74\.2 ±0\.4</span>.*paper 74\.5, −0\.3", text)
    assert "76.8?" in text


def test_non_commercial_weights_are_marked(site: Path) -> None:
    page = read(site / "index.html")
    rows = dict(re.findall(r'<tr data-model="([^"]*)"(.*?)</tr>', page.text, re.DOTALL))
    assert 'title="CC-BY-NC-4.0: non-commercial use only">NC<' in rows["swav_resnet50"]
    assert "badge" not in rows["dino_vits16"]
    assert [page.data["models"][name]["use"] for name in ("swav_resnet50", "dino_vits16", "mine")] == [
        "non-commercial",
        "any",
        None,
    ]


def test_the_chart_is_inline(site: Path) -> None:
    text = (site / "index.html").read_text(encoding="utf-8")
    assert text.count("<svg") == 1
    assert "dino_vits16" in text[text.index("<svg") : text.index("</svg>")]


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    record = make_record(EVIL, task="knn_digits", method="<b>m</b>", metrics={"top1": 50.0, "</script>": 1.0})
    path = write_leaderboard([record, make_record("b_x", method="</svg><script>x</script>", minute=1)], tmp_path)
    page = read(path)
    assert page.loads == []
    assert page.handlers == []
    assert EVIL in page.rows
    assert page.data["models"][EVIL]["name"] == EVIL
    assert len(page.scripts) == 2
    assert "<b>m</b>" not in page.text


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    record = make_record(metrics={"top1": 50.0, "lidar": float("nan")})
    assert (
        read(write_leaderboard([record], tmp_path)).data["models"]["dino_vits16"]["runs"][0]["metrics"]["lidar"] is None
    )


def test_without_records_the_published_numbers_are_shown(tmp_path: Path) -> None:
    path = write_leaderboard([], tmp_path)
    page = read(path)
    assert "Nothing is measured yet" in page.text
    assert "dino_vits16" in page.rows
    assert not (tmp_path / "figures").exists()


def test_models_without_size_have_no_scatter_chart(tmp_path: Path) -> None:
    weights = WeightsFacts(source="none", sha256="0", matched=0, total=0, parameters=0)
    path = write_leaderboard([make_record("raw_pixels", weights=weights)], tmp_path)
    assert "<svg" not in path.read_text(encoding="utf-8")
    assert (tmp_path / "figures" / "bars.png").exists()


def test_an_old_page_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_leaderboard([], tmp_path)
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(StoreError, match="disk is full"):
        write_leaderboard([], tmp_path, title="another")
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["index.html"]


def test_only_web_addresses_become_links() -> None:
    assert web_address("https://arxiv.org/abs/1") == "https://arxiv.org/abs/1"
    for unsafe in ("javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "JavaScript:x", "", None):
        assert web_address(unsafe) is None
    assert paper_link(Paper(title="T", authors="A", url="javascript:alert(1)"))["url"] is None


def test_a_disks_path_is_not_published() -> None:
    weights = WeightsFacts(source="/home/someone/secret/dino.pth", sha256="a", matched=1, total=1)
    assert facts("m", [make_record("m", weights=weights)], [])["weights"]["source"] == "dino.pth"


def test_the_command_repeats_what_differs_from_the_defaults() -> None:
    record = make_record(seed=3)
    assert command(record) == "ssl-bench run --model dino_vits16 --task knn_digits --seed 3"
    assert command(make_record("trained", overrides={"temperature": 0.5, "k": [5, 10]}, partial=True)) == (
        "ssl-bench run --model path/to/trained/card.yaml --task knn_digits --set temperature=0.5 --set 'k=[5, 10]' --limit ..."
    )


@pytest.mark.parametrize(
    ("architecture", "kind"),
    [
        ("vit_small_patch16_224", "ViT"),
        ("deit_small_patch16_224", "ViT"),
        ("swin_base_patch4_window7_224", "Swin"),
        ("convnext_tiny", "ConvNeXt"),
        ("RN50w2", "ResNet"),
        ("resnet18", "ResNet"),
        ("raw_pixels", "other"),
    ],
)
def test_families_of_architectures(architecture: str, kind: str) -> None:
    assert family(architecture) == kind


def test_every_card_has_facts() -> None:
    for model in registry().models:
        json.dumps(facts(model, [], []))


DRIVE = """
const seen = {};
const names = () => [...document.querySelectorAll("#board tbody tr")].filter((r) => !r.hidden).map((r) => r.dataset.model);
const heads = [...document.querySelectorAll("#board thead th")];
const shown = () => heads.filter((h) => !h.hidden).map((h) => h.innerText.replaceAll("\\u200b", "").split("\\n")[0]);
const change = (id, value) => {
  const field = document.getElementById(id);
  if (field.type === "checkbox") field.checked = value; else field.value = value;
  field.dispatchEvent(new Event("input", { bubbles: true }));
};
seen.first = names();
seen.columns = shown();
const knn = heads.find((h) => h.innerText.startsWith("knn_digits"));
knn.querySelector("button").click();
seen.sorted = [knn.getAttribute("aria-sort"), ...names().slice(0, 3)];
knn.querySelector("button").click();
seen.reversed = [knn.getAttribute("aria-sort"), ...names().slice(0, 3)];
heads[0].querySelector("button").click();
seen.byName = [heads[0].getAttribute("aria-sort"), knn.getAttribute("aria-sort"), ...names()];
change("search", "vits"); seen.search = names(); change("search", "");
change("method", "supervised"); seen.method = names(); change("method", "");
change("dataset", "digits"); seen.dataset = [shown(), names()]; change("dataset", "");
change("faded", false); seen.unfaded = names(); change("faded", true);
change("printed", true); seen.printed = names().length;
change("commercial", true); seen.commercial = names(); change("commercial", false); change("printed", false);
document.querySelector('tr[data-model="dino_vits16"] .model').click();
seen.dialog = [document.getElementById("details").open, document.getElementById("details").innerText];
document.getElementById("close").click();
seen.closed = document.getElementById("details").open;
seen.wide = document.documentElement.scrollWidth <= document.documentElement.clientWidth;
document.documentElement.dataset.seen = JSON.stringify(seen);
"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to drive the page with")
def test_the_page_works_in_a_browser(site: Path, tmp_path: Path) -> None:
    page = tmp_path / "driven.html"
    text = (site / "index.html").read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", f"<script>{DRIVE}</script></body>"), encoding="utf-8")
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--window-size=420,800",
    ]
    done = subprocess.run(
        [str(CHROMIUM), *options, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=True
    )
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    seen = json.loads(unescape(found[1]))
    assert set(seen["first"]) == {"dino_vits16", "supervised_resnet50", "mine", "yours", "theirs"}
    assert set(seen["columns"]) == {"Model", "Params", "knn_imagenet", "knn_digits"}
    assert seen["sorted"] == ["descending", "theirs", "mine", "yours"]
    assert seen["reversed"] == ["ascending", "yours", "mine", "theirs"]
    assert seen["byName"] == ["ascending", None, *sorted(seen["first"])]
    assert seen["search"] == ["dino_vits16"]
    assert seen["method"] == ["supervised_resnet50"]
    assert seen["dataset"] == [["Model", "Params", "knn_digits"], ["mine", "theirs", "yours"]]
    assert "yours" not in seen["unfaded"]
    assert seen["printed"] > 20
    assert "dino_vits16" in seen["commercial"]
    assert "swav_resnet50" not in seen["commercial"]
    assert seen["dialog"][0] is True
    assert "ssl-bench run --model dino_vits16 --task knn_imagenet" in seen["dialog"][1]
    assert "Caron et al. (ICCV 2021), Table 2" in seen["dialog"][1]
    assert seen["closed"] is False
    assert seen["wide"] is True
