"""What licences allow."""

from __future__ import annotations

import pytest

from ssl_bench.licences import commercial, in_words, marked, non_commercial


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "LicenseRef-Non-Commercial", "research only"])
def test_non_commercial_licences(licence: str) -> None:
    assert non_commercial(licence)
    assert not commercial(licence)
    assert in_words(licence) == f"{licence}: non-commercial use only"
    assert marked(licence) == f"{licence} (non-commercial)"


@pytest.mark.parametrize("licence", ["Apache-2.0", "MIT", "BSD-3-Clause", "CC-BY-4.0", "CC-BY-SA-4.0"])
def test_licences_that_allow_commercial_use(licence: str) -> None:
    assert commercial(licence)
    assert not non_commercial(licence)
    assert in_words(licence) == marked(licence) == licence


@pytest.mark.parametrize("licence", [None, "", "none", "not stated", "unknown"])
def test_without_a_licence_nothing_is_allowed(licence: str | None) -> None:
    assert not commercial(licence)
    assert not non_commercial(licence)
    assert "ask the authors" in in_words(licence)
