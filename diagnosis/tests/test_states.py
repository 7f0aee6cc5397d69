"""The state machine: every (from, to) pair, by the moves that the site really makes."""

import itertools
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from diagnosis.models import Label, Prediction
from diagnosis.states import OPEN_STATES, TERMINAL_STATES, TRANSITIONS, FailureReason, State
from diagnosis.tests.factories import prediction_at

pytestmark = pytest.mark.django_db


def claim(prediction: Prediction) -> bool:
    return Prediction.objects.claim(prediction.pk, task_id="another task")


def succeed(prediction: Prediction) -> bool:
    return Prediction.objects.succeed(
        prediction.pk, task_id=prediction.claimed_by, probability=0.9, threshold=0.5, milliseconds=1
    )


def fail(prediction: Prediction) -> bool:
    return Prediction.objects.fail(prediction.pk, task_id=prediction.claimed_by, reason=FailureReason.UNREADABLE_IMAGE)


def put_back(prediction: Prediction) -> bool:
    return bool(Prediction.objects.filter(pk=prediction.pk).put_back())


MOVES = {State.RUNNING: claim, State.SUCCEEDED: succeed, State.FAILED: fail, State.QUEUED: put_back}


@pytest.mark.parametrize(("old", "new"), list(itertools.product(State, State)))
def test_a_move_happens_iff_the_table_allows_it(old, new):
    prediction = prediction_at(old)

    moved = MOVES[new](prediction)

    prediction.refresh_from_db()
    assert moved == (new in TRANSITIONS[old])
    assert prediction.state == (new if moved else old)


def test_every_state_is_either_open_or_terminal():
    assert set(OPEN_STATES) | set(TERMINAL_STATES) == set(State) == set(TRANSITIONS)
    assert not set(OPEN_STATES) & set(TERMINAL_STATES)
    assert all(not TRANSITIONS[state] for state in TERMINAL_STATES)


def test_only_one_of_two_tasks_gets_the_claim():
    prediction = prediction_at(State.QUEUED)

    assert Prediction.objects.claim(prediction.pk, task_id="first")
    assert not Prediction.objects.claim(prediction.pk, task_id="second")

    prediction.refresh_from_db()
    assert (prediction.claimed_by, prediction.attempts) == ("first", 1)


def test_a_task_that_is_delivered_again_after_a_crash_takes_up_its_own_claim():
    prediction = prediction_at(State.QUEUED)
    Prediction.objects.claim(prediction.pk, task_id="same")

    assert Prediction.objects.claim(prediction.pk, task_id="same")

    prediction.refresh_from_db()
    assert prediction.attempts == 2


def test_a_picture_that_kills_its_worker_every_time_is_given_up_after_the_cap(settings):
    prediction = prediction_at(State.QUEUED)
    for _ in range(settings.PREDICTION_MAX_ATTEMPTS):
        assert Prediction.objects.claim(prediction.pk, task_id="same")

    assert not Prediction.objects.claim(prediction.pk, task_id="same")
    assert Prediction.objects.give_up_exhausted() == 1

    prediction.refresh_from_db()
    assert (prediction.state, prediction.reason) == (State.FAILED, FailureReason.WORKER_LOST)


def test_a_slow_worker_whose_claim_was_taken_away_can_not_record_its_answer():
    prediction = prediction_at(State.RUNNING)
    Prediction.objects.filter(pk=prediction.pk).put_back()
    Prediction.objects.claim(prediction.pk, task_id="the next one")

    assert not succeed(prediction)
    assert not fail(prediction)

    prediction.refresh_from_db()
    assert (prediction.state, prediction.claimed_by) == (State.RUNNING, "the next one")


