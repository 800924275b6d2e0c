"""The site in a real browser: sorting, filters, their address, keyboard, dark and light, a narrow window; nothing is asked for
elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from results_factory import make_record
from site_reader import CHROMIUM, Page, drive, pages

from ssl_bench.reporting.leaderboard import write_leaderboard
from ssl_bench.results.record import Record

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium to drive the pages with")

HELPERS = """
const at = (id) => document.getElementById(id);
const plain = (text) => text.replaceAll("\\u200b", "").replaceAll("\\n", "").trim();
const names = () => [...document.querySelectorAll("#board tbody tr")].map((row) => plain(row.cells[0].querySelector("a").textContent));
const heads = [...document.querySelectorAll("#board thead th")];
const seenHeads = () => heads.filter((head) => getComputedStyle(head).display !== "none").map((head) => plain((head.querySelector("a") || head).textContent));
const head = (task) => heads.find((one) => plain(one.textContent).startsWith(task));
const change = (id, value) => {
  if (at(id).type === "checkbox") at(id).checked = value; else at(id).value = value;
  at(id).dispatchEvent(new Event("input", { bubbles: true }));
};
"""


def some_records() -> list[Record]:
    return [
        make_record("dino_vits16", "knn_imagenet", 74.2, n_test=50000),
        make_record("supervised_resnet50", "knn_imagenet", 79.1, n_test=50000, minute=1),
        make_record("swav_resnet50", "knn_imagenet", 65.0, n_test=50000, minute=1),
        make_record("mine", "knn_digits", 90.0, minute=2),
        make_record("yours", "knn_digits", 80.0, minute=3, partial=True),
        make_record("theirs", "knn_digits", 95.0, minute=4, seed=1),
    ]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_leaderboard(some_records(), tmp_path_factory.mktemp("site")).parent


def test_sorting_and_filters(site: Path, tmp_path: Path) -> None:
    script = """
    seen.first = names(); seen.heads = seenHeads(); seen.order = heads.map((one) => one.getAttribute("aria-sort"));
    const digits = head("knn_digits");
    digits.querySelector("button").click();
    seen.sorted = [digits.getAttribute("aria-sort"), ...names().slice(0, 3)];
    digits.querySelector("button").click();
    seen.reversed = [digits.getAttribute("aria-sort"), ...names().slice(0, 3)];
    heads[0].querySelector("button").click();
    seen.byName = [heads[0].getAttribute("aria-sort"), digits.getAttribute("aria-sort"), ...names()];
    heads[1].querySelector("button").click(); seen.bySize = names();
    for (const [id, value] of [["q", "vits"], ["family", "supervised"], ["arch", "ViT"], ["pretrained", "imagenet"], ["licence", "use:non-commercial"], ["licence", "use:any"], ["licence", "use:"], ["licence", "Apache-2.0"], ["protocol", "knn"], ["dataset", "digits"], ["faded", false], ["printed", true]]) {
      change(id, value);
      seen[`${id} ${value}`] = names(); seen[`${id} ${value} heads`] = seenHeads(); seen[`${id} count`] = at("count").textContent;
      change(id, typeof value === "boolean" ? !value : "");
    }
    change("q", "nothing like that"); seen.nothing = [names(), at("count").textContent]; change("q", "");
    change("faded", false); change("dataset", "digits"); at("filters").reset(); await wait(50); seen.reset = [names(), location.hash];
    """
    seen = drive(site, "index.html", HELPERS + script, tmp_path, "--window-size=1400,900").left
    assert set(seen["first"]) == {"dino_vits16", "supervised_resnet50", "swav_resnet50", "mine", "yours", "theirs"}
    assert seen["first"][:3] == ["supervised_resnet50", "dino_vits16", "swav_resnet50"]
    assert seen["heads"] == [
        "Model",
        "Paramsmillion",
        "Pretrained on",
        "Epochs",
        "Licence",
        "knn_imagenet",
        "knn_digits",
    ]
    assert [order for order in seen["order"] if order] == ["descending"]
    assert seen["sorted"] == ["descending", "theirs", "mine", "yours"]
    assert seen["reversed"] == ["ascending", "yours", "mine", "theirs"]
    assert seen["byName"] == ["ascending", None, *sorted(seen["first"])]
    assert len(seen["bySize"]) == 6
    assert seen["q vits"] == ["dino_vits16"]
    assert seen["q count"] == "1 model"
    assert seen["family supervised"] == ["supervised_resnet50"]
    assert seen["arch ViT"] == ["dino_vits16"]
    assert set(seen["pretrained imagenet"]) == {"dino_vits16", "supervised_resnet50", "swav_resnet50"}
    assert seen["licence use:non-commercial"] == ["swav_resnet50"]
    assert set(seen["licence use:any"]) == {"dino_vits16", "supervised_resnet50"}
    assert set(seen["licence use:"]) == {"mine", "yours", "theirs"}
    assert seen["licence Apache-2.0"] == ["dino_vits16"]
    assert len(seen["protocol knn"]) == 6
    assert set(seen["dataset digits"]) == {"mine", "theirs", "yours"}
    assert seen["dataset digits heads"][-1] == "knn_digits"
    assert "knn_imagenet" not in seen["dataset digits heads"]
    assert "yours" not in seen["faded false"]
    assert len(seen["printed true"]) > 40
    assert "linear_imagenet" in seen["printed true heads"]
    assert seen["nothing"] == [[], "0 models"]
    assert seen["reset"] == [seen["first"], ""]


def test_the_address_keeps_filters_and_order(site: Path, tmp_path: Path) -> None:
    script = """
    seen.opened = [names(), at("dataset").value, at("faded").checked, head("knn_digits").getAttribute("aria-sort"), seenHeads().length];
    at("faded").click(); seen.wider = [location.hash, names()];
    const before = location.hash;
    location.hash = "#family=masked&printed=1"; await wait(50);
    seen.moved = [names(), at("dataset").value];
    location.hash = before; await wait(50); seen.back = names();
    location.hash = "#dataset=gone&sort=gone&q=%3Cimg%20src%3Dx%3E"; await wait(50); seen.unknown = [at("dataset").value, at("q").value];
    """
    place = "#dataset=digits&faded=0&about=0&sort=knn_digits"
    seen = drive(site, "index.html", HELPERS + script, tmp_path, "--window-size=1400,900", place=place).left
    assert seen["opened"] == [["mine", "theirs"], "digits", False, "ascending", 2]
    assert seen["wider"] == ["#dataset=digits&about=0&sort=knn_digits", ["yours", "mine", "theirs"]]
    assert "mae_vitb16" in seen["moved"][0]
    assert "dino_vits16" not in seen["moved"][0]
    assert seen["moved"][1] == ""
    assert seen["back"] == ["yours", "mine", "theirs"]
    assert seen["unknown"] == ["", "<img src=x>"]


def test_no_page_asks_for_anything_elsewhere(site: Path, tmp_path: Path) -> None:
    for page in ("index.html", "charts.html", "papers/dino.html", "tasks/knn_imagenet.html", "models/dino_vits16.html"):
        assert drive(site, page, "seen.ok = true;", tmp_path).console == [], page
        seen = drive(site, page, "seen.ok = true;", tmp_path, served=True)
        own = {"/site.css", "/site.js", *(["/board.js"] if page == "index.html" else [])}
        assert seen.console == [], page
        assert set(seen.asked) == {f"/{page}", "/drive.js", *own}, page


def test_a_stranger_in_the_page_would_be_seen(site: Path, tmp_path: Path) -> None:
    script = "const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image); await wait(200);"
    seen = drive(site, "charts.html", script, tmp_path)
    assert any("127.0.0.1:9" in line and "Content Security Policy" in line for line in seen.console)


def test_links_lead_from_page_to_page(site: Path, tmp_path: Path) -> None:
    script = """
    const follow = (text) => [...document.querySelectorAll("a")].find((a) => plain(a.textContent) === text).href.split("/copy/")[1];
    seen.links = [follow("dino_vits16"), follow("knn_imagenet"), follow("Papers")];
    """
    seen = drive(site, "index.html", HELPERS + script, tmp_path).left
    assert seen["links"] == ["models/dino_vits16.html", "tasks/knn_imagenet.html", "papers.html"]
    assert all((site / link).is_file() for link in seen["links"])


CONTRAST = """
const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const light = (colour) => { const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map(channel); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const ratio = (a, b) => { const [x, y] = [light(a), light(b)].sort((p, q) => q - p); return (x + 0.05) / (y + 0.05); };
const measure = () => {
  const panel = getComputedStyle(document.querySelector(".scroll")).backgroundColor, ground = getComputedStyle(document.body).backgroundColor;
  const found = {};
  for (const [name, where, behind] of [["text", "tbody th a", panel], ["best", ".b, .best", panel], ["mark", ".badge", panel], ["small", "td i, td.quiet", panel], ["faded", ".f, .faded td", panel], ["note", ".note", ground], ["menu", "nav a", ground]])
    if (document.querySelector(where)) found[name] = ratio(getComputedStyle(document.querySelector(where)).color, behind);
  return [found, light(ground)];
};
"""


def test_dark_and_light_can_be_read_and_chosen(site: Path, tmp_path: Path) -> None:
    script = """
    seen.before = measure(); seen.offers = at("theme").textContent;
    at("theme").click(); seen.after = measure(); seen.kept = localStorage.getItem("theme");
    """
    dark = "--blink-settings=preferredColorScheme=0"
    for page in ("index.html", "tasks/knn_digits.html"):
        for number, options in enumerate([(), (dark,)]):
            folder = tmp_path / f"{page[:5]}{number}"
            seen = drive(site, page, HELPERS + CONTRAST + script, folder, *options).left
            (colours, ground), (other_colours, other_ground) = seen["before"], seen["after"]
            assert (ground < 0.1) == (other_ground > 0.5) == bool(options)
            assert {"text", "best", "faded", "note", "menu"} <= set(colours)
            assert min(*colours.values(), *other_colours.values()) >= 4.5, (page, options, colours, other_colours)
            assert seen["kept"] == ("light" if options else "dark") == seen["offers"].lower()


def test_keyboard_and_screen_readers(site: Path, tmp_path: Path) -> None:
    script = """
    const reachable = [...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")].filter((e) => !e.hidden && e.getClientRects().length);
    seen.order = reachable.map((e) => e.id || e.tagName);
    seen.positive = [...document.querySelectorAll("[tabindex]")].filter((e) => e.tabIndex > 0).length;
    seen.unlabelled = [...document.querySelectorAll("input, select")].filter((e) => !e.labels.length).length;
    seen.buttons = [...document.querySelectorAll("button")].filter((e) => !(e.textContent.trim() || e.ariaLabel)).length;
    const button = head("knn_digits").querySelector("button");
    button.focus(); button.click(); seen.kept = document.activeElement === button; seen.named = plain(button.textContent);
    seen.status = at("count").getAttribute("role");
    """
    seen = drive(site, "index.html", HELPERS + script, tmp_path).left
    assert seen["order"][0] == "A"
    assert seen["order"].index("theme") < seen["order"].index("q") < seen["order"].index("dataset")
    assert (seen["positive"], seen["unlabelled"], seen["buttons"]) == (0, 0, 0)
    assert seen["kept"] is True
    assert seen["named"].startswith("Sort by knn_digits")
    assert seen["status"] == "status"
    for page in pages(site):
        assert all(head.get("scope") in {"col", "row", "colgroup", "rowgroup"} for head in page.heads), page.path
        assert page.ids.count("main") == 1


def test_nothing_hangs_over_the_edge_of_a_phone(site: Path, tmp_path: Path) -> None:
    script = """
    seen.width = document.documentElement.clientWidth;
    seen.wide = document.documentElement.scrollWidth;
    """
    for page in ("index.html", "charts.html", "papers/dino.html", "tasks/knn_imagenet.html", "models/dino_vits16.html"):
        seen = drive(site, page, script, tmp_path, "--window-size=420,800").left
        assert seen["wide"] <= seen["width"] <= 520, page


def test_a_thousand_rows_are_shown_a_hundred_at_a_time(tmp_path: Path) -> None:
    records = [make_record(f"lab{i % 3}_m{i}", top1=20 + i / 4, minute=i % 60) for i in range(250)]
    site = write_leaderboard(records, tmp_path / "site").parent
    script = """
    seen.first = [names().length, names()[0], at("count").textContent, at("more").textContent];
    at("more").click(); seen.more = names().length;
    at("everything").click(); seen.all = [names().length, at("more").parentElement.hidden];
    change("q", "lab0"); seen.found = [names().length, at("count").textContent, at("more").parentElement.hidden];
    change("q", "lab0_m9"); seen.few = [names().length, at("more").parentElement.hidden];
    """
    seen = drive(site, "index.html", HELPERS + script, tmp_path).left
    assert seen["first"] == [100, "lab0_m249", "250 models, 100 shown", "Show 100 more"]
    assert seen["more"] == 200
    assert seen["all"] == [250, True]
    assert seen["found"] == [84, "84 models", True]
    assert seen["few"] == [5, True]
    rows = Page(site / "index.html").rows
    assert sum(row.startswith("lab") for row in rows) == 250, "without a script all are there"
