"""How far a reproduction may deviate: a data file with the parts and their sources, and the rule that joins them."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from statistics import NormalDist

from pydantic import Field

from ssl_bench.cards import Card
from ssl_bench.reporting.published import PublishedNumber
from ssl_bench.yaml_cards import read_card

FILE = Path(__file__).with_name("tolerance.yaml")
LEVEL = 0.95


class Tolerance(Card):
    """Of a protocol; all in percentage points.

    ``known``: what is done otherwise here (None: no verdict). ``spread``: standard deviation of one run over seeds or draws.
    ``paper_runs`` and ``runs``: over how many runs a published number and one record are means. ``test_images``: how many
    there are where they are drawn here, and so are not the paper's. ``why``: the source, or our reason.
    """

    known: float | None = Field(ge=0)
    spread: float = Field(0.0, ge=0)
    paper_runs: int = Field(1, ge=1)
    runs: int = Field(1, ge=1)
    test_images: int | None = Field(None, ge=1)
    why: str


class TaskTolerance(Card):
    """What differs from the protocol's."""

    known: float | None = Field(None, ge=0)
    spread: float | None = Field(None, ge=0)
    paper_runs: int | None = Field(None, ge=1)
    test_images: int | None = Field(None, ge=1)
    why: str


class ProtocolTolerance(Tolerance):
    """A protocol's, and those of single tasks."""

    tasks: dict[str, TaskTolerance] = Field(default_factory=dict)

    def of(self, task: str) -> Tolerance:
        changes = self.tasks[task].model_dump(exclude_none=True) if task in self.tasks else {}
        return Tolerance.model_validate({**self.model_dump(exclude={"tasks"}), **changes})


class ToleranceFile(Card):
    """``tolerance.yaml``."""

    protocols: dict[str, ProtocolTolerance]


@lru_cache(maxsize=1)
def tolerances() -> dict[str, ProtocolTolerance]:
    """Protocol -> its tolerance."""
    return read_card(ToleranceFile, FILE).protocols


def allowed(parts: Tolerance, number: PublishedNumber, std: float | None = None, seeds: int = 1) -> float | None:
    """How far a measured value may be from a published one; None: there is no verdict.

    With r half a unit of the last printed digit, s_p the printed standard deviation and s_m that of the measured value
    (``std`` over ``seeds`` runs), each ``spread`` where there is none, n and m the runs that they are means over, and p the
    published percentage::

        known + r + z sqrt(s_p^2 / n + s_m^2 / m + 2 p (100 - p) / test_images),   z = 1.96

    The last term only where the test images are not the paper's: both samples have their error then.
    """
    if parts.known is None:
        return None
    theirs = parts.spread if number.std is None else number.std
    variance = theirs**2 / parts.paper_runs
    variance += (parts.spread if std is None else std) ** 2 / (parts.runs if std is None or seeds == 1 else seeds)
    if parts.test_images is not None:
        variance += 2 * number.value * (100 - number.value) / parts.test_images
    z = NormalDist().inv_cdf(0.5 + LEVEL / 2)
    return parts.known + rounding(number.value) + z * math.sqrt(variance)


def rounding(printed: int | float) -> float:
    """Half a unit of the last printed digit: 0.05 of 74.5, 0.5 of 81."""
    _, _, decimals = repr(printed).partition(".")
    return 0.5 * 10.0 ** -len(decimals)