@pytest.mark.parametrize(
    ("probability", "label"), [(0.0, Label.NORMAL), (0.4999, Label.NORMAL), (0.5, Label.PNEUMONIA), (1, "PNEUMONIA")]
)
def test_the_label_is_pneumonia_from_the_operating_point_on(probability, label):
    prediction = prediction_at(State.RUNNING)

    Prediction.objects.succeed(
        prediction.pk, task_id=prediction.claimed_by, probability=probability, threshold=0.5, milliseconds=1
    )

    prediction.refresh_from_db()
    assert prediction.label == label
    assert prediction.confidence == (probability if label == Label.PNEUMONIA else 1 - probability)


@pytest.mark.parametrize(
    "broken",
    [
        {"state": State.SUCCEEDED, "finished_at": timezone.now()},
        {"state": State.RUNNING, "probability": 0.4},
        {"state": State.FAILED, "finished_at": timezone.now()},
        {"state": State.RUNNING, "reason": FailureReason.TIMED_OUT},
        {"state": State.RUNNING, "finished_at": timezone.now()},
        {"state": State.RUNNING, "claimed_by": ""},
        {"state": State.RUNNING, "statistics": [1.0]},
        {"state": State.QUEUED},
    ],
    ids=lambda broken: ", ".join(map(str, broken)),
)
def test_the_database_refuses_a_running_prediction_that_says_two_things(broken):
    prediction = prediction_at(State.RUNNING)

    with pytest.raises(IntegrityError), transaction.atomic():
        Prediction.objects.filter(pk=prediction.pk).update(**broken)


@pytest.mark.parametrize(
    "broken",
    [
        {"probability": 1.01},
        {"probability": -0.01},
        {"label": Label.NORMAL},
        {"label": "MAYBE"},
        {"label": ""},
        {"probability": None},
        {"finished_at": None},
    ],
    ids=lambda broken: ", ".join(map(str, broken)),
)
def test_the_database_refuses_an_answer_that_is_not_one(broken):
    prediction = prediction_at(State.SUCCEEDED, probability=0.9, threshold=0.5)

    with pytest.raises(IntegrityError), transaction.atomic():
        Prediction.objects.filter(pk=prediction.pk).update(**broken)


def test_a_scan_can_not_have_two_open_predictions_of_one_version():
    prediction = prediction_at(State.RUNNING)

    with pytest.raises(IntegrityError), transaction.atomic():
        Prediction.objects.create(
            scan=prediction.scan, model_version=prediction.model_version, trigger=prediction.trigger
        )


def test_a_scan_can_not_have_two_latest_predictions():
    prediction = prediction_at(State.SUCCEEDED)
    earlier = Prediction.objects.create(
        scan=prediction.scan, model_version=prediction.model_version, trigger=prediction.trigger
    )

    with pytest.raises(IntegrityError), transaction.atomic():
        Prediction.objects.filter(pk=earlier.pk).update(is_latest=True)


def test_a_finished_prediction_leaves_room_for_the_next_one():
    prediction = prediction_at(State.SUCCEEDED)

    again = Prediction.objects.create(
        scan=prediction.scan, model_version=prediction.model_version, trigger=prediction.trigger
    )

    assert again.state == State.QUEUED


def test_only_what_is_older_than_the_limit_or_was_never_sent_is_stale():
    limit = timedelta(minutes=5)
    long_ago = timezone.now() - timedelta(minutes=6)
    fresh_running, fresh_queued = prediction_at(State.RUNNING), prediction_at(State.QUEUED)
    Prediction.objects.filter(pk=fresh_queued.pk).update(enqueued_at=timezone.now())
    old_running, old_queued, never_sent = (prediction_at(s) for s in (State.RUNNING, State.QUEUED, State.QUEUED))
    Prediction.objects.filter(pk=old_running.pk).update(claimed_at=long_ago)
    Prediction.objects.filter(pk=old_queued.pk).update(enqueued_at=long_ago)
    Prediction.objects.filter(pk=never_sent.pk).update(enqueued_at=None)

    stale = Prediction.objects.stale(older_than=limit)

    assert set(stale) == {old_running, old_queued, never_sent}
    assert fresh_running not in stale
