"""The command that sends lost predictions again."""

import io
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from diagnosis.states import FailureReason, State
from diagnosis.tests.factories import prediction_at

pytestmark = pytest.mark.django_db


def requeue(*arguments: str) -> str:
    out = io.StringIO()
    call_command("requeue_stale_predictions", *arguments, stdout=out)
    return out.getvalue()


def long_ago():
    return timezone.now() - timedelta(hours=1)


@pytest.mark.parametrize("age", ["-1", "soon", "nan", "1e300", ""])
def test_an_impossible_age_is_an_error(age, sent):
    prediction = prediction_at(State.RUNNING, claimed_at=long_ago())

    with pytest.raises(CommandError, match="not a number of seconds"):
        requeue(f"--older-than={age}")

    prediction.refresh_from_db()
    assert prediction.state == State.RUNNING


def test_what_was_lost_is_sent_again(sent):
    running = prediction_at(State.RUNNING, claimed_at=long_ago())
    queued = prediction_at(State.QUEUED, enqueued_at=long_ago())
    prediction_at(State.RUNNING)

    assert "2 predictions were sent" in requeue()
    assert set(sent) == {str(running.pk), str(queued.pk)}


def test_a_second_run_right_after_sends_nothing(sent):
    prediction_at(State.RUNNING, claimed_at=long_ago())
    requeue()

    assert "0 predictions were sent" in requeue()
    assert len(sent) == 1


def test_zero_seconds_take_back_what_runs_now(sent):
    prediction = prediction_at(State.RUNNING)

    requeue("--older-than", "0")

    assert sent == [str(prediction.pk)]


def test_what_was_lost_too_often_is_given_up_and_told(sent, settings):
    prediction = prediction_at(State.RUNNING, claimed_at=long_ago(), attempts=settings.PREDICTION_MAX_ATTEMPTS)

    assert "1 were given up" in requeue()

    prediction.refresh_from_db()
    assert prediction.reason == FailureReason.WORKER_LOST


def test_a_broker_that_is_away_is_an_error_and_everything_waits(monkeypatch):
    def refuse(_args, **_options):
        raise BrokerError("connection refused")

    monkeypatch.setattr("diagnosis.tasks.run_prediction.apply_async", refuse)
    prediction = prediction_at(State.QUEUED, enqueued_at=None)

    with pytest.raises(CommandError, match="1 still wait"):
        requeue()

    prediction.refresh_from_db()
    assert (prediction.state, prediction.enqueued_at) == (State.QUEUED, None)
