"""What there is, as rows: the data behind ``list`` and ``show``. Imports no torch."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ssl_bench.cards import DatasetCard
from ssl_bench.errors import UnknownNameError
from ssl_bench.model_listing import Row, list_models, show_model
from ssl_bench.paths import data_root, results_root
from ssl_bench.registry import Registry, registry
from ssl_bench.reporting.power import smallest_differences
from ssl_bench.reporting.published import numbers


def list_tasks(protocol: str | None = None, dataset: str | None = None) -> list[Row]:
    known = registry()
    cards = [known.tasks.get(name) for name in known.tasks]
    return [
        {
            "task": card.name,
            "protocol": card.protocol,
            "dataset": card.dataset,
            "version": card.version,
            "groups": ", ".join(card.groups),
        }
        for card in cards
        if (not protocol or protocol == card.protocol) and (not dataset or dataset == card.dataset)
    ]


def list_methods() -> list[Row]:
    known = registry()
    return [
        {"method": name, "recipes": len(_recipes_of(name, known)), "from": known.methods.origin(name)}
        for name in known.methods
    ]


def list_recipes(method: str | None = None) -> list[Row]:
    known = registry()
    recipes = [known.recipes.get(name) for name in known.recipes]
    return [
        {"recipe": r.name, "method": r.method, "arch": r.arch, "dataset": r.dataset, "epochs": r.epochs}
        for r in recipes
        if not method or method == r.method
    ]


def list_datasets() -> list[Row]:
    known = registry()
    rows = []
    for name in known.datasets:
        card = known.datasets.get(name)
        if isinstance(card, DatasetCard):
            rows.append(
                {
                    "dataset": name,
                    "title": card.title,
                    "classes": card.classes,
                    "train": card.train,
                    "test": card.test,
                    "metric": card.metric,
                }
            )
        else:
            rows.append(
                {"dataset": name, "title": "plugin", "classes": None, "train": None, "test": None, "metric": None}
            )
    return rows


def list_papers(results: Path | None = None) -> list[Row]:
    """``measurable``: printed numbers whose model has weights and whose task is here; ``measured``: those that have a record in
    the results folder which compares with them."""
    from ssl_bench.reporting.reproduction import Machine
    from ssl_bench.reporting.verdicts import obstacle
    from ssl_bench.results.store import Store

    known = registry()
    machine = Machine(data_root(), Store(results_root(results)).all())
    rows = []
    for name in known.papers:
        paper, printed = known.papers.get(name), numbers(name)
        rows.append(
            {
                "paper": name,
                "title": paper.paper.title,
                "tables": ", ".join(paper.tables),
                "numbers": len(printed),
                "measurable": sum(not obstacle(number) for number in printed),
                "measured": sum(machine.has(number) for number in printed),
            }
        )
    return rows


def list_protocols() -> list[Row]:
    known = registry()
    return [
        {
            "protocol": name,
            "tasks": len([task for task in known.tasks if known.tasks.get(task).protocol == name]),
            "variants": ", ".join(v for v, card in known.variants.items() if card.protocol == name),
            "from": known.protocols.origin(name),
        }
        for name in known.protocols
    ]


def list_plugins() -> list[Row]:
    return [{"plugin": origin} for origin in registry().plugins]


LISTS: dict[str, Callable[..., list[Row]]] = {
    "models": list_models,
    "tasks": list_tasks,
    "methods": list_methods,
    "recipes": list_recipes,
    "datasets": list_datasets,
    "papers": list_papers,
    "protocols": list_protocols,
    "plugins": list_plugins,
}


def show(kind: str, name: str) -> Row:
    """Everything about one entry, as nested plain data."""
    known = registry()
    shown: dict[str, Callable[[str], Row]] = {
        "model": show_model,
        "task": lambda name: _show_task(name, known),
        "recipe": lambda name: known.recipes.get(name).model_dump(mode="json", exclude_none=True),
        "dataset": lambda name: _show_dataset(name, known),
        "paper": lambda name: known.papers.get(name).model_dump(mode="json", exclude_none=True),
        "protocol": lambda name: _show_code(known.protocols.get(name)),
        "method": lambda name: {**_show_code(known.methods.get(name)), "recipes": _recipes_of(name, known)},
    }
    kind = kind.removesuffix("s")
    if kind not in shown:
        raise UnknownNameError("kind", kind, shown)
    return shown[kind](name)


def _show_task(name: str, known: Registry) -> Row:
    card = known.task(name)
    kind = known.protocols.get(card.protocol)
    defaults = {key: field.default for key, field in kind.settings.model_fields.items()}
    row = card.model_dump(mode="json", exclude_none=True)
    row["settings"] = {**defaults, **card.settings}
    if shown := smallest_differences(card):
        row["smallest accuracy difference that the test images show"] = shown
    row["protocol in words"] = _words(kind)
    return row


def _show_dataset(name: str, known: Registry) -> Row:
    card = known.dataset(name)
    if isinstance(card, DatasetCard):
        return card.model_dump(mode="json", exclude_none=True)
    return {"name": name, "code": f"{card.__module__}.{card.__name__}"}


def _show_code(kind: Any) -> Row:
    """A protocol or method: its text and its settings with defaults."""
    settings = {key: field.default for key, field in kind.settings.model_fields.items()}
    code = f"{kind.__module__}.{kind.__name__}"
    return {"summary": kind.summary, "settings": settings, "in words": _words(kind), "code": code}


def _words(kind: Any) -> str:
    """What the code's own texts say: the file's (formula and source), then the class's."""
    module = inspect.getmodule(kind)
    texts = [module.__doc__ if module else None, kind.__doc__]
    return "\n\n".join(inspect.cleandoc(text) for text in texts if text) or str(kind.summary)


def _recipes_of(method: str, known: Registry) -> list[str]:
    return [name for name in known.recipes if known.recipes.get(name).method == method]
