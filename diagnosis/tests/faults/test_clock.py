"""A clock that jumps: nothing waits for a time that nobody will see."""

import shelve
from datetime import UTC, datetime, timedelta

import pytest

from diagnosis.models import Prediction
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at
from pneumonia_site.beat import Scheduler
from pneumonia_site.celery import app

YEARS = timedelta(days=4000)


@pytest.mark.parametrize("jump", [-YEARS, YEARS], ids=["past", "future"])
@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_what_was_lost_before_the_clock_jumped_is_answered(site, upload_to, state, jump):
    with site.held("before the claim") as is_held:
        upload_to(site)
        is_held()
        scans = upload_to(site)
        site.take_messages()
        [(scan, prediction)] = [(row.scan, row.prediction) for row in site.rows(scans)]
        then = datetime.now(UTC) + jump
        if state == State.RUNNING:
            values = "state = 'RUNNING', claimed_by = 'a lost task', attempts = 1, claimed_at = %s"
        else:
            values = "enqueued_at = %s"
        site.query(f"UPDATE diagnosis_prediction SET {values} WHERE id = %s", str(then), prediction)

    site.assert_each_is_answered_once([scan])


@pytest.mark.django_db
def test_a_little_ahead_is_no_jump(settings):
    soon = datetime.now(UTC) + timedelta(seconds=30)
    prediction_at(State.RUNNING, claimed_at=soon)

    assert not Prediction.objects.stale(older_than=timedelta(seconds=60))


@pytest.mark.services
def test_beat_goes_on_that_was_last_run_under_a_clock_that_was_years_ahead(full, upload_to):
    full.stop("beat")
    with shelve.open(str(full.var / "schedule"), writeback=True) as schedule:
        for entry in schedule["entries"].values():
            entry.last_run_at = datetime.now(UTC) + YEARS
    with full.held("before the claim") as is_held:
        scans = upload_to(full)
        is_held()
        scans += upload_to(full)
        full.take_messages()
    full.run("beat")

    full.assert_each_is_answered_once(scans)
    assert "The clock was set back" in full.log("beat")


def test_beat_goes_on_when_the_clock_is_set_back_under_it(tmp_path, monkeypatch):
    now, sent = datetime.now(UTC), []
    monkeypatch.setattr(app, "now", lambda: now)
    scheduler = Scheduler(app=app, schedule_filename=str(tmp_path / "schedule"), lazy=False)
    monkeypatch.setattr(scheduler, "apply_async", lambda entry, **_named: sent.append(entry.task))
    for entry in scheduler.schedule.values():
        entry.last_run_at = now

    now -= YEARS
    assert scheduler.tick() <= 60
    for _ in range(7):
        now += timedelta(seconds=61)
        while scheduler.tick() == 0:
            pass
    scheduler.close()

    assert sent.count("diagnosis.tasks.requeue_stale_predictions") >= 6
    assert "diagnosis.tasks.count_days" in sent, "the others are not forgotten behind it"
