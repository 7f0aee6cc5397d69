"""What people ask for, and what is never lost or left behind."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Event

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import get_user_model
from django.core.files.storage import FileSystemStorage
from django.db import DatabaseError, connection
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from diagnosis import intake, refusals, services
from diagnosis.models import Label, ModelVersion, Prediction, Scan
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(monkeypatch) -> list[str]:
    """Collect the prediction ids that are given to the broker."""
    ids: list[str] = []
    monkeypatch.setattr("diagnosis.tasks.run_prediction.apply_async", lambda args, **_options: ids.extend(args))
    return ids


@pytest.fixture
def broker_away(monkeypatch):
    def refuse(_args, **_options):
        raise BrokerError("connection refused")

    monkeypatch.setattr("diagnosis.tasks.run_prediction.apply_async", refuse)


def a_file(seed: int = 1) -> io.BytesIO:
    return io.BytesIO(encoded(chest_like(300, 260, seed=seed), "JPEG"))


def submit(owner, file=None, **changes) -> services.Submission:
    return services.submit_scan(owner=owner, upload=file or a_file(), original_name="chest.jpg", **changes)


def stored_files() -> list[str]:
    return [name for _, _, names in os.walk(django_settings.MEDIA_ROOT) for name in names]


# --- submit_scan ---


def test_an_upload_is_stored_and_asked_for_when_the_transaction_commits(
    alice, model_version, sent, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        scan = submit(alice, reference="left ward").scan
        assert sent == []

    prediction = Prediction.objects.get(scan=scan)
    assert sent == [str(prediction.pk)]
    assert scan.latest_prediction == prediction
    assert (prediction.state, prediction.trigger, prediction.requested_by) == (State.QUEUED, Trigger.UPLOAD, alice)
    assert (scan.reference, scan.width, scan.height) == ("left ward", 300, 260)


def test_the_same_file_again_leads_to_the_same_scan(alice, model_version, sent):
    first, second = submit(alice), submit(alice)

    assert (first.is_new, second.is_new) == (True, False)
    assert first.scan == second.scan
    assert len(stored_files()) == 3
    assert Prediction.objects.count() == 1


def test_two_owners_of_the_same_file_have_a_scan_each(alice, bob, model_version, sent):
    assert submit(alice).scan != submit(bob).scan


def test_a_refused_file_leaves_nothing_behind(alice, model_version, sent):
    with pytest.raises(refusals.Refusal):
        submit(alice, io.BytesIO(b"this is a letter, not a picture"))

    assert stored_files() == []
    assert not Scan.objects.exists()


def test_a_fault_of_the_database_leaves_no_files_behind(alice, model_version, sent, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise DatabaseError("disk full")

    monkeypatch.setattr(Scan, "save", refuse)
    with pytest.raises(DatabaseError):
        submit(alice)

    assert stored_files() == []


def test_a_fault_between_the_files_leaves_none(alice, model_version, sent, monkeypatch):
    save = FileSystemStorage.save

    def refuse_the_second(storage, *args, **named):
        if stored_files():
            raise OSError("no space left on device")
        return save(storage, *args, **named)

    monkeypatch.setattr(FileSystemStorage, "save", refuse_the_second)
    with pytest.raises(services.NotStored, match="Try again"):
        submit(alice)

    assert stored_files() == []
    assert not Scan.objects.exists()


@pytest.mark.parametrize("fault", [MemoryError(), OSError("encoder error -2")], ids=["memory", "encoder"])
def test_a_picture_that_cannot_be_compressed_leaves_no_file_and_is_no_fault_of_the_storage(
    alice, model_version, sent, monkeypatch, fault
):
    def fail(grey):
        raise fault

    monkeypatch.setattr("diagnosis.intake._png", fail)
    with pytest.raises(type(fault)) as caught:
        submit(alice)

    assert caught.value is fault
    assert stored_files() == []
    assert not Scan.objects.exists()


def test_the_small_files_are_stored_while_the_picture_is_compressed(alice, model_version, sent, monkeypatch):
    save, compress, is_stored = FileSystemStorage.save, intake._png, Event()

    def tell(storage, *args, **named):
        name = save(storage, *args, **named)
        if len(stored_files()) == 2:
            is_stored.set()
        return name

    def wait(grey):
        assert is_stored.wait(20)
        return compress(grey)

    monkeypatch.setattr(FileSystemStorage, "save", tell)
    monkeypatch.setattr(intake, "_png", wait)
    submit(alice)

    assert len(stored_files()) == 3


def test_without_an_active_model_the_scan_is_kept_and_waits(alice, sent):
    scan = submit(alice).scan

    assert scan.latest_prediction is None
    assert sent == []


def test_while_the_broker_is_away_an_upload_is_accepted_and_waits(
    alice, model_version, broker_away, django_capture_on_commit_callbacks
):
    with django_capture_on_commit_callbacks(execute=True):
        scan = submit(alice).scan

    scan.latest_prediction.refresh_from_db()
    assert (scan.latest_prediction.state, scan.latest_prediction.enqueued_at) == (State.QUEUED, None)


def test_the_name_that_a_browser_sends_is_cut_to_its_last_part(alice, sent):
    submission = services.submit_scan(owner=alice, upload=a_file(), original_name="../../etc/" + "x" * 300 + ".jpg")

    assert submission.scan.original_name == "x" * 251 + ".jpg"


# --- request_prediction, reprocess ---


def test_a_second_request_while_one_is_open_is_the_same_one(alice, model_version, sent):
    scan = scan_of(alice)

    first, second = (
        services.request_prediction(scan=scan, model_version=model_version, trigger=Trigger.ADMIN) for _ in range(2)
    )

    assert first == second
    assert Prediction.objects.count() == 1


def test_a_request_for_a_scan_that_was_erased_meanwhile_leaves_nothing(alice, model_version, sent):
    scan = scan_of(alice)
    Scan.objects.all().delete()

    with pytest.raises(Scan.DoesNotExist):
        services.request_prediction(scan=scan, model_version=model_version, trigger=Trigger.ADMIN)

    assert not Prediction.objects.exists()
    assert list(services.reprocess(scans=[scan], model_version=model_version, trigger=Trigger.ADMIN)) == []


def test_a_request_beside_one_that_is_just_finished_becomes_a_new_one(alice, model_version, sent, monkeypatch):
    prediction = prediction_at(State.RUNNING, scan=scan_of(alice), model_version=model_version)
    look = Prediction.objects.open

    def finish_first():
        Prediction.objects.succeed(
            prediction.pk, task_id=prediction.claimed_by, probability=0.1, threshold=0.5, milliseconds=1
        )
        return look()

    monkeypatch.setattr(Prediction.objects, "open", finish_first)

    new = services.request_prediction(scan=prediction.scan, model_version=model_version, trigger=Trigger.ADMIN)

    assert new != prediction
    assert new.state == State.QUEUED


def test_reprocessing_appends_and_the_old_answer_stays(alice, model_version, sent):
    old = prediction_at(State.SUCCEEDED, scan=scan_of(alice), model_version=model_version, probability=0.9)

    ((new,),) = services.reprocess(scans=[old.scan], model_version=model_version, trigger=Trigger.ADMIN)

    old.refresh_from_db()
    assert (old.state, old.probability, new.state) == (State.SUCCEEDED, 0.9, State.QUEUED)
    assert Scan.objects.get(pk=old.scan_id).latest_prediction == new


def test_the_lists_know_of_each_prediction_whose_it_is_and_of_each_scan_which_is_the_latest(alice, bob, model_version):
    other = model_version_of(name="other")
    scans = [scan_of(owner, created_at=timezone.now() - timedelta(days=3)) for owner in (alice, bob)]
    for scan in scans:
        for version in (model_version, other, model_version):
            prediction_at(State.SUCCEEDED, scan, version)

    for prediction in Prediction.objects.select_related("scan"):
        scan = prediction.scan
        assert (prediction.owner_id, prediction.scan_created_at) == (scan.owner_id, scan.created_at)
        assert prediction.is_latest == (scan.latest_prediction_id == prediction.pk)
    assert Prediction.objects.filter(is_latest=True).count() == 2


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_of_many_requests_at_the_same_moment_one_is_the_latest(alice, sent):
    scan, versions = scan_of(alice), [model_version_of(name=f"{number}") for number in range(6)]
    together = Barrier(len(versions))

    def ask(version):
        together.wait()
        try:
            services.request_prediction(scan=scan, model_version=version, trigger=Trigger.COMMAND, enqueue=False)
        finally:
            connection.close()

    with ThreadPoolExecutor(len(versions)) as people:
        list(people.map(ask, versions))

    assert Prediction.objects.count() == len(versions)
    scan.refresh_from_db()
    assert Prediction.objects.get(is_latest=True) == scan.latest_prediction


# --- requeue_stale ---


def test_a_lost_prediction_is_sent_again(sent):
    prediction = prediction_at(State.RUNNING)
    Prediction.objects.update(claimed_at=timezone.now() - timedelta(hours=1))

    assert services.requeue_stale() == services.Requeued(sent=1, given_up=0)

    prediction.refresh_from_db()
    assert sent == [str(prediction.pk)]
    assert (prediction.state, prediction.claimed_by) == (State.QUEUED, "")


def test_a_fresh_prediction_is_left_alone(sent):
    prediction = prediction_at(State.RUNNING)

    assert services.requeue_stale() == services.Requeued(sent=0, given_up=0)

    prediction.refresh_from_db()
    assert prediction.state == State.RUNNING


def test_a_second_requeue_right_after_sends_nothing_twice(sent):
    prediction_at(State.RUNNING)
    Prediction.objects.update(claimed_at=timezone.now() - timedelta(hours=1))

    services.requeue_stale()
    services.requeue_stale()

    assert len(sent) == 1


def test_a_prediction_that_was_lost_too_often_is_given_up(sent, settings):
    prediction = prediction_at(State.RUNNING)
    Prediction.objects.update(claimed_at=timezone.now() - timedelta(hours=1), attempts=settings.PREDICTION_MAX_ATTEMPTS)

    assert services.requeue_stale() == services.Requeued(sent=0, given_up=1)

    prediction.refresh_from_db()
    assert (prediction.state, prediction.reason) == (State.FAILED, FailureReason.WORKER_LOST)
    assert sent == []


def test_while_the_broker_is_away_everything_stays_to_be_sent_later(broker_away):
    for _ in range(2):
        prediction_at(State.RUNNING)
    Prediction.objects.update(claimed_at=timezone.now() - timedelta(hours=1))

    assert services.requeue_stale() == services.Requeued(sent=0, given_up=0, unsent=2)

    assert Prediction.objects.filter(state=State.QUEUED, enqueued_at=None).count() == 2


# --- queues ---


@pytest.fixture
def queues(monkeypatch) -> list[tuple[str, str]]:
    """Collect what is given to the broker: prediction ids with the queues they wait in."""
    sent: list[tuple[str, str]] = []
    send = "diagnosis.tasks.run_prediction.apply_async"
    monkeypatch.setattr(send, lambda args, *, queue: sent.append((args[0], queue)))
    return sent


@pytest.mark.parametrize(
    ("trigger", "queue"),
    [
        (Trigger.UPLOAD, "people"),
        (Trigger.ADMIN, "reprocess"),
        (Trigger.API, "people"),
        (Trigger.COMMAND, "reprocess"),
    ],
)
def test_people_and_batches_wait_in_queues_of_their_own_also_after_a_loss(
    alice, model_version, queues, django_capture_on_commit_callbacks, trigger, queue
):
    with django_capture_on_commit_callbacks(execute=True):
        prediction = services.request_prediction(scan=scan_of(alice), model_version=model_version, trigger=trigger)
    Prediction.objects.update(enqueued_at=timezone.now() - timedelta(hours=1))

    services.requeue_stale()

    assert queues == [(str(prediction.pk), queue)] * 2


def test_a_limited_requeue_begins_with_what_was_never_sent_and_goes_on_the_next_time(sent):
    hours = {"longest": 3, "shorter": 2, "never": None}
    rows = {
        name: prediction_at(State.QUEUED, enqueued_at=ago and timezone.now() - timedelta(hours=ago))
        for name, ago in hours.items()
    }

    assert services.requeue_stale(limit=2) == services.Requeued(sent=2, given_up=0)
    assert services.requeue_stale(limit=2) == services.Requeued(sent=1, given_up=0)

    assert sent == [str(rows[name].pk) for name in ("never", "longest", "shorter")]


# --- reviews, erasing ---


def test_a_review_stands_beside_the_answer_and_never_changes_it(rita):
    prediction = prediction_at(State.SUCCEEDED, probability=0.9)

    review = services.record_review(prediction=prediction, reviewer=rita, label=Label.NORMAL, note="rotated")

    prediction.refresh_from_db()
    assert not review.agrees
    assert prediction.label == Label.PNEUMONIA


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.FAILED])
def test_what_has_no_answer_can_not_be_reviewed(rita, state):
    with pytest.raises(services.NothingToReview):
        services.record_review(prediction=prediction_at(state), reviewer=rita, label=Label.NORMAL)


def test_erasing_a_scan_removes_its_rows_and_files(alice, model_version, sent, django_capture_on_commit_callbacks):
    scan = submit(alice).scan
    assert len(stored_files()) == 3

    with django_capture_on_commit_callbacks(execute=True):
        services.erase_scan(scan=scan, erased_by=None)

    assert stored_files() == []
    assert not Scan.objects.exists()
    assert not Prediction.objects.exists()


def test_the_files_go_too_when_an_account_is_deleted(alice, model_version, sent, django_capture_on_commit_callbacks):
    submit(alice)

    with django_capture_on_commit_callbacks(execute=True):
        get_user_model().objects.get(pk=alice.pk).delete()

    assert stored_files() == []


# --- model versions ---


def test_only_one_model_version_is_active(model_version):
    better = model_version_of(sha256="b" * 64)

    services.activate_model(model_version=better)

    assert list(ModelVersion.objects.filter(is_active=True)) == [better]
