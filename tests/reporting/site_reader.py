"""What is in the pages of a site, and a browser to drive them with."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import unescape
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=4000",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
OWN = re.compile(r"(?:\.\./)?(?:site\.css|site\.js|board\.js)")


class Page(HTMLParser):
    """Links, what a browser would load, identities, cells of tables and scripts of a page."""

    LOADING = ("src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background", "ping")

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.text = path.read_text(encoding="utf-8")
        self.links: list[str] = []
        self.loads: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.heads: list[dict[str, str | None]] = []
        self.rows: list[str] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self._script = self._row = False
        self.feed(self.text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        for name, value in attrs:
            if tag == "a" and name == "href":
                self.links.append(value or "")
            elif name in self.LOADING or (name == "style" and "url(" in (value or "")):
                self.loads.append(value or "")
            if name.startswith("on"):
                self.handlers.append(f"{tag} {name}")
        if "id" in named:
            self.ids.append(named["id"] or "")
        if tag == "th":
            self.heads.append(named)
            self._row = named.get("scope") == "row"
            self.rows += [""] * self._row
        elif tag in {"td", "tr"}:
            self._row = False
        self._script = tag == "script"
        if self._script:
            self.scripts.append((named, ""))

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if self._script:
            attributes, text = self.scripts[-1]
            self.scripts[-1] = attributes, text + data
        elif self._row:
            self.rows[-1] += data

    @property
    def strangers(self) -> list[str]:
        """What it loads beside the site's own files."""
        return [load for load in self.loads if not OWN.fullmatch(load) and load != "data:,"]

    @property
    def data(self) -> Any:
        return json.loads(next(text for attributes, text in self.scripts if attributes.get("id") == "data"))


def pages(site: Path) -> list[Page]:
    return [Page(path) for path in sorted(site.rglob("*.html"))]


DRIVER = """
const seen = {};
const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
(async () => {
  await new Promise((loaded) => addEventListener("load", loaded));
%s
})().catch((error) => (seen.error = String(error))).then(() => {
  document.documentElement.dataset.seen = JSON.stringify(seen);
});
"""


@dataclass(frozen=True)
class Seen:
    """``left``: what the script put into ``seen``; ``asked``: what the page asked the site's server for; ``console``: what the
    browser wrote there, also what the page's policy refused."""

    left: dict[str, Any]
    asked: list[str]
    console: list[str]


def drive(
    site: Path, page: str, script: str, folder: Path, *options: str, place: str = "", served: bool = False
) -> Seen:
    """Open a page of a copy of the site in ``folder`` at ``place`` (``#...``), and run ``script`` in it. ``served``: from
    a web server instead of the disk."""
    copy = folder / "copy"
    shutil.copytree(site, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("figures"))
    (copy / "drive.js").write_text(DRIVER % script, encoding="utf-8")
    file = copy / page
    text = (site / page).read_text(encoding="utf-8")
    assert text.count("</body>") == 1
    up = "../" * page.count("/")
    file.write_text(text.replace("</body>", f'<script src="{up}drive.js"></script></body>'), encoding="utf-8")
    with serve(copy) as (address, asked):
        where = f"{address}/{page}" if served else file.as_uri()
        call = [str(CHROMIUM), *OPTIONS, f"--user-data-dir={folder / 'profile'}", *options, "--dump-dom", where + place]
        done = subprocess.run(call, capture_output=True, text=True, timeout=240, check=True)
    found = re.search(r'data-seen="([^"]*)"', done.stdout)
    assert found, done.stderr[-2000:]
    left = json.loads(unescape(found[1]))
    assert "error" not in left, left["error"]
    return Seen(left, asked, [line for line in done.stderr.splitlines() if "CONSOLE" in line])


@contextmanager
def serve(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server of this machine for a folder: its address, and what it is asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            asked.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", asked
        finally:
            server.shutdown()
            thread.join()
