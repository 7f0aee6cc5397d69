"""Many predictions by one message or in one process: whatever happens to one, the others get their answer."""

from types import SimpleNamespace

import pytest
from billiard.exceptions import SoftTimeLimitExceeded, TimeLimitExceeded
from django.db import OperationalError
from django.utils import timezone

from diagnosis import queues, services, stream, worker
from diagnosis.models import Label, Prediction
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tasks import run_predictions
from diagnosis.tests.factories import model_version_of, person, prediction_at, scan_of
from ml.checkpoint import CheckpointMissing
from ml.preprocess import canonical_jpeg

pytestmark = pytest.mark.django_db


@pytest.fixture
def queued(alice, model_version) -> list[Prediction]:
    """Three that wait, of three scans, as a batch asks for them."""
    return [prediction_at(State.QUEUED, scan_of(alice), trigger=Trigger.COMMAND) for _ in range(3)]


def ids_of(predictions) -> list[str]:
    return [str(prediction.pk) for prediction in predictions]


def states_of(predictions) -> list[str]:
    return [Prediction.objects.get(pk=prediction.pk).state for prediction in predictions]


def test_a_message_answers_all_that_it_names(queued, fake_classifier, media):
    stream.answer_message(ids_of(queued), task_id="task")

    for prediction in queued:
        prediction.refresh_from_db()
        version = prediction.model_version
        assert (prediction.state, prediction.label) == (State.SUCCEEDED, Label.PNEUMONIA)
        assert (prediction.probability, prediction.threshold) == (fake_classifier.probability, version.threshold)
        assert prediction.is_uncertain == version.is_uncertain_about(prediction.probability)
        assert prediction.milliseconds is not None
        assert (media / prediction.heatmap.name).read_bytes().startswith(b"\x89PNG")
        assert (prediction.claimed_by, prediction.attempts) == ("task", 1)


def test_each_keeps_its_own_answer_however_many_are_recorded_at_once(alice, model_version, fake_classifier):
    scans = [scan_of(alice) for _ in range(2 * stream.AT_ONCE + 1)]
    waiting = [prediction_at(State.QUEUED, scan) for scan in scans]
    probabilities = {prediction.pk: number / len(waiting) for number, prediction in enumerate(waiting)}
    in_turn = iter(probabilities.values())
    classify = fake_classifier.classify

    def another_each_time(pictures):
        fake_classifier.probability = next(in_turn)
        return classify(pictures)

    fake_classifier.classify = another_each_time

    done = list(stream.answer_all([row.pk for row in waiting], model_version=model_version, task_id="task"))

    assert [pk for some in done for pk in some] == list(probabilities)
    assert dict(Prediction.objects.values_list("pk", "probability")) == probabilities
    for prediction in Prediction.objects.all():
        assert prediction.is_pneumonia == (prediction.probability >= prediction.threshold)


def test_the_model_waits_for_the_claim_of_a_few_only(queued, fake_classifier, monkeypatch):
    monkeypatch.setattr(stream, "FIRST", 2)
    classify, claimed = fake_classifier.classify, []

    def look_how_many_are_claimed(pictures):
        claimed.append(Prediction.objects.filter(state=State.RUNNING).count())
        return classify(pictures)

    fake_classifier.classify = look_how_many_are_claimed

    stream.answer_message(ids_of(queued), task_id="task")

    assert claimed == [2, 2, 3]


def test_in_one_process_all_that_was_asked_for_is_claimed_at_once(queued, model_version, fake_classifier, monkeypatch):
    monkeypatch.setattr(stream, "FIRST", 2)
    unclaimed = []

    def look_what_is_unclaimed(pictures):
        for picture in pictures:
            unclaimed.append(Prediction.objects.filter(state=State.QUEUED).count())
            yield from fake_classifier.classify([picture])

    fake_classifier.classify_each = look_what_is_unclaimed

    list(stream.answer_all([row.pk for row in queued], model_version=model_version, task_id="task"))

    assert unclaimed == [0, 0, 0]


