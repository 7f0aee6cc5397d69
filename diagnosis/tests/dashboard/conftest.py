"""What the tests of the dashboard share."""

from datetime import UTC, date, datetime, timedelta

import pytest
from django.utils import timezone

from diagnosis.models import ModelVersion
from diagnosis.states import State
from diagnosis.tests.factories import active_model_version, person, prediction_at, scan_of
from ml.drift import MEASURES, PROBABILITY, STATISTICS, histogram

# Of each statistic the middle of its scale.
MIDDLE = [(scale.low + scale.high) / 2 for scale in STATISTICS.values()]


@pytest.fixture
def staff(client, rita):
    """The browser of somebody of the staff who is no superuser."""
    client.force_login(rita)
    return client


def today() -> date:
    return timezone.now().date()


def noon(days_ago: int) -> datetime:
    """Give a moment that many days ago; for today one that is over."""
    day = today() - timedelta(days=days_ago)
    return min(datetime(day.year, day.month, day.day, 12, tzinfo=UTC), timezone.now())


def at(days_ago: int, state: State | str = State.SUCCEEDED, *, seconds: float = 1.0, **fields):
    """Give a prediction on an upload of that day; it took so many seconds where it has ended."""
    moment = noon(days_ago)
    scan = fields.pop("scan", None) or scan_of(person("owner"), created_at=moment)
    ended = {"finished_at": moment + timedelta(seconds=seconds)} if state in (State.SUCCEEDED, State.FAILED) else {}
    return prediction_at(state, scan, requested_at=moment, **ended, **fields)


def with_reference(*, n: int = 400, brightness: float = 120.0) -> ModelVersion:
    """Give the active version with a reference of n pictures around this brightness, all else in the middle."""
    import numpy as np

    rng = np.random.default_rng(0)
    drawn = {name: [value] * n for name, value in zip(STATISTICS, MIDDLE, strict=True)}
    drawn |= {"brightness": rng.normal(brightness, 15, n), PROBABILITY: rng.uniform(0, 1, n)}
    version = active_model_version()
    histograms = {name: histogram(name, drawn[name]) for name in MEASURES}
    version.metadata = {"reference": {"n": n, "pneumonias": n // 2, "histograms": histograms}}
    version.save()
    return version
