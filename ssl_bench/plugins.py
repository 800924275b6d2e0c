"""Decorators with which anyone adds a model, data set, protocol or method, in a plugin package or an included file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ssl_bench.cards import ModelCard
from ssl_bench.registry import CodeModel, current
from ssl_bench.yaml_cards import validate

F = TypeVar("F", bound=Callable[..., Any])


def model(name: str, **fields: Any) -> Callable[[F], F]:
    """``@ssl_bench.model("mine", preprocess={...}, embedding="cls")`` on a function that returns a module.

    The module is a :class:`ssl_bench.Backbone`, or any module that maps (B, 3, H, W) images to (B, D) vectors.
    ``fields``: further fields of the model's card.
    """

    def add(function: F) -> F:
        card = validate(ModelCard, {"name": name, "method": "plugin", "arch": function.__name__, **fields}, None)
        current().models.add(name, lambda: CodeModel(card, function), _origin(function))
        return function

    return add


def dataset(name: str) -> Callable[[F], F]:
    """``@ssl_bench.dataset("mine")`` on a function ``(root: Path) -> ssl_bench.Dataset``."""

    def add(function: F) -> F:
        current().datasets.add(name, lambda: function, _origin(function))
        return function

    return add


def protocol(name: str) -> Callable[[type], type]:
    """``@ssl_bench.protocol("mine")`` on a subclass of :class:`ssl_bench.Protocol`; ``mine_<dataset>`` becomes a task."""
    from ssl_bench.cards import TaskCard

    def add(kind: type) -> type:
        kind.name = name  # type: ignore[attr-defined]
        current().protocols.add(name, lambda: kind, _origin(kind))
        current().variants[name] = TaskCard(name=name, protocol=name, dataset="")
        return kind

    return add


def method(name: str) -> Callable[[type], type]:
    """``@ssl_bench.method("mine")`` on a subclass of :class:`ssl_bench.Method`."""

    def add(kind: type) -> type:
        current().methods.add(name, lambda: kind, _origin(kind))
        return kind

    return add


def _origin(thing: Any) -> str:
    return f"plugin {thing.__module__}"