def test_while_the_model_works_on_the_last_ones_the_answers_so_far_are_recorded(queued, fake_classifier, monkeypatch):
    monkeypatch.setattr(stream, "FIRST", 2)
    recorded = []

    def take_all_ahead(pictures):
        for picture in list(pictures):
            recorded.append(Prediction.objects.filter(state=State.SUCCEEDED).count())
            yield from fake_classifier.classify([picture])

    fake_classifier.classify_each = take_all_ahead

    stream.answer_message(ids_of(queued), task_id="task")

    assert recorded == [0, 0, 2]
    assert states_of(queued) == [State.SUCCEEDED] * 3


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.RUNNING])
def test_what_is_no_longer_queued_is_left_alone(queued, fake_classifier, alice, state):
    other = prediction_at(state, scan_of(alice))
    before = Prediction.objects.filter(pk=other.pk).values().get()

    stream.answer_message(ids_of([other, *queued]), task_id="task")

    assert Prediction.objects.filter(pk=other.pk).values().get() == before
    assert states_of(queued) == [State.SUCCEEDED] * 3


def test_a_scan_that_was_erased_is_passed_over(queued, fake_classifier):
    queued[1].scan.delete()

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of([queued[0], queued[2]]) == [State.SUCCEEDED] * 2


def test_a_damaged_picture_and_a_refused_one_end_with_their_reason_and_the_others_with_an_answer(
    queued, alice, fake_classifier
):
    queued[0].scan.picture.storage.delete(queued[0].scan.picture.name)
    coloured = prediction_at(State.QUEUED, scan_of(alice, is_colour=True))

    stream.answer_message(ids_of([coloured, *queued]), task_id="task")

    assert list(Prediction.objects.filter(state=State.FAILED).order_by("reason").values_list("pk", "reason")) == [
        (coloured.pk, FailureReason.NOT_A_CHEST_XRAY),
        (queued[0].pk, FailureReason.UNREADABLE_IMAGE),
    ]
    assert states_of(queued[1:]) == [State.SUCCEEDED] * 2


def test_what_the_model_refuses_has_no_answer(queued, fake_classifier):
    fake_classifier.is_chest_xray = False

    stream.answer_message(ids_of(queued), task_id="task")

    assert set(Prediction.objects.values_list("reason", "label")) == {(FailureReason.NOT_A_CHEST_XRAY, "")}


def test_a_picture_that_stops_the_model_is_told_apart_and_the_others_are_answered(queued, fake_classifier):
    classify, seen = fake_classifier.classify, []

    def stops_at_the_second(pictures):
        seen.extend(pictures)
        if len(seen) == 2 or (len(seen) > 2 and pictures[0].tobytes() == seen[1].tobytes()):
            raise RuntimeError("the model stops")
        return classify(pictures)

    for shade, prediction in enumerate(queued):
        darker = worker.read_picture(prediction.scan).point(lambda v, s=shade: v // 2 + 8 * s)
        worker.store_model_input(prediction.scan, canonical_jpeg(darker))
    fake_classifier.classify = stops_at_the_second

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.SUCCEEDED, State.FAILED, State.SUCCEEDED]
    assert Prediction.objects.get(state=State.FAILED).reason == FailureReason.INTERNAL_ERROR


def test_a_message_that_comes_back_from_a_killed_worker_costs_only_the_picture_that_kills_it(
    queued, fake_classifier, monkeypatch, settings
):
    read = worker.read

    def killed_by_the_second(prediction, *, task_id):
        if prediction.pk == queued[1].pk:
            raise KeyboardInterrupt  # as good as a kill: nothing of ours catches it
        return read(prediction, task_id=task_id)

    monkeypatch.setattr(worker, "read", killed_by_the_second)
    for _ in range(settings.PREDICTION_MAX_ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            stream.answer_message(ids_of(queued), task_id="task")
    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.SUCCEEDED, State.FAILED, State.SUCCEEDED]
    assert Prediction.objects.get(state=State.FAILED).reason == FailureReason.WORKER_LOST


