"""Pages of a long list, found by the row they begin behind instead of by their number.

A page number means that all rows before it are walked through, and the last number that all rows are counted. Here a
page costs the same wherever it is: an index leads to its first row.
"""

import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.db.models import Q, QuerySet

from diagnosis.numbers import written

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MARK = re.compile(r"(?P<side>before|after)_(?P<kind>[tf])(?P<value>[-+.0-9e]{1,30})_(?P<pk>[0-9a-f]{32})", re.ASCII)


@dataclass(frozen=True)
class Mark:
    """The place before or after a row of a list, as text for an address: `before` comes what is nearer to its start."""

    is_after: bool
    value: datetime | float  # by which the list is sorted
    pk: uuid.UUID

    @classmethod
    def read(cls, text: str, *, kind: type) -> Self | None:
        """Understand what `str` gave for a list that is sorted by values of `kind`; None for anything else."""
        found = MARK.fullmatch(text)
        if not found or (found["kind"] == "t") != (kind is datetime):
            return None
        try:
            value = EPOCH + timedelta(microseconds=int(found["value"])) if kind is datetime else float(found["value"])
        except (ValueError, OverflowError):
            return None
        return cls(found["side"] == "after", value, uuid.UUID(found["pk"]))

    def __str__(self) -> str:
        side = "after" if self.is_after else "before"
        if isinstance(self.value, datetime):
            return f"{side}_t{(self.value - EPOCH) // timedelta(microseconds=1)}_{self.pk.hex}"
        return f"{side}_f{self.value!r}_{self.pk.hex}"


@dataclass(frozen=True)
class CappedCount:
    """How many rows there are, counted no further than to the cap: "37", or "1,000+"."""

    number: int
    cap: int

    @classmethod
    def of(cls, rows: QuerySet, cap: int = 1000) -> Self:
        """Count `rows`; cheap where an index gives them in their order."""
        return cls(rows[: cap + 1].count(), cap)

    def __str__(self) -> str:
        return f"{written(self.cap, ',')}+" if self.number > self.cap else str(self.number)


@dataclass(frozen=True)
class Page:
    """Some rows in the order of the list, and the marks of the pages beside them: "" where there is none."""

    rows: list
    previous: str = ""
    next: str = ""

    def __iter__(self):
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def is_all(self) -> bool:
        """Tell whether the list has no other page."""
        return not (self.previous or self.next)


def page_of(
    rows: QuerySet, *, by: str, size: int, mark: str = "", kind: type = datetime, descending: bool = True
) -> Page:
    """Give the page of at most `size` of `rows` that `mark` names, the first one where it names none.

    Sorted by `by`, a field or annotation of `kind` (datetime or float) that is never NULL, then by the primary key, a
    UUID.
    """
    place = Mark.read(mark, kind=kind)
    if place is None:
        return _first(rows, by, size, descending)
    if place.is_after:
        found = _beyond(rows, by, size, place, descending)
        if not found:
            return _first(rows, by, size, descending)
        return Page(found[:size], _mark(found[0], by, is_after=False), _mark_of_rest(found, by, size))
    found = _beyond(rows, by, size, place, not descending)
    if len(found) <= size:
        # The start of the list, whatever was added to it meanwhile.
        return _first(rows, by, size, descending)
    shown = found[size - 1 :: -1]
    return Page(shown, _mark(shown[0], by, is_after=False), _mark(shown[-1], by, is_after=True))


def _first(rows: QuerySet, by: str, size: int, descending: bool) -> Page:
    found = list(_sorted(rows, by, descending)[: size + 1])
    return Page(found[:size], "", _mark_of_rest(found, by, size))


def _beyond(rows: QuerySet, by: str, size: int, place: Mark, descending: bool) -> list:
    """Give up to `size` rows, and one more if there is one, that come behind `place` in this direction."""
    beyond = "lt" if descending else "gt"
    # The first condition says no more than the second one; but a database looks it up in an index.
    rows = rows.filter(**{f"{by}__{beyond}e": place.value})
    rows = rows.filter(Q(**{f"{by}__{beyond}": place.value}) | Q(**{f"pk__{beyond}": place.pk}))
    return list(_sorted(rows, by, descending)[: size + 1])


def _sorted(rows: QuerySet, by: str, descending: bool) -> QuerySet:
    return rows.order_by(f"-{by}", "-pk") if descending else rows.order_by(by, "pk")


def _mark_of_rest(found: list, by: str, size: int) -> str:
    return _mark(found[size - 1], by, is_after=True) if len(found) > size else ""


def _mark(row: Any, by: str, *, is_after: bool) -> str:
    return str(Mark(is_after, getattr(row, by), row.pk))
