"""A person's own answers over time, drawn from their newest scans alone, so that it costs the same for everybody."""

from collections import Counter
from datetime import date

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from diagnosis.graphs import Graph, Series
from diagnosis.models import Label, ScanQuerySet
from diagnosis.states import State

# The newest scans, and of their months the last two years.
MOST_SCANS, MOST_MONTHS = 200, 24


def answers_by_month(scans: ScanQuerySet) -> Graph | None:
    """Count the latest answers of the newest of `scans` by the month in which they were given; None without any."""
    columns = ("created_at", "latest_prediction__state", "latest_prediction__label")
    rows = list(scans.order_by("-created_at", "-id").values_list(*columns)[:MOST_SCANS])
    counts: Counter = Counter()
    for created_at, state, label in rows:
        if label or state == State.FAILED:
            day = timezone.localtime(created_at).date()
            counts[_number(day), label] += 1
    if not any(label for _month, label in counts):
        return None
    newest = max(month for month, _label in counts)
    months = range(max(min(month for month, _label in counts), newest - MOST_MONTHS + 1), newest + 1)
    return Graph(
        slug="by-month",
        title=_("Answers by month"),
        description=_("The latest answers on your newest scans, %(most)s at most, by the month of the upload.")
        % {"most": MOST_SCANS},
        x_title=_("Month"),
        y_title=_("Scans"),
        labels=[date_format(date(month // 12, month % 12 + 1, 1), "M Y") for month in months],
        series=[
            Series(name, [counts[month, label] for month in months], colour)
            for name, label, colour in (
                (_("Normal"), Label.NORMAL, "calm"),
                (_("Pneumonia"), Label.PNEUMONIA, "finding"),
                (_("Not answered"), "", "track"),
            )
        ],
        is_stacked=True,
    )


def _number(day: date) -> int:
    """Number the months, so that they can be counted through."""
    return 12 * day.year + day.month - 1
