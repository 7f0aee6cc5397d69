"""The batch on its way: what is told, and how it goes on after anything that stops it."""

import gc
import io
import sys
import weakref

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models.signals import post_init
from django.test.utils import CaptureQueriesContext
from kombu.exceptions import OperationalError as BrokerError

from diagnosis import batch, services
from diagnosis.files import model_input_path
from diagnosis.management.commands import reprocess_scans
from diagnosis.models import Prediction, Scan
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tests.factories import answer_queued, model_version_of, prediction_at, scan_of
from diagnosis.tests.reprocessing import failing, reprocess
from ml.checkpoint import CheckpointMissing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Each test is one transaction; what is sent at its commit is sent at once instead."""
    monkeypatch.setattr("django.db.transaction.on_commit", lambda send, **_options: send())


@pytest.fixture
def workers(run_tasks_inline):
    """Answer what is sent, as workers would; the fake classifier decides how."""
    return run_tasks_inline


@pytest.fixture
def between_looks(monkeypatch):
    """Let the test do something each time the command waits."""

    def install(action):
        monkeypatch.setattr(batch.time, "sleep", lambda _seconds: action())

    return install


# --- through the queue ---


def test_a_second_run_has_nothing_left_to_do(alice, model_version, workers):
    for _ in range(3):
        scan_of(alice)
    reprocess()

    assert "0 scans to answer" in reprocess()
    assert Prediction.objects.count() == 3


def test_failures_are_counted_by_reason_and_end_the_command_with_an_error(alice, model_version, workers):
    broken = scan_of(alice)
    broken.picture.storage.delete(broken.picture.name)
    scan_of(alice)

    reason = failing()

    assert "1 answered" in reason
    assert "1 failed (1 UNREADABLE_IMAGE)" in reason


def test_a_refusal_is_counted_apart_and_is_no_failure(alice, model_version, workers):
    scan_of(alice, is_colour=True)
    scan_of(alice)

    told = reprocess()

    assert "1 answered (0 NORMAL, 1 PNEUMONIA), 1 refused as no chest X-ray." in told
    assert "failed" not in told


def test_refusals_beside_a_failure_are_not_counted_as_failed(alice, model_version, workers):
    scan_of(alice, is_colour=True)
    broken = scan_of(alice)
    broken.picture.storage.delete(broken.picture.name)

    assert "0 answered (0 NORMAL, 0 PNEUMONIA), 1 refused as no chest X-ray, 1 failed (1 UNREADABLE_IMAGE)" in failing()


@pytest.mark.parametrize("way", [(), ("--inline",), ("--no-wait",)], ids=["queue", "inline", "no wait"])
def test_what_a_version_refused_it_is_not_asked_again(alice, model_version, workers, way):
    prediction_at(State.FAILED, scan_of(alice), reason=FailureReason.NOT_A_CHEST_XRAY)

    told = reprocess(*way)

    assert "0 scans to answer" in told
    assert "1 skipped as already answered or refused by it" in told
    assert Prediction.objects.count() == 1


def test_another_version_is_asked_about_what_the_first_one_refused(alice, workers):
    prediction_at(State.FAILED, scan_of(alice), model_version_of(name="first"), reason=FailureReason.NOT_A_CHEST_XRAY)
    model_version_of(name="second", active=True)

    assert "1 answered" in reprocess()


def test_a_second_run_asks_again_for_what_failed(alice, model_version, workers):
    scan_of(alice)
    workers.error = RuntimeError("a bug")
    failing()
    workers.error = None

    assert "1 answered" in reprocess()
    assert [row.state for row in Prediction.objects.order_by("requested_at")] == [State.FAILED, State.SUCCEEDED]


def test_only_so_many_wait_at_a_time(alice, model_version, sent, fake_classifier, between_looks):
    for _ in range(7):
        scan_of(alice)
    waiting = []

    def work():
        waiting.append(Prediction.objects.open().count())
        answer_queued()

    between_looks(work)
    told = reprocess("--ahead", "3")

    assert waiting == [3, 3, 1]
    assert "7 answered" in told


def test_an_interrupted_run_says_so_and_the_next_one_goes_on(
    alice, model_version, sent, fake_classifier, between_looks
):
    for _ in range(5):
        scan_of(alice)

    def interrupt():
        raise KeyboardInterrupt

    between_looks(interrupt)
    out = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("reprocess_scans", "--ahead", "2", stdout=out)

    assert ended.value.code == 130
    assert "Run the same command again" in out.getvalue()
    assert Prediction.objects.open().count() == 2

    between_looks(answer_queued)
    told = reprocess()

    assert "5 scans to answer (2 of them already asked for" in told
    assert "5 answered" in told
    assert Prediction.objects.filter(state=State.SUCCEEDED).count() == Prediction.objects.count() == 5


def test_an_interrupted_run_over_failed_scans_is_followed_too(alice, sent, fake_classifier, between_looks):
    failed = prediction_at(State.FAILED, scan_of(alice))
    services.request_prediction(scan=failed.scan, model_version=failed.model_version, trigger=Trigger.COMMAND)

    between_looks(answer_queued)

    assert "1 answered" in reprocess("--state", "FAILED")


def test_without_a_worker_it_gives_up_at_last_and_loses_nothing(alice, model_version, sent, settings, between_looks):
    settings.PREDICTION_STALE_SECONDS = 0
    between_looks(lambda: None)
    scan_of(alice)

    reason = failing()

    assert "No answer" in reason
    assert "requeue_stale_predictions" in reason
    assert Prediction.objects.get().state == State.QUEUED


def test_while_the_broker_is_away_it_stops_at_the_first_message_and_keeps_what_it_asked(
    alice, model_version, monkeypatch
):
    def refuse(_args, **_options):
        raise BrokerError("connection refused")

    monkeypatch.setattr("diagnosis.tasks.run_predictions.apply_async", refuse)
    for _ in range(4):
        scan_of(alice)

    assert "broker is away" in failing("--ahead", "3")
    assert list(Prediction.objects.values_list("state", "enqueued_at")) == [(State.QUEUED, None)] * 3


def test_a_model_that_no_worker_can_load_stops_the_batch_before_all_scans_fail(alice, model_version, workers):
    workers.error = CheckpointMissing("no folder")
    for _ in range(batch.MODEL_UNAVAILABLE_LIMIT + 3):
        scan_of(alice)

    assert "can't load" in failing("--ahead", "1")
    assert Prediction.objects.filter(reason=FailureReason.MODEL_UNAVAILABLE).count() == batch.MODEL_UNAVAILABLE_LIMIT


def test_a_scan_that_is_deleted_meanwhile_is_no_failure(alice, model_version, sent, between_looks):
    scan_of(alice)
    between_looks(Scan.objects.all().delete)

    assert "1 deleted meanwhile" in reprocess()


def test_a_scan_that_is_deleted_before_it_is_asked_for_is_left_out(alice, model_version, workers, monkeypatch):
    scan_of(alice)
    gone = scan_of(alice)
    ask = services.request_predictions

    def too_late(**what):
        gone.delete()
        return ask(**what)

    monkeypatch.setattr(services.predictions, "request_predictions", too_late)

    assert "1 answered" in reprocess()


def test_no_wait_only_puts_them_into_the_queue(alice, model_version, sent):
    for _ in range(3):
        scan_of(alice)

    told = reprocess("--no-wait", "--limit", "2")

    assert len(sent) == 2
    assert "2 scans are in the queue" in told


# --- in this process ---


def test_inline_answers_here_and_sends_nothing(alice, model_version, fake_classifier, sent):
    for _ in range(3):
        scan_of(alice)

    told = reprocess("--inline", "--limit", "2")

    assert "2 answered" in told
    assert len(fake_classifier.pictures) == 2
    assert sent == []


def test_inline_interrupted_in_the_middle_puts_its_predictions_back_and_the_next_run_goes_on(
    alice, model_version, fake_classifier, sent
):
    for _ in range(2):
        scan_of(alice)
    fake_classifier.error = KeyboardInterrupt()
    with pytest.raises(SystemExit) as ended:
        reprocess("--inline")

    assert ended.value.code == 130
    # The second one was begun while the model had the first.
    assert [row.state for row in Prediction.objects.all()] == [State.QUEUED] * 2

    fake_classifier.error = None
    assert "2 answered" in reprocess("--inline")
    assert Prediction.objects.filter(state=State.SUCCEEDED).count() == Prediction.objects.count() == 2


def test_inline_leaves_alone_what_a_worker_reads(alice, fake_classifier, sent):
    read = prediction_at(State.RUNNING, scan_of(alice), trigger=Trigger.COMMAND)

    reprocess("--inline")

    read.refresh_from_db()
    assert read.state == State.RUNNING
    assert fake_classifier.pictures == []


def test_inline_counts_what_a_worker_was_faster_to_claim(alice, model_version, fake_classifier, monkeypatch):
    scan_of(alice)
    ask = services.request_predictions

    def lose_the_race(**what):
        asked = ask(**what)
        Prediction.objects.claim(asked[0].pk, task_id="a worker's")
        return asked

    def other_worker_answers():
        held = {"prediction_id": Prediction.objects.get().pk, "task_id": "a worker's"}
        Prediction.objects.succeed(**held, probability=0.1, threshold=0.5, milliseconds=1)

    monkeypatch.setattr(services.predictions, "request_predictions", lose_the_race)
    monkeypatch.setattr(batch.time, "sleep", lambda _seconds: other_worker_answers())

    assert "1 answered (1 NORMAL" in reprocess("--inline")


def test_inline_with_a_model_that_can_not_be_loaded_asks_for_nothing(alice, model_version, monkeypatch):
    from diagnosis import worker

    def refuse(folder, sha256):
        raise CheckpointMissing(f"There is no checkpoint in {folder}")

    monkeypatch.setattr(worker, "loaded_classifier", refuse)
    scan_of(alice)

    assert "There is no checkpoint" in failing("--inline")
    assert not Prediction.objects.exists()


@pytest.mark.parametrize("way", [("--inline",), ("--ahead", "4")], ids=["inline", "queue"])
def test_neither_memory_nor_queries_of_a_scan_grow_with_the_batch(alice, model_version, workers, monkeypatch, way):
    monkeypatch.setattr(batch, "PAGE", 16)
    alive, most, peaks = weakref.WeakSet(), [0], []

    def born(instance, **_signal):
        alive.add(instance)
        if len(alive) > most[-1] + 40:
            # A scan and its latest prediction name each other: only the collector parts them.
            gc.collect()
            most.append(len(alive))

    def queries(count: int) -> int:
        """Answer so many scans; give the number of queries."""
        kept = scan_of(alice)
        more = [
            Scan(
                owner=alice,
                picture=kept.picture.name,
                sha256=f"{number:064}",
                original_name="x",
                width=1,
                height=1,
                model_input=model_input_path(kept, ""),
            )
            for number in range(count - 1)
        ]
        Scan.objects.bulk_create(more)
        del more
        most[:] = [0]
        # What an earlier call deleted lives on, until a commit that never comes here.
        alive.clear()
        with CaptureQueriesContext(connection) as captured:
            assert f"{count} answered" in reprocess(*way)
        peaks.extend(most)
        Prediction.objects.all().delete()
        Scan.objects.all().delete()
        return len(captured)

    # What is there already need not be looked through at each collection.
    gc.freeze()
    post_init.connect(born)
    try:
        fixed, few, many = queries(32), queries(64), queries(160)
    finally:
        post_init.disconnect(born)
        gc.unfreeze()

    assert (many - few) / 96 <= (few - fixed) / 32
    assert max(peaks) < 130, "a page of scans and what is in work, but nothing that was answered"


# --- progress ---


def test_progress_in_a_log_is_plain_lines(alice, model_version, workers, monkeypatch, capsys):
    monkeypatch.setattr(reprocess_scans, "PLAIN_LINE_SECONDS", -1)
    scan_of(alice)

    reprocess()

    assert "1 of 1 scans" in capsys.readouterr().err


def test_progress_on_a_terminal_is_a_bar(alice, model_version, workers, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    scan_of(alice)

    reprocess()

    assert "100%" in terminal.getvalue()
    assert "1/1" in terminal.getvalue()


def test_a_long_silence_is_told_once(alice, model_version, sent, settings, between_looks, monkeypatch, capsys):
    monkeypatch.setattr(reprocess_scans, "SILENCE_SECONDS", 0)
    looks = iter(range(3))
    scan_of(alice)
    between_looks(lambda: next(looks, None) is None and Scan.objects.all().delete())

    reprocess()

    assert capsys.readouterr().err.count("Is a worker running?") == 1
