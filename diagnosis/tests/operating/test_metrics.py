"""The figures for Prometheus: who may read them, and that they are right, also while a part of the site is away."""

import time
from datetime import timedelta

import httpx
import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from diagnosis.dashboard.counting import count_days
from diagnosis.dashboard.rows import RefusedFiles
from diagnosis.operating import heartbeat
from diagnosis.states import FailureReason, State
from diagnosis.tests.factories import prediction_at
from diagnosis.tests.operating.conftest import TOKEN

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

ADDRESS = "/metrics"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def token(settings):
    settings.METRICS_TOKEN = TOKEN


def figures(text: str) -> dict[tuple, float]:
    """Give each sample's value by its name and its labels' values, the labels in the order of the alphabet."""
    families = text_string_to_metric_families(text)
    return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}


def read(client) -> dict[tuple, float]:
    response = client.get(ADDRESS, headers=WITH_TOKEN)
    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")
    return figures(response.content.decode())


@pytest.mark.parametrize(
    ("expected", "sent"),
    [("", {}), ("", {"Authorization": "Bearer "}), (TOKEN, {}), (TOKEN, {"Authorization": "Bearer another"})],
    ids=["closed", "closed, and an empty token sent", "no token sent", "another token sent"],
)
def test_nothing_is_there_for_who_has_no_token(client, sam, settings, expected, sent):
    settings.METRICS_TOKEN = expected
    client.force_login(sam)
    assert client.get(ADDRESS, headers=sent).status_code == 404


def test_the_figures_tell_of_predictions_queues_answers_refusals_model_and_workers(
    client, token, version, sent, monkeypatch
):
    monkeypatch.setattr(heartbeat, "KEY", "tests.workers")
    now = timezone.now()
    for seconds in (1, 2, 9):
        start = now - timedelta(minutes=1)
        prediction_at(State.SUCCEEDED, requested_at=start, finished_at=start + timedelta(seconds=seconds))
    prediction_at(State.FAILED, reason=FailureReason.TIMED_OUT)
    prediction_at(State.QUEUED, requested_at=now - timedelta(seconds=300))
    prediction_at(State.RUNNING)
    RefusedFiles.objects.note(["TOO_SMALL", "TOO_SMALL", "TOO_LARGE"])
    count_days()
    heartbeat.beat("worker@test")

    found = read(client)

    with heartbeat.broker() as broker:
        broker.delete(heartbeat.KEY)
    assert {key[1:]: value for key, value in found.items() if key[0] == "pneumonia_predictions" and value} == {
        ("", "SUCCEEDED"): 3,
        ("TIMED_OUT", "FAILED"): 1,
        ("", "QUEUED"): 1,
        ("", "RUNNING"): 1,
    }
    assert found["pneumonia_predictions", "WORKER_LOST", "FAILED"] == 0, "so that an alert can watch it"
    assert 300 <= found["pneumonia_oldest_waiting_seconds",] < 330
    assert [found["pneumonia_answer_seconds", share] for share in ("0.5", "0.95", "0.99")] == [2, 9, 9]
    assert found["pneumonia_refused_files_total", "TOO_SMALL"] == 2
    assert found["pneumonia_active_model_info", version.name, version.sha256] == 1
    assert 0 <= found["pneumonia_worker_heartbeat_age_seconds", "worker@test"] < 30
    assert found["pneumonia_queue_messages", "people"] == 0
    assert now.timestamp() - 1 < found["pneumonia_counted_timestamp_seconds",] < time.time()
    assert {found["pneumonia_up", part] for part in ("database", "broker", "model", "worker")} == {1}


def test_while_the_broker_hangs_the_figures_of_the_database_come_in_bounded_time(
    client, token, version, settings, monkeypatch, silent_port, celery_app
):
    whole = settings.CELERY_BROKER_URL
    hangs = settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{silent_port}/0"
    real = celery_app.connection_for_read
    monkeypatch.setattr(celery_app, "connection_for_read", lambda *_args, **_named: real(hangs))
    prediction_at(State.RUNNING)
    began = time.monotonic()

    found = read(client)

    assert time.monotonic() - began < 6
    assert (found["pneumonia_up", "broker"], found["pneumonia_up", "database"]) == (0, 1)
    assert found["pneumonia_predictions", "", "RUNNING"] == 1
    assert ("pneumonia_queue_messages", "people") not in found
    settings.CELERY_BROKER_URL = whole


def test_the_requests_of_all_web_processes_are_counted_together(site):
    def home() -> float:
        found = figures(httpx.get(f"{site.url}{ADDRESS}", headers=WITH_TOKEN).text)
        return found.get(("pneumonia_request_seconds_count", "GET", "200", "diagnosis:home"), 0)

    before = home()
    for _ in range(40):
        httpx.get(site.url)
    assert [home() - before for _ in range(10)] == [40] * 10
