"""What a protocol's code says about itself, without importing it: the shipped ones import torch."""

from __future__ import annotations

import ast
import inspect
from functools import lru_cache
from pathlib import Path

import ssl_bench
from ssl_bench.registry import PROTOCOLS, registry


@lru_cache(maxsize=64)
def protocol_in_words(protocol: str) -> tuple[str, ...]:
    """Texts of the protocol's file, its class and its settings, those that there are; empty for an unknown protocol."""
    if protocol in PROTOCOLS:
        return _of_source(*PROTOCOLS[protocol].split(":"))
    if protocol not in registry().protocols:
        return ()
    kind = registry().protocols.get(protocol)
    module = inspect.getmodule(kind)
    texts = (module.__doc__ if module else None, kind.__doc__, str(kind.summary))
    return tuple(inspect.cleandoc(text) for text in texts if text)


def _of_source(module: str, name: str) -> tuple[str, ...]:
    file = Path(ssl_bench.__file__).parent.joinpath(*module.split(".")[1:]).with_suffix(".py")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    settings = classes.get(_settings_of(classes[name]) or "")
    texts = (ast.get_docstring(tree), ast.get_docstring(classes[name]), settings and ast.get_docstring(settings))
    return tuple(text for text in texts if text)


def _settings_of(kind: ast.ClassDef) -> str | None:
    """The name in ``settings = Name``."""
    for node in kind.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Name):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            if "settings" in names:
                return node.value.id
    return None
