"""Graphs that Chart.js draws in the browser, with everything that a reader who sees none of it needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from diagnosis.numbers import written

Value = float | int | None


class Series(NamedTuple):
    """One row of bars, or a line, over the labels of a graph; None leaves a gap.

    `colour` is a name that graphs.js knows. A "dashed" line, a "hatched" bar: told apart without colour.
    """

    name: str
    values: Sequence[Value]
    colour: str
    kind: str = "bar"  # or "line"
    is_dashed: bool = False


@dataclass(frozen=True)
class Graph:
    """A graph and its numbers as a table; `description` says in a sentence what it shows.

    `labels` stand along the x axis, or, where `is_lying`, along the y axis. `unit` follows each number: "%", " s".
    """

    slug: str
    title: str
    description: str
    x_title: str
    y_title: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: str = ""
    digits: int = 0
    most: float | None = None  # where the axis ends at least
    is_stacked: bool = False
    is_lying: bool = False

    @property
    def data(self) -> dict[str, Any]:
        """Give what graphs.js draws."""
        return {
            "labels": list(self.labels),
            "series": [
                {**each._asdict(), "values": [_rounded(value) for value in each.values]} for each in self.series
            ],
            "xTitle": self.x_title,
            "yTitle": self.y_title,
            "unit": self.unit,
            "most": self.most,
            "stacked": self.is_stacked,
            "lying": self.is_lying,
        }

    @property
    def data_id(self) -> str:
        """Name the element that holds the data."""
        return f"{self.slug}-data"

    @property
    def columns(self) -> list[str]:
        """Title the columns of the table."""
        return [self.y_title if self.is_lying else self.x_title, *(each.name for each in self.series)]

    @property
    def rows(self) -> list[list[str]]:
        """Give the cells of the table, a row for each label."""
        texts = [[self._text(value) for value in each.values] for each in self.series]
        return [list(row) for row in zip(self.labels, *texts, strict=True)]

    def _text(self, value: Value) -> str:
        return "–" if value is None else written(value, f",.{self.digits}f") + self.unit


def _rounded(value: Value) -> Value:
    return round(value, 3) if isinstance(value, float) else value
