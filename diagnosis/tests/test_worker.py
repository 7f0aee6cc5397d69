"""What the worker does with a message, with a fake in place of the heavy classifier."""

import sys
from types import SimpleNamespace

import pytest
from billiard.exceptions import SoftTimeLimitExceeded

from diagnosis import worker
from diagnosis.models import Label, Prediction
from diagnosis.states import FailureReason, State
from diagnosis.tests.conftest import FakeClassifier
from diagnosis.tests.factories import prediction_at
from ml.checkpoint import CheckpointMissing

pytestmark = pytest.mark.django_db


@pytest.fixture
def use(fake_classifier):
    """Let the worker find this outcome: a probability, or an exception that the classifier raises."""

    def install(outcome, **changes) -> FakeClassifier:
        if isinstance(outcome, BaseException):
            fake_classifier.error = outcome
        else:
            fake_classifier.probability = outcome
        for name, value in changes.items():
            setattr(fake_classifier, name, value)
        return fake_classifier

    return install


def test_it_records_the_answer_with_the_operating_point_of_the_version(use):
    use(0.87)
    prediction = prediction_at(State.QUEUED)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert (prediction.state, prediction.probability, prediction.label) == (State.SUCCEEDED, 0.87, Label.PNEUMONIA)
    assert prediction.threshold == prediction.model_version.threshold
    assert prediction.finished_at is not None
    assert prediction.milliseconds is not None


@pytest.mark.parametrize("is_chest_xray", [True, False])
def test_it_keeps_how_the_picture_looks_of_a_refused_one_too(use, is_chest_xray):
    use(0.87, is_chest_xray=is_chest_xray, statistics=[1.5] * 8)
    prediction = prediction_at(State.QUEUED)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert prediction.state == (State.SUCCEEDED if is_chest_xray else State.FAILED)
    assert prediction.statistics == [1.5] * 8


def test_of_a_picture_that_no_model_looked_at_nothing_is_known(use):
    use(RuntimeError("a bug"))
    prediction = prediction_at(State.QUEUED)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert prediction.statistics is None


def test_it_leaves_word_of_the_version_in_use(use, settings, tmp_path):
    use(0.5)
    settings.WORKER_MODEL_FILE = tmp_path / "worker.model"
    worker.note_in_use.cache_clear()
    prediction = prediction_at(State.QUEUED)

    worker.answer(str(prediction.pk), task_id="task")

    assert settings.WORKER_MODEL_FILE.read_text() == prediction.model_version.sha256


def test_an_answer_stands_where_that_word_can_not_be_left(use, settings, tmp_path):
    use(0.5)
    settings.WORKER_MODEL_FILE = tmp_path / "no such folder" / "worker.model"
    worker.note_in_use.cache_clear()
    prediction = prediction_at(State.QUEUED)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert prediction.state == State.SUCCEEDED


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.FAILED, State.RUNNING])
def test_it_ignores_a_late_or_doubled_message(use, state):
    fake = use(0.5)
    prediction = prediction_at(state)
    before = Prediction.objects.filter(pk=prediction.pk).values().get()

    worker.answer(str(prediction.pk), task_id="a doubled message")

    assert fake.pictures == []
    assert Prediction.objects.filter(pk=prediction.pk).values().get() == before


def test_it_ignores_a_message_whose_scan_was_erased(use):
    fake = use(0.5)
    prediction = prediction_at(State.QUEUED)
    prediction.scan.delete()

    worker.answer(str(prediction.pk), task_id="task")

    assert fake.pictures == []


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        (SoftTimeLimitExceeded(), FailureReason.TIMED_OUT),
        (CheckpointMissing("no folder"), FailureReason.MODEL_UNAVAILABLE),
        (RuntimeError("a bug"), FailureReason.INTERNAL_ERROR),
        (MemoryError(), FailureReason.INTERNAL_ERROR),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_fault_ends_as_failed_with_its_reason_and_without_a_number(use, raised, reason):
    use(raised)
    prediction = prediction_at(State.QUEUED)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert (prediction.state, prediction.reason, prediction.probability) == (State.FAILED, reason, None)


@pytest.mark.parametrize("damage", [b"", b"not a picture", b"\x89PNG\r\n\x1a\n truncated"])
def test_a_damaged_stored_picture_is_unreadable_and_not_a_score(use, damage):
    use(0.5)
    prediction = prediction_at(State.QUEUED)
    with open(prediction.scan.picture.path, "wb") as file:
        file.write(damage)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert (prediction.state, prediction.reason) == (State.FAILED, FailureReason.UNREADABLE_IMAGE)


def test_a_picture_that_is_gone_is_unreadable(use):
    use(0.5)
    prediction = prediction_at(State.QUEUED)
    prediction.scan.picture.storage.delete(prediction.scan.picture.name)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert prediction.reason == FailureReason.UNREADABLE_IMAGE


def test_a_redelivered_message_with_its_attempts_used_up_ends_as_worker_lost(use, settings):
    fake = use(0.5)
    prediction = prediction_at(State.QUEUED)
    for _ in range(settings.PREDICTION_MAX_ATTEMPTS):
        Prediction.objects.claim(prediction.pk, task_id="task")

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert (prediction.reason, fake.pictures) == (FailureReason.WORKER_LOST, [])


def test_a_folder_that_holds_another_version_is_no_model(monkeypatch):
    another = SimpleNamespace(checkpoint=SimpleNamespace(sha256="b" * 64))
    classifier = SimpleNamespace(load=lambda folder, **options: another)
    monkeypatch.setitem(sys.modules, "ml.classifier", SimpleNamespace(Classifier=classifier))
    worker.loaded_classifier.cache_clear()
    prediction = prediction_at(State.QUEUED)

    worker.answer(str(prediction.pk), task_id="task")

    prediction.refresh_from_db()
    assert prediction.reason == FailureReason.MODEL_UNAVAILABLE


def test_the_engine_and_the_threads_that_the_settings_name_are_those_that_answer(monkeypatch, settings):
    settings.INFERENCE_ENGINE, settings.INFERENCE_THREADS = "tensorflow", 3
    asked = {}
    loaded = SimpleNamespace(checkpoint=SimpleNamespace(sha256="a" * 64))
    classifier = SimpleNamespace(load=lambda folder, **options: asked.update(options) or loaded)
    monkeypatch.setitem(sys.modules, "ml.classifier", SimpleNamespace(Classifier=classifier))
    worker.loaded_classifier.cache_clear()

    worker.loaded_classifier("folder", "a" * 64)

    assert asked == {"engine": "tensorflow", "threads": 3}
    worker.loaded_classifier.cache_clear()
