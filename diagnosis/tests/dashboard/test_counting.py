"""Days are counted once they are over, today again and again, and what was counted stays."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from diagnosis.dashboard import counting
from diagnosis.dashboard.counting import WAIT_EDGES, count_day, count_days, days_to_count
from diagnosis.dashboard.figures import Figures
from diagnosis.models import CountedDay, DayFigures, LastRun, Prediction, RefusedFiles, Scan
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tests.dashboard.conftest import MIDDLE, at, noon, today
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of
from ml.drift import PROBABILITY, STATISTICS, histogram, quantile

pytestmark = pytest.mark.django_db


def shown(days: int = 30) -> Figures:
    return Figures.between(today() - timedelta(days=days - 1), today())


def rows_of(days_ago: int) -> list[DayFigures]:
    return list(DayFigures.objects.filter(day=today() - timedelta(days=days_ago)))


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", ""])
def test_a_day_that_there_is_not_is_an_error(day):
    with pytest.raises(CommandError, match="is not a day"):
        call_command("count_days", f"--since={day}")


def test_an_empty_site_has_counted_days_too():
    assert count_days().days == 1
    assert shown(1).as_of is not None
    assert shown(1).scans == 0


def test_a_day_counts_answers_labels_uncertain_ones_and_reasons(model_version):
    at(2, probability=0.9)
    at(2, probability=0.8, is_uncertain=True)
    at(2, probability=0.1)
    at(2, State.FAILED, reason=FailureReason.NOT_A_CHEST_XRAY)
    at(2, State.FAILED, reason=FailureReason.TIMED_OUT)

    count_days()

    (row,) = rows_of(2)
    assert (row.answered, row.pneumonia, row.uncertain) == (3, 2, 1)
    assert row.failures == {"NOT_A_CHEST_XRAY": 1, "TIMED_OUT": 1}
    assert row.histograms[PROBABILITY] == histogram(PROBABILITY, [0.9, 0.8, 0.1])
    assert CountedDay.objects.get(day=row.day_id).scans == 5


def test_the_time_to_the_answer_is_that_of_uploads_and_of_answers_alone(model_version):
    for seconds in (1.0, 2.0, 3.0):
        at(1, seconds=seconds)
    at(1, State.FAILED, reason=FailureReason.NOT_A_CHEST_XRAY, seconds=4.0)
    at(1, State.FAILED, reason=FailureReason.TIMED_OUT, seconds=500.0)
    at(1, seconds=5000.0, trigger=Trigger.COMMAND)
    at(1, seconds=5000.0, trigger=Trigger.ADMIN)

    count_days()

    day = shown().days[-2]
    assert sum(day.waits) == 4
    assert day.wait(0.5) == pytest.approx(2.0, rel=0.11)
    assert shown().long_wait == pytest.approx(4.0, rel=0.11)
    assert (day.answered, day.again) == (3, 2)


def test_a_quantile_of_the_times_is_off_by_a_tenth_at_most():
    import numpy as np

    seconds = np.random.default_rng(3).lognormal(1, 1, 5000)
    counts = counting.wait_histogram(seconds.tolist())
    for share in (0.5, 0.95):
        assert quantile(WAIT_EDGES, counts, share) == pytest.approx(np.quantile(seconds, share), rel=0.1)


def test_times_beyond_every_edge_are_counted():
    assert sum(counting.wait_histogram([0.0, 1e9, 5.0])) == 3


def test_pictures_are_counted_whether_answered_or_refused_and_those_of_other_software_are_passed_over(model_version):
    at(1, statistics=MIDDLE)
    at(1, State.FAILED, reason=FailureReason.NOT_A_CHEST_XRAY, statistics=MIDDLE)
    at(1, statistics=[1.0, 2.0])
    at(1)

    count_days()

    (row,) = rows_of(1)
    assert {sum(row.histograms[name]) for name in STATISTICS} == {2}


def test_each_version_and_each_kind_of_request_has_its_row(model_version):
    other = model_version_of()
    at(1)
    at(1, model_version=other)
    at(1, trigger=Trigger.API)
    at(1, trigger=Trigger.COMMAND, model_version=other)

    count_days()

    assert sorted((row.model_version_id, row.of_uploads, row.answered) for row in rows_of(1)) == sorted(
        [(model_version.pk, True, 2), (other.pk, True, 1), (other.pk, False, 1)]
    )


def test_midnight_utc_parts_the_days(model_version):
    midnight = noon(1).replace(hour=0)
    for moment in (midnight, midnight - timedelta(microseconds=1)):
        scan = scan_of(model_version_owner(), created_at=moment)
        prediction_at(State.SUCCEEDED, scan, requested_at=moment, finished_at=moment)

    count_days()

    assert [row.answered for days in (2, 1) for row in rows_of(days)] == [1, 1]


def model_version_owner():
    from diagnosis.tests.factories import person

    return person("owner")


def test_counting_twice_changes_nothing(model_version):
    at(0)
    at(3)
    count_days()
    before = list(DayFigures.objects.values_list("day", "answered", "waits"))
    count_days()
    assert list(DayFigures.objects.values_list("day", "answered", "waits")) == before


def test_a_day_that_is_over_is_final_unless_something_is_open(model_version):
    at(3)
    late = at(2, State.QUEUED)
    at(0)

    count_days()
    assert set(days_to_count()) == {today(), late.requested_at.date()} | unsure_yesterday()

    Prediction.objects.claim(late.pk, task_id="t")
    Prediction.objects.fail(late.pk, task_id="t", reason=FailureReason.TIMED_OUT)
    count_days()
    assert rows_of(2)[0].failures == {"TIMED_OUT": 1}
    assert set(days_to_count()) == {today()} | unsure_yesterday()


def unsure_yesterday() -> set:
    """Within an hour after midnight yesterday may still get a late row."""
    return {today() - timedelta(days=1)} if timezone.now().hour == 0 else set()


def test_what_is_erased_later_stays_counted_until_somebody_wants_it_counted_anew(model_version):
    at(3)
    at(3)
    count_days()
    Scan.objects.first().delete()

    count_days()
    assert rows_of(3)[0].answered == 2

    call_command("count_days", since=today() - timedelta(days=3), stdout=io.StringIO())
    assert rows_of(3)[0].answered == 1


def test_a_run_that_has_no_time_left_counts_the_newest_days_and_the_next_one_goes_on(model_version):
    at(5)
    first = count_days(at_most=timedelta(0))
    assert (first.days, first.left) == (1, 5)
    assert list(CountedDay.objects.values_list("day", flat=True)) == [today()]
    assert LastRun.objects.get(task=LastRun.COUNT).did == {"days": 1, "left": 5}

    assert count_days().left == 0
    assert CountedDay.objects.count() == 6


def test_a_slow_count_does_not_write_over_a_later_one(model_version, monkeypatch):
    at(0)
    count_day(today())
    later = CountedDay.objects.get(day=today()).counted_at
    at(0)
    monkeypatch.setattr(counting.timezone, "now", lambda: later - timedelta(minutes=1))

    count_day(today())

    assert (CountedDay.objects.get(day=today()).counted_at, rows_of(0)[0].answered) == (later, 1)


def test_beat_has_the_days_counted_and_leaves_word(settings, model_version, sent):
    from diagnosis import tasks

    scheduled = {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()}
    assert {tasks.count_days.name, tasks.requeue_stale_predictions.name} <= scheduled
    prediction_at(State.RUNNING, claimed_at=timezone.now() - timedelta(hours=2))

    tasks.count_days()
    tasks.requeue_stale_predictions()

    assert shown(1).as_of is not None
    assert LastRun.objects.get(task=LastRun.REQUEUE).did == {"sent": 1, "given_up": 0, "unsent": 0}


def test_the_files_of_a_day_that_were_refused_are_counted_by_code_and_nothing_else_is_kept():
    RefusedFiles.objects.note(["DAMAGED", "TOO_SMALL", "DAMAGED"])
    RefusedFiles.objects.note(["DAMAGED"])
    RefusedFiles.objects.note([])
    found = RefusedFiles.objects.values("day", "code", "files")
    assert list(found) == [
        {"day": today(), "code": "DAMAGED", "files": 3},
        {"day": today(), "code": "TOO_SMALL", "files": 1},
    ]
    assert shown(1).refused == {"DAMAGED": 3, "TOO_SMALL": 1}
