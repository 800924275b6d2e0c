"""The repository's own results: what is in ``results/`` can be published as it is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ssl_bench.registry import registry
from ssl_bench.reporting.published import numbers
from ssl_bench.results.pack import review_folder
from ssl_bench.results.ranges import range_of

RESULTS = Path(__file__).resolve().parents[2] / "results"


@pytest.mark.parametrize(("folder", "complete"), [("submissions", True), ("measured", False)])
def test_records_are_whole_and_agree_with_their_predictions(folder: str, complete: bool) -> None:
    """``measured`` is not in git: experiments of one's own may be partial, but not damaged or edited."""
    if not (RESULTS / folder).is_dir():
        pytest.skip(f"there is no results/{folder}")
    assert [str(problem) for problem in review_folder(RESULTS / folder, complete=complete).errors] == []


def test_published_numbers_are_in_range_and_of_tasks_that_exist() -> None:
    for number in numbers():
        low, high = range_of(number.metric)
        assert low <= number.value <= high, number
        if number.task is not None:
            registry().task(number.task)


def test_no_published_number_stands_twice() -> None:
    """One cell of one table of one paper has one number."""
    for name in registry().papers:
        for title, table in registry().papers.get(name).tables.items():
            rows = Counter(row.model_copy(update={"values": ()}).model_dump_json() for row in table.rows)
            assert [row for row, count in rows.items() if count > 1] == [], (name, title)
