"""How long reports of many records take, and how quick the site's first page is in a browser.

    python -m benchmarks.leaderboard [--small]

1,000 models x 30 tasks (small: 60 x 10): reading the records, the table, the site; then, in a headless Chromium if there is
one, opening the first page, a filter, a sort and all rows at once, each until the layout is done.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.table import Table

from ssl_bench.registry import registry
from ssl_bench.reporting.leaderboard import write_leaderboard
from ssl_bench.reporting.render import render
from ssl_bench.reporting.tables import comparison
from ssl_bench.results.record import (
    ComputeFacts,
    DatasetFacts,
    IntervalFacts,
    Provenance,
    Record,
    WeightsFacts,
    identified,
)
from ssl_bench.results.statistics import wilson
from ssl_bench.results.store import Store

T = TypeVar("T")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVE = """
addEventListener("load", () => {
  const seen = {};
  const timed = (name, work) => { const start = performance.now(); work(); document.body.offsetHeight; seen[name] = performance.now() - start; };
  const at = (id) => document.getElementById(id);
  const change = (id, value) => { at(id).value = value; at(id).dispatchEvent(new Event("input", { bubbles: true })); };
  const rows = () => document.querySelectorAll("#board tbody tr").length;
  seen["until it can be used"] = performance.now();
  seen.rows = rows();
  timed("a search", () => change("q", "lab1"));
  timed("a search taken back", () => change("q", ""));
  timed("a protocol", () => change("protocol", at("protocol").options[1].value));
  timed("all protocols", () => change("protocol", ""));
  timed("a sort", () => document.querySelectorAll("#board thead button")[9].click());
  timed("all rows at once", () => at("everything").click());
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
"""


def record(model: str, task: str, protocol: str, minute: int, parameters: int) -> Record:
    """A made up record of 1,000 test images."""
    right = random.randrange(300, 990)
    return Record(
        model=model,
        task=task,
        task_version=1,
        protocol=protocol,
        method=model.split("_")[0],
        dataset=DatasetFacts(name=task, fingerprint="f" * 64, n_train=5000, n_test=1000, classes=10),
        metrics={"top1": right / 10, "mean_per_class": right / 10},
        primary="top1",
        interval=IntervalFacts(**vars(wilson(right, 1000))),
        settings={"k": [10, 20, 100, 200], "temperature": 0.07},
        selection="fixed",
        seed=0,
        partial=random.random() < 0.02,
        weights=WeightsFacts(source="made up", sha256="a" * 64, matched=150, total=150, parameters=parameters),
        preprocess={"resize": 256, "crop": 224, "interpolation": "bicubic", "mean": [0.5] * 3, "std": [0.2] * 3},
        compute=ComputeFacts(device="cpu", precision="fp32", seconds=1.5),
        provenance=Provenance(
            version="0.1.0",
            commit="c" * 40,
            dirty=False,
            packages={"torch": "2.6.0", "timm": "1.0.20"},
            python="3.11.2",
            argv=("ssl-bench", "run"),
            created=f"2026-01-02T03:{minute:02d}:00.000000+00:00",
        ),
    )


def fill(root: Path, models: int, tasks: int) -> None:
    """The folder of results: shipped models first, then made up ones."""
    random.seed(0)
    store, known = Store(root), registry()
    names = [*known.models][: models // 5]
    names += [f"lab{i % 20}_vit{i}" for i in range(models - len(names))]
    for i, model in enumerate(names):
        parameters = int(10 ** random.uniform(6.5, 9.3))
        for task in [*known.tasks][:tasks]:
            made = identified(record(model, task, known.task(task).protocol, i % 60, parameters))
            path = store.path(made)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(made.to_json(), encoding="utf-8")


def timed(table: Table, what: str, work: Callable[[], T]) -> T:
    start, used = time.perf_counter(), time.process_time()
    made = work()
    table.add_row(what, f"{time.perf_counter() - start:.2f}", f"{time.process_time() - used:.2f}")
    return made


def in_browser(site: Path) -> dict[str, float]:
    """Milliseconds of each step."""
    page = site / "driven.html"
    text = (site / "index.html").read_text(encoding="utf-8")
    page.write_text(text.replace("</body>", '<script src="drive.js"></script></body>'), encoding="utf-8")
    (site / "drive.js").write_text(DRIVE, encoding="utf-8")
    options = (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1400,900",
        "--host-resolver-rules=MAP * ~NOTFOUND",
    )
    profile = f"--user-data-dir={site / 'profile'}"
    call = [str(CHROMIUM), *options, profile, "--dump-dom", page.as_uri()]
    done = subprocess.run(call, capture_output=True, text=True, check=True, timeout=300)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    seen: dict[str, float] = json.loads(unescape(found[1]))
    return seen


def main() -> None:
    models, tasks = (60, 10) if "--small" in sys.argv else (1000, 30)
    table = Table(f"{models} models x {tasks} tasks", "seconds", "processor")
    with tempfile.TemporaryDirectory() as folder:
        root, site = Path(folder, "results"), Path(folder, "site")
        fill(root, models, tasks)
        records = timed(table, "read the records", Store(root).all)
        made = timed(table, "compare", lambda: comparison(records))
        for format in ("rich", "md", "csv", "json"):
            timed(table, f"write as {format}", lambda format=format: render(made, format))  # type: ignore[misc]
        timed(table, "write the site", lambda: write_leaderboard(records, site))
        index = (site / "index.html").stat().st_size
        pages = [path.stat().st_size for path in site.rglob("*.html")]
        steps = in_browser(site) if CHROMIUM else {}
    console = Console(width=120)
    console.print(table)
    console.print(f"First page {index / 1e6:.2f} MB; {len(pages)} pages, {sum(pages) / len(pages) / 1e3:.0f} kB each.")
    for name, value in steps.items():
        console.print(f"In the browser: {name}: {value:.0f}" + (" ms" if name != "rows" else ""))


if __name__ == "__main__":
    main()
