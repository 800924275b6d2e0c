"""Files of the site: their names, the links between them, and templates -> HTML."""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from pathlib import Path
from typing import Any

from ssl_bench._version import __version__
from ssl_bench.reporting.text import fact_text
from ssl_bench.results.atomic import explained, write_text
from ssl_bench.results.store import safe_name

GENERATOR = f"ssl-bench {__version__}"
_MARK = '<meta name="generator" content="ssl-bench '
KINDS = ("models", "tasks", "papers")


def slug(name: str) -> str:
    """A name as part of an address. Names that need changing, or that a file system without upper case would take for another
    one, get the first digits of their hash, so that no two share a page."""
    safe = safe_name(name)
    if safe == name and name == name.lower():
        return safe
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def address(kind: str, name: str) -> str:
    """``("models", "dino_vits16")`` -> ``models/dino_vits16.html``, from the site's folder."""
    return f"{kind}/{slug(name)}.html"


def anchor(name: str) -> str:
    """``Table 2`` -> ``table-2``: a place within a page."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


class Pages:
    """Writes pages below ``out``. ``shared``: what every template may use."""

    def __init__(self, out: Path, **shared: Any) -> None:
        from jinja2 import Environment, PackageLoader, StrictUndefined

        self.out = out
        self.written: set[Path] = set()
        self._templates = Environment(
            loader=PackageLoader("ssl_bench.reporting"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
        self._templates.globals |= {"address": address, "anchor": anchor, "generator": GENERATOR, **shared}
        self._templates.filters |= {"breakable": breakable, "code": code, "fact": fact_text}

    def write(self, path: str, template: str, **values: Any) -> Path:
        """Render ``template`` into ``path``; ``root`` leads from there back to the site's folder."""
        page = self.out / path
        text = self._templates.get_template(template).render(root="../" * path.count("/"), path=path, **values)
        write_text(page, text, durable=False)
        self.written.add(page)
        return page

    def copy(self, name: str) -> None:
        """A file of ours as it is (style, scripts)."""
        source = resources.files("ssl_bench.reporting") / "templates" / name
        write_text(self.out / name, source.read_text(encoding="utf-8"), durable=False)

    def remove_old(self) -> None:
        """Pages of an earlier site for what is not there any more. A file that we did not make is left alone."""
        for kind in KINDS:
            for page in (self.out / kind).glob("*.html"):
                with explained(page, "Choose another folder with --out."):
                    if page not in self.written and _is_ours(page):
                        page.unlink()


def _is_ours(page: Path) -> bool:
    with page.open(encoding="utf-8", errors="replace") as file:
        return _MARK in file.read(1000)


def breakable(name: str) -> Any:
    """A long name that may be broken after each underscore."""
    from markupsafe import Markup, escape

    return Markup(escape(name).replace("_", Markup("_<wbr>")))


def code(text: str) -> Any:
    """What stands between double backticks as code."""
    from markupsafe import Markup, escape

    parts = text.split("``")
    if len(parts) % 2 == 0:
        return escape(text)
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(parts))