def test_what_was_not_claimed_when_the_worker_was_killed_goes_to_a_further_message(
    queued, fake_classifier, monkeypatch, sent
):
    def killed(prediction, *, task_id):
        raise KeyboardInterrupt

    monkeypatch.setattr(stream, "FIRST", 1)
    with monkeypatch.context() as once:
        once.setattr(worker, "read", killed)
        with pytest.raises(KeyboardInterrupt):
            stream.answer_message(ids_of(queued), task_id="task")
    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.SUCCEEDED, State.QUEUED, State.QUEUED]
    assert sent == ids_of(queued[1:])


def test_a_message_that_comes_back_after_its_last_answer_changes_nothing(queued, fake_classifier, sent):
    stream.answer_message(ids_of(queued), task_id="task")
    before = list(Prediction.objects.order_by("pk").values())

    stream.answer_message(ids_of(queued), task_id="task")

    assert list(Prediction.objects.order_by("pk").values()) == before
    assert sent == []


def test_when_the_time_is_over_what_is_left_waits_without_a_lost_attempt(queued, fake_classifier):
    fake_classifier.error = SoftTimeLimitExceeded()

    stream.answer_message(ids_of(queued), task_id="task")

    assert set(Prediction.objects.values_list("state", "attempts", "enqueued_at")) == {(State.QUEUED, 0, None)}


def test_when_the_time_is_over_requeue_stale_sends_what_was_not_claimed_too(queued, fake_classifier, monkeypatch):
    monkeypatch.setattr(stream, "FIRST", 1)
    Prediction.objects.update(enqueued_at=timezone.now())
    fake_classifier.error = SoftTimeLimitExceeded()

    stream.answer_message(ids_of(queued), task_id="task")

    assert set(Prediction.objects.values_list("state", "attempts", "enqueued_at")) == {(State.QUEUED, 0, None)}


def test_what_was_stopped_from_outside_waits_again(queued, monkeypatch):
    monkeypatch.setattr(stream.connection, "close", lambda: None)
    Prediction.objects.update(enqueued_at=timezone.now())
    Prediction.objects.claim_all([row.pk for row in queued[:2]], model_version=queued[0].model_version, task_id="task")

    run_predictions.on_failure(TimeLimitExceeded(), "task", (ids_of(queued),), {}, None)

    assert set(Prediction.objects.values_list("state", "attempts", "enqueued_at")) == {(State.QUEUED, 0, None)}


def test_a_database_that_fails_while_answers_are_recorded_is_no_fault_of_the_model(
    queued, fake_classifier, monkeypatch, caplog, sent
):
    monkeypatch.setattr(stream, "AT_ONCE", 2)
    record_all, calls = stream.record_all, []

    def fail_once(answered, *, task_id):
        calls.append(len(answered))
        if len(calls) == 1:
            raise OperationalError("the connection was cut")
        record_all(answered, task_id=task_id)

    monkeypatch.setattr(stream, "record_all", fail_once)
    with pytest.raises(OperationalError):
        stream.answer_message(ids_of(queued), task_id="task")
    stream.answer_message(ids_of(queued), task_id="task")  # as Celery does: by the same id

    assert "The model stopped" not in caplog.text
    assert states_of(queued) == [State.SUCCEEDED, State.SUCCEEDED, State.QUEUED]
    assert sent == ids_of(queued[2:])


def test_where_the_model_cannot_be_loaded_each_says_so(queued, monkeypatch):
    def refuse(folder, sha256):
        raise CheckpointMissing("no folder")

    monkeypatch.setattr(worker, "loaded_classifier", refuse)

    stream.answer_message(ids_of(queued), task_id="task")

    assert set(Prediction.objects.values_list("reason", flat=True)) == {FailureReason.MODEL_UNAVAILABLE}


