"""The predictions of a day → its rows.

A day is counted as a whole, from the index by time, and written in one transaction: counting twice, late or by two at
once does no harm. A day that is over, with nothing open, is final and is not read again, so that a run costs what
happened today, however many predictions there are. What is erased later stays counted.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from django.db import transaction
from django.utils import timezone

from diagnosis.dashboard.rows import CountedDay, DayFigures, LastRun
from diagnosis.models import Label, Prediction, Scan
from diagnosis.states import OPEN_STATES, FailureReason, State, Trigger
from ml.drift import PROBABILITY, STATISTICS, histogram

# From the request to the answer, in seconds: so fine that a quantile which is read out of the bins is off by a tenth at
# most. What took longer than a day counts in the last one.
WAIT_EDGES = np.geomspace(0.1, 100_000, 145)

# Somebody waits for the answer on a scan that they have just given.
UPLOADS = (Trigger.UPLOAD, Trigger.API)

# After its end: what was asked in its last moment has been committed by then.
GRACE = timedelta(hours=1)

COLUMNS = (
    "model_version_id",
    "trigger",
    "state",
    "label",
    "is_uncertain",
    "reason",
    "requested_at",
    "finished_at",
    "probability",
    "statistics",
)
CHUNK = 5000  # rows


@dataclass(frozen=True)
class Counted:
    """How many days a run counted, and how many it left for the next one."""

    days: int
    left: int


@dataclass
class _Tally:
    """What was found of one version so far, for uploads or else."""

    answered: int = 0
    pneumonia: int = 0
    uncertain: int = 0
    failures: Counter = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    statistics: list[list[float]] = field(default_factory=list)

    def add(self, row: dict[str, Any]) -> None:
        if row["state"] == State.SUCCEEDED:
            self.answered += 1
            self.pneumonia += row["label"] == Label.PNEUMONIA
            self.uncertain += row["is_uncertain"]
            self.probabilities.append(row["probability"])
        elif row["state"] == State.FAILED:
            self.failures[row["reason"]] += 1
        if row["state"] == State.SUCCEEDED or row["reason"] == FailureReason.NOT_A_CHEST_XRAY:
            self.waits.append((row["finished_at"] - row["requested_at"]).total_seconds())
        # Those of another day's software are of another length.
        if row["statistics"] and len(row["statistics"]) == len(STATISTICS):
            self.statistics.append(row["statistics"])

    def figures(self) -> dict[str, Any]:
        columns = zip(*self.statistics, strict=True) if self.statistics else [()] * len(STATISTICS)
        given = {PROBABILITY: self.probabilities, **dict(zip(STATISTICS, columns, strict=True))}
        return {
            "answered": self.answered,
            "pneumonia": self.pneumonia,
            "uncertain": self.uncertain,
            "failures": dict(self.failures),
            "waits": wait_histogram(self.waits),
            "histograms": {name: histogram(name, values) for name, values in given.items() if values},
        }


def wait_histogram(seconds: list[float]) -> list[int]:
    """Count seconds in WAIT_EDGES."""
    return np.histogram(np.clip(seconds, WAIT_EDGES[0], WAIT_EDGES[-1]), WAIT_EDGES)[0].tolist()


def count_days(*, since: date | None = None, at_most: timedelta | None = None) -> Counted:
    """Count every day that is not final, today first, and those before it down to the first one.

    Also the final ones from `since` on. After the time `at_most` what is left waits for the next run.
    """
    began = time.monotonic()
    days = days_to_count(since=since)
    done = 0
    for day in days:
        count_day(day)
        done += 1
        if at_most is not None and time.monotonic() - began > at_most.total_seconds():
            break
    counted = Counted(days=done, left=len(days) - done)
    LastRun.note(LastRun.COUNT, days=counted.days, left=counted.left)
    return counted


def days_to_count(*, since: date | None = None) -> list[date]:
    """List the days that are not final, or are not before `since`; today is always one of them."""
    today = timezone.now().date()
    final = set(CountedDay.objects.filter(is_final=True).values_list("day", flat=True))
    first = min([today, *_first_moments()])
    days = (today - timedelta(days=back) for back in range((today - first).days + 1))
    return [day for day in days if day not in final or (since and day >= since)]


def _first_moments() -> list[date]:
    scan = Scan.objects.order_by("created_at", "id").values_list("created_at", flat=True).first()
    prediction = Prediction.objects.order_by("requested_at", "id").values_list("requested_at", flat=True).first()
    return [moment.astimezone(UTC).date() for moment in (scan, prediction) if moment]


def count_day(day: date) -> None:
    """Count one day, in UTC, and put it in place of what was counted before."""
    now = timezone.now()
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    end = start + timedelta(days=1)
    tallies: dict[tuple[int, bool], _Tally] = {}
    is_open = False
    rows = Prediction.objects.filter(requested_at__gte=start, requested_at__lt=end).order_by().values(*COLUMNS)
    for row in rows.iterator(CHUNK):
        is_open |= row["state"] in OPEN_STATES
        tallies.setdefault((row["model_version_id"], row["trigger"] in UPLOADS), _Tally()).add(row)
    scans = Scan.objects.filter(created_at__gte=start, created_at__lt=end).count()
    figures = [
        DayFigures(day_id=day, model_version_id=version, of_uploads=of_uploads, **tally.figures())
        for (version, of_uploads), tally in tallies.items()
    ]
    with transaction.atomic():
        counted, is_new = CountedDay.objects.select_for_update().get_or_create(day=day, defaults={"counted_at": now})
        if not is_new and counted.counted_at > now:  # somebody else has read the day since
            return
        counted.scans, counted.counted_at = scans, now
        counted.is_final = not is_open and now > end + GRACE
        counted.save()
        counted.figures.all().delete()
        DayFigures.objects.bulk_create(figures)
