"""What waits and who works, also while the broker is away."""

from datetime import timedelta

import pytest
from django.utils import timezone

from diagnosis import services
from diagnosis.dashboard import live
from diagnosis.models import LastRun
from diagnosis.states import State, Trigger
from diagnosis.tests.factories import prediction_at

pytestmark = pytest.mark.django_db

NOW = "/dashboard/now/"
FRAGMENT = {"HX-Request": "true"}


def text_of(client) -> str:
    response = client.get(NOW, headers=FRAGMENT)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


@pytest.mark.services
def test_a_broker_that_is_away_is_said_in_words_and_what_waits_is_still_told(staff, no_broker, model_version):
    prediction_at(State.QUEUED)
    assert live.messages_in_queues() is None
    assert live.workers() is None
    text = text_of(staff)
    assert "The broker can't be reached" in text
    assert staff.get(NOW).context["waiting"].queued.number == 1


def test_what_waits_is_counted_and_the_oldest_is_that_of_a_person(model_version, sent):
    moment = timezone.now()
    prediction_at(State.QUEUED, trigger=Trigger.COMMAND, requested_at=moment - timedelta(hours=5))
    prediction_at(State.QUEUED, requested_at=moment - timedelta(minutes=7))
    prediction_at(State.QUEUED, requested_at=moment - timedelta(minutes=1))
    prediction_at(State.RUNNING)
    prediction_at(State.SUCCEEDED)
    waiting = live.Waiting.now()
    assert (waiting.queued.number, waiting.running.number) == (3, 1)
    assert waiting.oldest == moment - timedelta(minutes=7)


@pytest.mark.services
def test_the_messages_of_each_queue_are_counted(
    staff, model_version, empty_queues, django_capture_on_commit_callbacks, settings
):
    assert live.messages_in_queues() == {"people": 0, "reprocess": 0}
    with django_capture_on_commit_callbacks(execute=True):
        for trigger in (Trigger.UPLOAD, Trigger.API, Trigger.COMMAND):
            services.request_prediction(
                scan=prediction_at(State.SUCCEEDED).scan, model_version=model_version, trigger=trigger
            )
    assert live.messages_in_queues() == {"people": 2, "reprocess": 1}
    assert "Messages in the queue <code>people</code></dt><dd>2</dd>" in text_of(staff)


@pytest.mark.services
def test_without_a_worker_it_says_that_nothing_is_read(staff, model_version, empty_queues):
    assert live.workers() == []
    assert "No worker answers" in text_of(staff)


@pytest.mark.parametrize(
    ("sha256", "says"),
    [
        ("a" * 64, "uses the active model"),
        ("b" * 64, "used version <code>bbbbbbbbbbbb</code> last"),
        ("", "could not load the active model; its log says why"),
        (None, "has no model yet"),
    ],
)
def test_a_worker_is_told_with_the_version_that_it_uses(staff, model_version, monkeypatch, sha256, says):
    worker = live.Worker("celery@one", sha256, timezone.now() if sha256 else None, 1)
    monkeypatch.setattr(live, "workers", lambda: [worker])
    monkeypatch.setattr(live, "messages_in_queues", lambda: {"people": 0, "reprocess": 0})
    text = text_of(staff)
    assert says in text
    assert "at work" in text
    assert "No worker answers" not in text


def test_the_worker_of_embedded_mode_leaves_word_in_a_file(settings, tmp_path):
    settings.EMBEDDED, settings.WORKER_MODEL_FILE = True, tmp_path / "worker.model"
    assert live.workers() == []
    settings.WORKER_MODEL_FILE.write_text("a" * 64)
    (worker,) = live.workers()
    assert (worker.sha256, worker.busy) == ("a" * 64, None)
    assert timezone.now() - worker.since < timedelta(minutes=1)


def test_what_beat_did_last_is_told_and_when_it_is_late(staff, monkeypatch):
    monkeypatch.setattr(live, "messages_in_queues", dict)
    monkeypatch.setattr(live, "workers", list)
    assert "never looked for" in text_of(staff)
    LastRun.note(LastRun.REQUEUE, sent=4, given_up=1, unsent=2)
    text = text_of(staff)
    assert "4 sent again, 1 given up, 2 still to be sent" in text
    assert "seems to be away" not in text
    LastRun.objects.update(ended_at=timezone.now() - timedelta(minutes=6))
    assert "seems to be away" in text_of(staff)


def test_the_fragment_asks_again_and_alone_it_is_a_page(staff, monkeypatch):
    monkeypatch.setattr(live, "messages_in_queues", lambda: None)
    fragment, page = staff.get(NOW, headers=FRAGMENT), staff.get(NOW)
    assert fragment.content.decode().lstrip().startswith('<section id="now"')
    assert "<title>" in page.content.decode()
    for response in (fragment, page):
        assert f'hx-get="{NOW}" hx-trigger="every 15s"' in response.content.decode()
