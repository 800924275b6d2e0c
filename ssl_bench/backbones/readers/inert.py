"""Stand-ins for objects of foreign classes that official checkpoints carry beside their tensors.

A pickle names the class of every object in it. The files listed here hold, next to the weights, the configuration or
the loss of the run as an object of a class of the authors' code or of a library that is not needed here. Each such
class, and no other, is replaced by one of ours that takes any state and does nothing with it; a file that names anything
else is refused as before. One more official file: one more line in ``KNOWN``, with the file it is for.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class _Unchangeable(type):
    """A pickle may set attributes of what it has named: not of these classes."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise TypeError(f"{cls.__name__} cannot be changed")


class Inert(metaclass=_Unchangeable):
    """An object of which nothing is kept."""

    __slots__ = ()

    def __new__(cls, *_: Any) -> Inert:
        return object.__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Whatever the file says of the object falls away."""


class InertMapping(metaclass=_Unchangeable):
    """An object of a subclass of ``dict``: its items are kept, in a plain OrderedDict."""

    def __new__(cls, *_: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


KNOWN: dict[str, type] = {
    # SimMIM and others that began as a copy of Swin's code: `config` of the run.
    "yacs.config.CfgNode": InertMapping,
    # Arguments of a run (`output_dir`) that were made a path before they were saved: code bases that began as MAE's.
    "pathlib.PosixPath": Inert,
    # lemniscate.pytorch (instance discrimination): `lemniscate` is the memory bank, a module with its sampler. A module
    # saved by torch before 1.1 also names the function that found its backend.
    "lib.NCEAverage.NCEAverage": Inert,
    "lib.LinearAverage.LinearAverage": Inert,
    "lib.alias_multinomial.AliasMethod": Inert,
    "torch.nn.backends.thnn._get_thnn_function_backend": Inert,
}
"""Dotted name in the pickle -> its stand-in."""


def stand_ins() -> list[tuple[type, str]]:
    """For ``torch.serialization.safe_globals``."""
    return [(stand_in, name) for name, stand_in in KNOWN.items()]