def test_a_claim_that_was_lost_meanwhile_keeps_the_other_workers_answer(queued, fake_classifier):
    classify = fake_classifier.classify

    def too_slow(pictures):
        Prediction.objects.filter(pk=queued[1].pk).update(claimed_by="another worker's")
        return classify(pictures)

    fake_classifier.classify = too_slow

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.SUCCEEDED, State.RUNNING, State.SUCCEEDED]
    assert not Prediction.objects.get(pk=queued[1].pk).heatmap


# --- standing back ---


@pytest.fixture
def somebody_comes_at(monkeypatch):
    """Let a person's message wait from the picture of the given number on."""

    def comes(number: int) -> None:
        asked = []
        monkeypatch.setattr(stream.Turn, "is_over", lambda _turn: asked.append(1) or len(asked) > number)

    return comes


@pytest.mark.parametrize("come_to", [0, 1, 2])
def test_as_soon_as_somebody_waits_what_is_left_goes_to_a_further_message(
    queued, fake_classifier, somebody_comes_at, sent, come_to
):
    somebody_comes_at(come_to)

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.SUCCEEDED] * come_to + [State.QUEUED] * (3 - come_to)
    assert sent == ids_of(queued)[come_to:]
    left = Prediction.objects.filter(state=State.QUEUED)
    assert set(left.values_list("attempts", "claimed_by")) == {(0, "")}
    assert left.filter(enqueued_at=None).count() == 0, "requeue_stale need not send them"


def test_the_further_message_answers_the_rest(queued, fake_classifier, somebody_comes_at, sent, monkeypatch):
    somebody_comes_at(1)
    stream.answer_message(ids_of(queued), task_id="task")
    monkeypatch.setattr(stream.Turn, "is_over", lambda _turn: False)

    stream.answer_message(list(sent), task_id="another task")

    assert states_of(queued) == [State.SUCCEEDED] * 3
    assert set(Prediction.objects.values_list("attempts", flat=True)) == {1}


def test_a_message_that_nobody_waits_behind_is_answered_to_its_end(queued, fake_classifier, sent):
    stream.answer_message(ids_of(queued), task_id="task")

    assert sent == []


@pytest.mark.parametrize(
    "error", [CheckpointMissing("no folder"), RuntimeError("the model stops")], ids=["load", "stop"]
)
def test_one_by_one_too_what_is_left_goes_to_a_further_message(queued, fake_classifier, monkeypatch, sent, error):
    def refuse(*_):
        raise error

    if isinstance(error, CheckpointMissing):
        monkeypatch.setattr(worker, "loaded_classifier", refuse)
    else:
        fake_classifier.classify = refuse
    answer = worker.answer
    ended: list[str] = []

    def answer_one(prediction_id, *, task_id):
        answer(prediction_id, task_id=task_id)
        ended.append(prediction_id)

    monkeypatch.setattr(worker, "answer", answer_one)
    monkeypatch.setattr(stream.Turn, "is_over", lambda _turn: len(ended) == 2)

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.FAILED, State.FAILED, State.QUEUED]
    assert sent == ids_of(queued[2:])


def test_what_is_left_when_the_model_stops_after_the_turn_goes_to_a_further_message_too(
    queued, fake_classifier, sent, monkeypatch
):
    taken: list[object] = []

    def stops_with_the_first_in_hand(pictures):
        taken.extend(pictures)
        raise RuntimeError("the model stops")
        yield

    fake_classifier.classify_each = stops_with_the_first_in_hand
    # Over from the second picture on.
    asked: list[int] = []
    monkeypatch.setattr(stream.Turn, "is_over", lambda _turn: asked.append(1) or len(asked) > 1)

    stream.answer_message(ids_of(queued), task_id="task")

    assert len(taken) == 1
    assert states_of(queued) == [State.SUCCEEDED, State.QUEUED, State.QUEUED]
    assert sent == ids_of(queued[1:])


