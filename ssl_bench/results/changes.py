"""What a branch changes in a folder of records. Knows no torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ssl_bench.results.record import Record
from ssl_bench.results.review import Problem
from ssl_bench.results.store import Store, latest


@dataclass(frozen=True)
class Change:
    """Of one model, task and seed. ``before`` is None for a new one, ``after`` for a removed one."""

    before: Record | None
    after: Record | None

    @property
    def kind(self) -> Literal["new", "changed", "removed"]:
        return "new" if self.before is None else "removed" if self.after is None else "changed"

    @property
    def record(self) -> Record:
        found = self.after or self.before
        assert found is not None
        return found


def changes(records: Iterable[Record], base: Iterable[Record]) -> list[Change]:
    """Of the numbers that tables show, in the order of models and tasks; what stays as it is is left out."""
    now, then = ({(r.model, r.task, r.seed): r for r in latest(of)} for of in (records, base))
    found = [Change(then.get(key), now.get(key)) for key in sorted(now.keys() | then.keys())]
    return [change for change in found if _id(change.before) != _id(change.after)]


def removed(records: Sequence[Record], base: Store) -> list[Problem]:
    """Records of main that are not there any more: they are never changed, a better run is a further record."""
    there = {record.run_id for record in records}
    gone = [record for record in base.all() if record.run_id not in there]
    said = "is in main and not here: records are never changed or removed; add a further one"
    return [Problem("error", str(base.path(record).relative_to(base.root)), said) for record in gone]


def _id(record: Record | None) -> str | None:
    return None if record is None else record.run_id
