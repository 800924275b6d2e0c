"""What the licence of released weights allows. Names are SPDX's, as the cards write them (``CC-BY-NC-4.0``)."""

from __future__ import annotations

import re

_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial|research", re.IGNORECASE)
_NOT_GIVEN = re.compile(
    r"none|no licence|not stated|unstated|unknown|unverified|unlicen[cs]ed|proprietary", re.IGNORECASE
)


def non_commercial(licence: str | None) -> bool:
    """Whether the licence forbids commercial use (Creative Commons' NC, research-only terms)."""
    return licence is not None and bool(_NON_COMMERCIAL.search(licence))


def commercial(licence: str | None) -> bool:
    """Whether a licence is stated and allows commercial use. Without a licence nothing is allowed."""
    return bool(licence) and not non_commercial(licence) and not _NOT_GIVEN.search(licence or "")


def marked(licence: str | None) -> str | None:
    """For tables: ``CC-BY-NC-4.0 (non-commercial)``."""
    return f"{licence} (non-commercial)" if non_commercial(licence) else licence


def in_words(licence: str | None) -> str:
    """For people: the licence and, where it forbids or leaves open commercial use, a plain sentence."""
    if non_commercial(licence):
        return f"{licence}: non-commercial use only"
    if not commercial(licence):
        return f"{licence or 'not stated'}: ask the authors before you use these weights"
    return str(licence)
