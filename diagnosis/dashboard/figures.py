"""The rows of the shown days → totals and graphs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from diagnosis.dashboard.counting import WAIT_EDGES
from diagnosis.dashboard.rows import CountedDay, DayFigures, RefusedFiles, site_began
from diagnosis.graphs import Graph, Series
from ml.drift import Counts, added, quantile

# The columns without the histograms, which are by far the most of a row.
FIGURES = ("day", "of_uploads", "answered", "pneumonia", "uncertain", "failures", "waits")

# Beat counts every five minutes.
COUNT_LATE = timedelta(minutes=15)

# Of the codes of refusals; the rest is added up.
MOST_CODES = 12


@dataclass
class Day:
    """One day; `waits` and the counts of answers are those of uploads, `again` those on old scans."""

    day: date
    scans: int = 0
    answered: int = 0
    pneumonia: int = 0
    uncertain: int = 0
    again: int = 0
    waits: Counts = ()

    @property
    def label(self) -> str:
        """Write the day as short as a graph needs."""
        return date_format(self.day, "MONTH_DAY_FORMAT")

    @property
    def share(self) -> float | None:
        """Give the percentage of PNEUMONIA among the answers; None without any."""
        return 100 * self.pneumonia / self.answered if self.answered else None

    @property
    def share_uncertain(self) -> float | None:
        """Give the percentage of uncertain answers; None without any."""
        return 100 * self.uncertain / self.answered if self.answered else None

    def wait(self, share: float) -> float | None:
        """Give the seconds within which `share` of the answers were there; None without any."""
        return wait(self.waits, share)


def wait(waits: Counts, share: float) -> float | None:
    """Read a quantile out of a histogram of seconds; None without any."""
    return quantile(WAIT_EDGES, waits, share) if sum(waits) else None


@dataclass(frozen=True)
class Figures:
    """What happened on `days`, the oldest first; `as_of` is when the newest of them was counted, None if never."""

    days: Sequence[Day]
    refused: Counter  # by code: uploads that were refused or failed, and files that never became a scan
    refused_again: Counter  # by code: old scans that were asked about again
    as_of: datetime | None

    @classmethod
    def between(cls, first: date, last: date) -> Self:
        """Read what was counted of these days, in three queries."""
        by_day = {
            (day := date.fromordinal(number)): Day(day) for number in range(first.toordinal(), last.toordinal() + 1)
        }
        as_of = None
        for counted in CountedDay.objects.filter(day__range=(first, last)).order_by("day"):
            by_day[counted.day].scans, as_of = counted.scans, counted.counted_at
        refused: Counter = Counter()
        refused_again: Counter = Counter()
        for row in DayFigures.objects.filter(day__gte=first, day__lte=last).values(*FIGURES):
            _add(by_day[row["day"]], row)
            (refused if row["of_uploads"] else refused_again).update(row["failures"])
        for code, files in RefusedFiles.objects.filter(day__range=(first, last)).values_list("code", "files"):
            refused[code] += files
        return cls(list(by_day.values()), refused, refused_again, as_of)

    @property
    def is_late(self) -> bool:
        """Tell whether nothing was counted for so long that beat, or every worker, must be away."""
        last = self.as_of or site_began()
        return last is not None and timezone.now() - last > COUNT_LATE

    def total(self, name: str) -> int:
        """Add up a count over the days."""
        return sum(getattr(day, name) for day in self.days)

    @property
    def scans(self) -> int:
        """How many scans were given."""
        return self.total("scans")

    @property
    def answered(self) -> int:
        """How many uploads were answered."""
        return self.total("answered")

    @property
    def again(self) -> int:
        """How many answers were given on scans of before."""
        return self.total("again")

    @property
    def share(self) -> float | None:
        """Give the percentage of PNEUMONIA."""
        return 100 * self.total("pneumonia") / self.answered if self.answered else None

    @property
    def waits(self) -> list[int]:
        """Add up the histograms of seconds."""
        return added((day.waits for day in self.days), len(WAIT_EDGES) - 1)

    @property
    def typical_wait(self) -> float | None:
        """Half of the answers came within so many seconds."""
        return wait(self.waits, 0.5)

    @property
    def long_wait(self) -> float | None:
        """Of twenty answers nineteen came within so many seconds."""
        return wait(self.waits, 0.95)

    @property
    def refusals(self) -> int:
        """How many files and uploads got no answer, for whatever reason."""
        return self.refused.total()

    @property
    def graphs(self) -> list[Graph]:
        """Give the graphs, in the order of the page."""
        return [self._a_day(), self._shares(), self._waits(), self._refusals()]

    @property
    def _labels(self) -> list[str]:
        return [day.label for day in self.days]

    def _a_day(self) -> Graph:
        return Graph(
            slug="a-day",
            title=_("Scans and answers a day"),
            description=_(
                "How many scans were given, and how many answers there were: on uploads, and on old scans again."
            ),
            x_title=_("Day"),
            y_title=_("Number"),
            labels=self._labels,
            series=[
                Series(_("Scans given"), [day.scans for day in self.days], "track"),
                Series(_("Uploads answered"), [day.answered for day in self.days], "accent"),
                Series(_("Old scans answered again"), [day.again for day in self.days], "calm", "line", is_dashed=True),
            ],
        )

    def _shares(self) -> Graph:
        return Graph(
            slug="shares",
            title=_("Share of pneumonia"),
            description=_("Of the answers on uploads: how many say PNEUMONIA, and how many are uncertain."),
            x_title=_("Day"),
            y_title=_("Per cent of the answers"),
            labels=self._labels,
            series=[
                Series(_("Pneumonia"), [day.share for day in self.days], "finding", "line"),
                Series(_("Uncertain"), [day.share_uncertain for day in self.days], "caution", "line", is_dashed=True),
            ],
            unit="\N{NO-BREAK SPACE}%",
            digits=1,
            most=100,
        )

    def _waits(self) -> Graph:
        return Graph(
            slug="waits",
            title=_("Time to the answer"),
            description=_(
                "From the upload until the answer is there, for half of the uploads and for 95 of 100. Batches don't "
                "count. Read from a histogram, so off by a tenth at most."
            ),
            x_title=_("Day"),
            y_title=_("Seconds"),
            labels=self._labels,
            series=[
                Series(_("Median (p50)"), [day.wait(0.5) for day in self.days], "accent", "line"),
                Series(
                    _("95th percentile (p95)"),
                    [day.wait(0.95) for day in self.days],
                    "finding",
                    "line",
                    is_dashed=True,
                ),
            ],
            unit="\N{NO-BREAK SPACE}s",
            digits=1,
        )

    def _refusals(self) -> Graph:
        both = self.refused + self.refused_again
        codes = [code for code, _number in both.most_common(MOST_CODES)]
        uploads, again = ([found[code] for code in codes] for found in (self.refused, self.refused_again))
        if len(both) > MOST_CODES:
            codes.append(_("others"))
            uploads.append(self.refused.total() - sum(uploads))
            again.append(self.refused_again.total() - sum(again))
        return Graph(
            slug="refusals",
            title=_("Refused and failed, by code"),
            description=_("Files that never became a scan, scans that are no chest X-ray, and readings that failed."),
            x_title=_("Number"),
            y_title=_("Code"),
            labels=codes,
            series=[Series(_("Uploads"), uploads, "accent"), Series(_("Old scans again"), again, "calm")],
            is_stacked=True,
            is_lying=True,
        )


def _add(day: Day, row: dict[str, Any]) -> None:
    if not row["of_uploads"]:
        day.again += row["answered"]
        return
    for name in ("answered", "pneumonia", "uncertain"):
        setattr(day, name, getattr(day, name) + row[name])
    day.waits = added([day.waits, row["waits"]], len(WAIT_EDGES) - 1)
