"""Ranks as far as intervals decide them, against the definition taken literally."""

from __future__ import annotations

import random
from itertools import permutations

from ssl_bench.reporting.cells import Cell
from ssl_bench.reporting.ranks import ordered, rank, ranks


def cell(model: str, value: float, half: float = 0.0, metric: str = "top1", **more: object) -> Cell:
    return Cell(model, "t", metric, value=value, low=value - half, high=value + half, **more)  # type: ignore[arg-type]


def test_ranks_are_shared_while_intervals_overlap() -> None:
    found = ranks([cell("a", 90, 1), cell("b", 89, 1), cell("c", 80, 1), cell("d", 87.5, 0.6)])
    assert found == {"a": "1–2", "b": "1–3", "d": "2–3", "c": "4"}
    assert ranks([cell("a", 0.2, 0.05, "rmse"), cell("b", 0.9, 0.05, "rmse")]) == {"a": "1", "b": "2"}


def test_what_does_not_compare_has_no_rank_and_comes_last() -> None:
    cells = [cell("part", 99, marks=("partial",)), cell("low", 10), cell("nan", float("nan")), cell("high", 20)]
    assert ranks(cells) == {"high": "1", "low": "2"}
    assert [c.model for c in ordered(cells)] == ["high", "low", "nan", "part"]
    assert ranks([cell("a", 9, metric="rankme"), cell("b", 3, metric="rankme")]) == {}


def test_ranks_are_those_of_all_orders_that_the_intervals_allow() -> None:
    random.seed(0)
    for _ in range(30):
        cells = [cell(str(i), random.randrange(20), random.randrange(4)) for i in range(5)]
        allowed: dict[str, set[int]] = {c.model: set() for c in cells}
        for order in permutations(cells):
            # An order is possible if nobody stands before somebody whose whole interval is better.
            if all(order[i].high >= order[j].low for i in range(5) for j in range(i + 1, 5)):  # type: ignore[operator]
                for place, c in enumerate(order, start=1):
                    allowed[c.model].add(place)
        best_worst = {model: (min(places), max(places)) for model, places in allowed.items()}
        assert ranks(cells) == {m: str(a) if a == b else f"{a}–{b}" for m, (a, b) in best_worst.items()}


def test_tables_and_pages_say_the_same_rank() -> None:
    cells = [cell("a", 90, 2), cell("b", 88, 1), cell("c", 80, 1), cell("d", 79.5, 0.2), cell("wide", 85, 9)]
    marked = rank(cells)
    assert {one.model: one.rank for one in marked} == ranks(cells)
    assert [one.marks for one in marked] == [("best",), ("second", "tied"), (), (), ("tied",)]
    assert [one.rank for one in rank(cells[:1])] == ["1"]
    # b overlaps the best model, but c, of a narrower interval, is wholly better than it.
    a, b, c = rank([cell("a", 90, 6), cell("b", 85, 1), cell("c", 88, 1)])
    assert (a.rank, b.rank, c.rank) == ("1–3", "2–3", "1–2")
    assert (b.marks, c.marks) == ((), ("second", "tied"))
