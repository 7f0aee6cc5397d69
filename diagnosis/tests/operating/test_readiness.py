"""Health: of the process alone, and of each part that the site needs."""

import time

import pytest
from django.db import connection

from diagnosis.models import ModelVersion
from diagnosis.operating import heartbeat
from diagnosis.tests.servers import free_port

OK = "ok"
BOUND_SECONDS = 2.0

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def heard(monkeypatch):
    """The only worker that was ever heard of, just now; nothing of it is left afterwards."""
    monkeypatch.setattr(heartbeat, "KEY", "tests.workers")
    heartbeat.beat("worker@test")
    yield
    with heartbeat.broker() as client:
        client.delete(heartbeat.KEY)


def ready(client) -> tuple[int, dict[str, str]]:
    began = time.monotonic()
    response = client.get("/readyz")
    assert time.monotonic() - began < BOUND_SECONDS
    return response.status_code, response.json()


def test_a_site_that_is_whole_says_so_of_each_part(client, version, heard):
    assert ready(client) == (200, {"database": OK, "broker": OK, "model": OK, "worker": OK})


@pytest.mark.parametrize(
    ("is_silent", "says"), [(True, "does not answer within 1.5 s"), (False, "can't be reached")], ids=["paused", "away"]
)
def test_a_broker_that_is_away_or_paused_is_named_in_bounded_time(
    client, version, heard, settings, silent_port, is_silent, says
):
    whole = settings.CELERY_BROKER_URL
    settings.CELERY_BROKER_URL = f"redis://:secret@127.0.0.1:{silent_port if is_silent else free_port()}/0"
    status, parts = ready(client)
    assert (status, parts["database"], parts["model"]) == (503, OK, OK)
    assert parts["broker"] in (says, "can't be reached")
    assert parts["worker"] == "unknown: the broker has to tell"
    assert "secret" not in str(parts)
    assert client.get("/healthz").status_code == 200
    settings.CELERY_BROKER_URL = whole


@pytest.mark.parametrize(
    ("is_silent", "says"), [(True, "does not answer within 1.5 s"), (False, "can't be reached")], ids=["paused", "away"]
)
def test_a_database_that_is_away_or_paused_is_named_in_bounded_time(
    client, version, heard, monkeypatch, silent_port, is_silent, says
):
    with monkeypatch.context() as changed:
        changed.setitem(connection.settings_dict, "PORT", silent_port if is_silent else free_port())
        for _ in range(3 if is_silent else 1):
            status, parts = ready(client)
        assert status == 503
        assert parts["database"] == says
        assert parts["model"] == "unknown: the database has to tell"
        assert (parts["broker"], parts["worker"]) == (OK, OK)
        assert client.get("/healthz").status_code == 200


def test_without_an_active_model_it_is_not_ready(client, version, heard):
    ModelVersion.objects.update(is_active=False)
    assert ready(client)[1]["model"] == "no version is active"


def test_a_model_that_no_worker_could_load_is_named(client, version, heard, settings, tmp_path):
    settings.WORKER_MODEL_FILE = tmp_path / "worker.model"
    settings.WORKER_MODEL_FILE.write_text("")
    heartbeat.beat("worker@test")
    assert ready(client) == (
        503,
        {"database": OK, "broker": OK, "model": "no worker could load the active version", "worker": OK},
    )


def test_a_worker_that_was_not_heard_of_for_too_long_is_away(client, version, heard, monkeypatch):
    monkeypatch.setattr(heartbeat, "LATE_SECONDS", -1)
    assert ready(client)[1]["worker"] == "none has been heard of for 0 s"


def test_what_a_worker_of_long_ago_said_is_forgotten_by_the_next_one(heard, monkeypatch):
    monkeypatch.setattr(heartbeat, "FORGOTTEN_AFTER_SECONDS", -1)
    heartbeat.beat("worker@another")
    assert [beat.worker for beat in heartbeat.heartbeats()] == ["worker@another"]


def test_of_a_real_worker_is_heard_until_it_stops(site):
    import httpx

    def parts() -> dict[str, str]:
        return httpx.get(f"{site.url}/readyz").json()

    assert parts() == {"database": OK, "broker": OK, "model": OK, "worker": OK}
    with site.site.worker("another"):
        assert [beat.worker.split("@")[0] for beat in heartbeat.heartbeats()] == ["another", "worker"]
    assert [beat.worker.split("@")[0] for beat in heartbeat.heartbeats()] == ["worker"]


def test_an_anonymous_stranger_may_ask_and_nothing_is_changed_by_asking(client, version, heard):
    assert client.get("/healthz").content == b"ok\n"
    for address in ("/healthz", "/readyz"):
        assert client.post(address).status_code == 405
        assert "no-store" in client.get(address)["Cache-Control"]
