"""Proofs of the shipped cards: every file here with ``PROOFS``. ``tests/backbones/test_proofs.py`` runs them."""

from __future__ import annotations

import importlib
import pkgutil

from proofs.proof import Proof

_FILES = [importlib.import_module(f"proofs.{file.name}") for file in pkgutil.iter_modules(__path__)]

PROOFS: list[Proof] = [proof for file in _FILES for proof in getattr(file, "PROOFS", [])]
