"""A method by its name, ready for anyone's training loop."""

from __future__ import annotations

from typing import Any

from torch import nn

from ssl_bench.methods.method import Method
from ssl_bench.registry import registry
from ssl_bench.settings import resolve


def load_method(
    name: str, encoder: nn.Module, *, total_steps: int = 1, steps_per_epoch: int = 1, **settings: Any
) -> Method:
    """The method ``name`` (simclr, byol, dino, mae or a plugin's) around ``encoder``: (B, 3, H, W) -> (B, D), with D in
    its attribute ``embed_dim`` or ``num_features``.

    ``settings``: the method's own, checked; the paper's values where not given. ``total_steps``, ``steps_per_epoch``:
    horizon of the method's schedules. Raises :class:`ssl_bench.errors.UnknownNameError` or
    :class:`ssl_bench.errors.SettingsError`.
    """
    kind: type[Method] = registry().methods.get(name)
    checked = resolve(kind.settings, settings, f"method {name}")
    return kind(encoder, checked, total_steps=total_steps, steps_per_epoch=steps_per_epoch)
