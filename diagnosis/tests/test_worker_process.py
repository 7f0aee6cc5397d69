"""A real worker process, a real PostgreSQL, a real Redis, a small real VGG19: every answer arrives, and once.

A picture that is a named pipe holds the worker in the middle of its task for as long as a test needs.
"""

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection

from diagnosis import services
from diagnosis.dashboard import live
from diagnosis.models import Label, ModelVersion, Prediction, Scan
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tasks import run_prediction
from diagnosis.tests.factories import active_model_version, model_version_of, person, scan_of, stored_files
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tests.servers import PROJECT, free_port, wait_for
from ml.checkpoint import METADATA_FILE, WEIGHTS_FILE

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

HARD_TIME_LIMIT = 5
# Long: a busy machine takes its time to load TensorFlow.
DEADLINE_SECONDS = 240


class Worker:
    """The worker as it runs in production; each start is a process group of its own."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.processes: list[subprocess.Popen] = []

    def start(self, *options: str) -> None:
        """Start it and wait until it takes messages."""
        command = [sys.executable, "manage.py", "run_worker", *options]
        environment = os.environ | self.environment
        with (self.folder / f"log-{len(self.processes) + 1}").open("w") as log:
            started = subprocess.Popen(
                command, cwd=PROJECT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.processes.append(started)
        wait_for(lambda: " ready." in self.log(), DEADLINE_SECONDS)

    def log(self, start: int = 0) -> str:
        """Give what the worker of the last or of another `start` (counted from 1) has written."""
        return (self.folder / f"log-{start or len(self.processes)}").read_text()

    def child(self) -> int:
        """Give the id of the process that answers: the only child."""
        parent = self.processes[-1].pid
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])

    def kill(self) -> None:
        """Kill the process that receives the messages, as kill -9 does."""
        self.processes[-1].kill()
        self.processes[-1].wait()

    def kill_all(self) -> None:
        """Kill whatever is left of every worker that was started."""
        for process in self.processes:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            finally:
                process.wait()


def in_state(prediction: Prediction, *states: State) -> Prediction:
    """Wait until the prediction is in one of `states`."""

    def arrived() -> bool:
        prediction.refresh_from_db()
        return prediction.state in states

    wait_for(arrived, DEADLINE_SECONDS)
    return prediction


def finished(prediction: Prediction) -> Prediction:
    return in_state(prediction, State.SUCCEEDED, State.FAILED)


@pytest.fixture(scope="module")
def shared_media(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("media")


@pytest.fixture(autouse=True)
def media(settings, shared_media) -> Path:
    """Store pictures where the worker looks for them."""
    settings.MEDIA_ROOT = shared_media
    return shared_media


@pytest.fixture(autouse=True)
def short_time_limits(monkeypatch) -> None:
    """The message carries the limits of who sends it, which Celery remembers from the first message on."""
    monkeypatch.setattr(run_prediction, "_exec_options", None)
    monkeypatch.setattr(run_prediction, "time_limit", HARD_TIME_LIMIT)
    monkeypatch.setattr(run_prediction, "soft_time_limit", 0.9 * HARD_TIME_LIMIT)


@pytest.fixture(scope="module")
def running_worker(
    django_db_setup, django_db_blocker, tiny_checkpoint, shared_media, celery_app, tmp_path_factory
) -> Iterator[Worker]:
    """One worker for all tests here; a test that kills it leaves another one."""
    folder = tmp_path_factory.mktemp("worker")
    database = connection.settings_dict
    environment = {
        "DATABASE_URL": "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database),
        "MEDIA_ROOT": str(shared_media),
        "VAR_DIR": str(folder),
        "PREDICTION_HARD_TIME_LIMIT": str(HARD_TIME_LIMIT),
        "DATABASE_CONNECTION_SECONDS": "3600",  # so that none ends of age
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    celery_app.control.purge()
    worker = Worker(environment, folder)
    try:
        with django_db_blocker.unblock():
            # It loads the active version before its first task.
            services.register_model(folder=tiny_checkpoint, activate=True)
            worker.start()
        yield worker
    finally:
        worker.kill_all()


@pytest.fixture
def worker(running_worker, model) -> Iterator[Worker]:
    """The running worker; its log is shown when the test fails."""
    yield running_worker
    print(running_worker.log()[-5000:])


@pytest.fixture
def model(db, tiny_checkpoint) -> ModelVersion:
    """The active version, which the worker has loaded."""
    return services.register_model(folder=tiny_checkpoint, activate=True)[0]


def asked(scan: Scan, version: ModelVersion | None = None, trigger: Trigger = Trigger.UPLOAD) -> Prediction:
    """Ask through the queue."""
    return services.request_prediction(scan=scan, model_version=version or active_model_version(), trigger=trigger)


@contextmanager
def held_in_mid_task() -> Iterator[Prediction]:
    """Give a prediction whose picture the worker is reading right now, and can't finish.

    At the end of the block the pipe ends: who still reads it finds that it is no picture.
    """
    scan = scan_of(person("alice"))
    path = Path(scan.picture.path)
    path.unlink()
    os.mkfifo(path)
    prediction = asked(scan)

    def writer() -> int:
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            # Nobody reads yet.
            return 0

    pipe = wait_for(writer, DEADLINE_SECONDS)
    try:
        yield in_state(prediction, State.RUNNING)
    finally:
        os.close(pipe)


def put_the_picture_back(scan: Scan) -> None:
    """Put the picture where the pipe was; who reads the pipe goes on waiting."""
    path = Path(scan.picture.path)
    whole = path.with_suffix(".new")
    whole.write_bytes(stored_files()[0])
    whole.replace(path)


def assert_answered_once(prediction: Prediction) -> None:
    finished(prediction)
    assert (prediction.state, prediction.reason) == (State.SUCCEEDED, "")
    assert 0 <= prediction.probability <= 1
    assert Prediction.objects.filter(scan=prediction.scan_id).count() == 1


def test_an_upload_is_answered(worker):
    upload = io.BytesIO(encoded(chest_like(400, 300), "JPEG"))

    scan = services.submit_scan(owner=person("alice"), upload=upload, original_name="chest.jpg").scan

    prediction = scan.latest_prediction
    assert_answered_once(prediction)
    assert prediction.label in Label.values
    assert prediction.attempts == 1
    assert prediction.milliseconds > 0


def sessions_of_the_worker() -> list[int]:
    """Give the processes of PostgreSQL that serve somebody else than this test."""
    others = "datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pid FROM pg_stat_activity WHERE {others}")
        return [pid for (pid,) in cursor.fetchall()]


def test_a_worker_keeps_its_connection_to_the_database_from_task_to_task(worker):
    finished(asked(scan_of(person("alice"))))
    (session,) = sessions_of_the_worker()

    finished(asked(scan_of(person("bob"))))

    assert sessions_of_the_worker() == [session]


def test_a_connection_that_was_cut_between_two_tasks_costs_no_attempt(worker):
    finished(asked(scan_of(person("alice"))))
    with connection.cursor() as cursor:
        for session in sessions_of_the_worker():
            cursor.execute("SELECT pg_terminate_backend(%s)", [session])
    wait_for(lambda: not sessions_of_the_worker(), DEADLINE_SECONDS)

    prediction = asked(scan_of(person("bob")))

    assert_answered_once(prediction)
    assert prediction.attempts == 1


def test_the_dashboard_learns_from_the_worker_which_model_it_uses(worker, model):
    finished(asked(scan_of(person("alice"))))

    (told,) = live.workers()

    assert (told.sha256, told.busy) == (model.sha256, 0)
    assert told.since is not None
    assert Prediction.objects.get().statistics is not None


def test_a_doubled_message_is_answered_once(worker):
    prediction = asked(scan_of(person("alice")))
    for _ in range(3):
        run_prediction.delay(str(prediction.pk))
    assert_answered_once(prediction)
    first = Prediction.objects.filter(pk=prediction.pk).values().get()

    # The only worker takes one message after the other: when this one is answered, the doubles were looked at.
    assert_answered_once(asked(scan_of(person("bob"))))

    assert Prediction.objects.filter(pk=prediction.pk).values().get() == first
    assert prediction.attempts == 1


def test_messages_without_a_prediction_do_no_harm(worker):
    erased = asked(scan_of(person("alice")))
    services.erase_scan(scan=erased.scan, erased_by=None)
    for nonsense in (str(erased.pk), "00000000-0000-0000-0000-000000000000", "not an id"):
        run_prediction.delay(nonsense)
    child = worker.child()

    assert_answered_once(asked(scan_of(person("alice"))))

    assert Prediction.objects.count() == 1
    assert worker.child() == child


def test_an_upload_while_redis_is_away_waits_and_is_sent_by_requeue(worker, tmp_path):
    person("alice")
    file = tmp_path / "chest.jpg"
    file.write_bytes(encoded(chest_like(200, 200), "JPEG"))
    upload = (
        "from django.contrib.auth.models import User\n"
        "from diagnosis import services\n"
        f"services.submit_scan(owner=User.objects.get(), upload=open({str(file)!r}, 'rb'), original_name='chest.jpg')\n"
    )
    nobody_there = {"CELERY_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"}

    subprocess.run(
        [sys.executable, "manage.py", "shell", "--no-imports", "-c", upload],
        cwd=PROJECT,
        env=os.environ | worker.environment | nobody_there,
        stderr=subprocess.DEVNULL,
        check=True,
        timeout=DEADLINE_SECONDS,
    )

    prediction = Prediction.objects.get()
    assert (prediction.state, prediction.enqueued_at) == (State.QUEUED, None)

    call_command("requeue_stale_predictions")

    assert_answered_once(prediction)


def test_a_batch_goes_through_the_queue(worker):
    finished(asked(scan_of(person("alice"))))
    for _ in range(5):
        scan_of(person("alice"))
    out = io.StringIO()

    call_command("reprocess_scans", "--ahead", "2", stdout=out)

    assert "1 skipped as already answered" in out.getvalue()
    assert "5 answered" in out.getvalue()
    assert Prediction.objects.filter(state=State.SUCCEEDED, trigger=Trigger.COMMAND).count() == 5


def test_a_persons_upload_is_answered_before_the_batch_that_waited_longer(worker):
    scans = [scan_of(person("alice")) for _ in range(4)]
    with held_in_mid_task():
        batch = [asked(scan, trigger=Trigger.COMMAND) for scan in scans]
        upload = asked(scan_of(person("bob")))

    for prediction in (upload, *batch):
        assert_answered_once(prediction)
    assert upload.claimed_at < min(prediction.claimed_at for prediction in batch)


def test_a_worker_for_people_alone_leaves_batches_to_the_others(worker):
    worker.kill_all()
    worker.start("--queues", "people")
    of_a_batch = asked(scan_of(person("bob")), trigger=Trigger.COMMAND)
    of_a_person = asked(scan_of(person("alice")))

    assert_answered_once(of_a_person)
    of_a_batch.refresh_from_db()
    assert of_a_batch.state == State.QUEUED

    worker.kill_all()
    worker.start()
    assert_answered_once(of_a_batch)


def test_weights_that_were_changed_give_no_answer(worker, tiny_checkpoint, tmp_path):
    (tmp_path / METADATA_FILE).write_bytes((tiny_checkpoint / METADATA_FILE).read_bytes())
    (tmp_path / WEIGHTS_FILE).write_bytes(b"other weights")
    changed = model_version_of(folder=str(tmp_path))

    prediction = finished(asked(scan_of(person("alice")), changed))

    assert (prediction.state, prediction.reason) == (State.FAILED, FailureReason.MODEL_UNAVAILABLE)
    assert prediction.probability is None


def test_a_picture_that_takes_too_long_ends_as_timed_out_and_the_worker_lives(worker):
    child = worker.child()

    with held_in_mid_task() as prediction:
        finished(prediction)

    assert (prediction.state, prediction.reason) == (State.FAILED, FailureReason.TIMED_OUT)
    assert prediction.probability is None
    assert_answered_once(asked(scan_of(person("bob"))))
    assert worker.child() == child


def test_a_child_that_does_not_hear_the_soft_limit_is_killed_and_ends_as_timed_out(worker):
    child = worker.child()

    with held_in_mid_task() as prediction:
        os.kill(child, signal.SIGSTOP)
        try:
            finished(prediction)
        finally:
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGCONT)

    assert (prediction.state, prediction.reason) == (State.FAILED, FailureReason.TIMED_OUT)
    assert f"Hard time limit ({HARD_TIME_LIMIT}s) exceeded for {run_prediction.name}[{prediction.claimed_by}]" in (
        worker.log()
    )
    assert prediction.finished_at - prediction.claimed_at < timedelta(seconds=4 * HARD_TIME_LIMIT)
    assert_answered_once(asked(scan_of(person("bob"))))
    assert worker.child() != child
    prediction.refresh_from_db()
    assert (prediction.state, prediction.attempts) == (State.FAILED, 1), "its message is not delivered again"


def test_a_child_that_is_killed_in_mid_task_is_replaced_and_the_answer_comes_once(worker):
    child = worker.child()
    with held_in_mid_task() as prediction:
        task_id = prediction.claimed_by
        put_the_picture_back(prediction.scan)

        os.kill(child, signal.SIGKILL)
        assert_answered_once(prediction)

    assert prediction.claimed_by == task_id
    assert prediction.attempts == 2
    assert worker.child() != child


def test_the_late_end_of_a_task_that_was_presumed_lost_changes_nothing(worker):
    with held_in_mid_task() as prediction:
        lost = prediction.claimed_by
        put_the_picture_back(prediction.scan)
        services.requeue_stale(older_than=timedelta(0))

    # The slow task finds no picture in the pipe and wants to record that; then comes the second message.
    assert_answered_once(prediction)

    assert f"{prediction.pk}: the stored picture can't be read" in worker.log()
    assert prediction.claimed_by != lost


def test_a_worker_that_is_killed_in_mid_task_is_made_up_for_by_requeue(worker):
    with held_in_mid_task() as prediction:
        worker.kill()
        put_the_picture_back(prediction.scan)
        services.requeue_stale(older_than=timedelta(0))

    worker.start()

    assert_answered_once(prediction)
    assert prediction.attempts == 2
