"""Records: one immutable file for each (model, task, seed). Knows no torch.

The package can be called: ``ssl_bench.results()`` is a data frame of the records, see ``reporting.export.frame``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """A name of the Python interface is also this package's: both work."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from ssl_bench.reporting.export.frame import results

        return results(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