def test_each_message_gets_on_although_loading_the_model_takes_longer_than_a_turn_and_fails(queued, monkeypatch, sent):
    def refuse(folder, sha256):
        raise CheckpointMissing("no folder")

    monkeypatch.setattr(worker, "loaded_classifier", refuse)
    monkeypatch.setattr(queues, "LONGEST_SECONDS", 0)

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.FAILED, State.QUEUED, State.QUEUED]
    assert sent == ids_of(queued[1:])


def test_a_turn_begins_when_the_model_is_loaded(queued, fake_classifier, sent, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(queues, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def load(folder, sha256):
        clock[0] += 2 * queues.LONGEST_SECONDS
        return fake_classifier

    monkeypatch.setattr(worker, "loaded_classifier", load)

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.SUCCEEDED] * 3


def test_what_a_killed_worker_held_waits_by_itself_as_soon_as_somebody_waits(
    queued, fake_classifier, monkeypatch, sent
):
    Prediction.objects.claim_all([row.pk for row in queued], model_version=queued[0].model_version, task_id="task")
    monkeypatch.setattr(stream.Turn, "is_over", lambda _turn: True)

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.SUCCEEDED, State.QUEUED, State.QUEUED]
    left = Prediction.objects.filter(state=State.QUEUED)
    assert set(left.values_list("attempts", "enqueued_at", "claimed_by")) == {(1, None, "")}
    assert sent == [], "requeue_stale sends each by itself"


def test_a_slow_worker_gives_the_rest_to_a_further_message_after_some_seconds(
    queued, fake_classifier, sent, monkeypatch
):
    monkeypatch.setattr(queues, "LONGEST_SECONDS", 0)

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.QUEUED] * 3
    assert sent == ids_of(queued)


def test_half_of_the_time_ends_a_turn_before_the_limit_does(queued, fake_classifier, sent, settings):
    settings.PREDICTION_SOFT_TIME_LIMIT = 0

    stream.answer_message(ids_of(queued), task_id="task")

    assert states_of(queued) == [State.QUEUED] * 3
    assert sent == ids_of(queued)


# --- asking for several ---


def test_several_scans_are_asked_for_by_one_message(alice, model_version, sent, django_capture_on_commit_callbacks):
    scans = [scan_of(alice) for _ in range(3)]

    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        asked = services.request_predictions(scans=scans, model_version=model_version, trigger=Trigger.COMMAND)

    assert len(callbacks) == 1
    assert sent == ids_of(asked)
    for scan, prediction in zip(scans, asked, strict=True):
        scan.refresh_from_db()
        assert scan.latest_prediction == prediction
        assert (prediction.scan, prediction.trigger) == (scan, Trigger.COMMAND)
        assert prediction.enqueued_at <= timezone.now()


def test_one_that_is_asked_for_already_is_given_and_not_asked_for_twice(alice, model_version, sent):
    open_one = prediction_at(State.QUEUED, scan_of(alice))
    scans = [scan_of(alice), open_one.scan]

    asked = services.request_predictions(scans=scans, model_version=model_version, trigger=Trigger.COMMAND)

    assert open_one in asked
    assert Prediction.objects.count() == len(asked) == 2


def test_another_version_is_asked_beside_an_open_request(alice, model_version):
    open_one = prediction_at(State.QUEUED, scan_of(alice), model_version)
    other = model_version_of(name="other")

    (asked,) = services.request_predictions(
        scans=[open_one.scan], model_version=other, trigger=Trigger.COMMAND, enqueue=False
    )

    assert (asked.model_version, asked.enqueued_at) == (other, None)


def test_a_scan_that_was_erased_meanwhile_is_not_asked_for(model_version):
    scans = [scan_of(person("alice")) for _ in range(2)]
    type(scans[0]).objects.filter(pk=scans[0].pk).delete()

    asked = services.request_predictions(
        scans=scans, model_version=model_version, trigger=Trigger.COMMAND, enqueue=False
    )

    assert [prediction.scan for prediction in asked] == scans[1:]
