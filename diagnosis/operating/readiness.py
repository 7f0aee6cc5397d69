"""Whether the site can do what it is for: each part by name, and within a bounded time."""

import time
from typing import Any

from django.conf import settings
from django.db import connection

from diagnosis import services
from diagnosis.operating.bounded import Bounded, NoAnswer, Turn
from diagnosis.operating.heartbeat import Heartbeat, broker, heartbeats

OK = "ok"

# All parts together; whoever asks gives up after a few seconds.
SECONDS = 1.5
# Asking more often learns nothing more, and costs no more.
FRESH_SECONDS = 1.0


def _database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def _broker() -> str:
    if settings.EMBEDDED:
        return OK if settings.BROKER_DIR.is_dir() else "its folder is missing"
    with broker() as client:
        client.ping()
    return OK


def _active_sha256() -> str | None:
    active = services.active_model_version()
    return active.sha256 if active else None


_questions: dict[str, Bounded] = {
    "database": Bounded(_database, fresh=FRESH_SECONDS),
    "broker": Bounded(_broker, fresh=FRESH_SECONDS),
    "model": Bounded(_active_sha256, fresh=FRESH_SECONDS),
    "worker": Bounded(heartbeats, fresh=FRESH_SECONDS),
}


def readiness() -> dict[str, str]:
    """Tell of database, broker, model and worker "ok", or in plain words what is wrong; it takes SECONDS at most.

    What a driver says of an error may name hosts and users: only the kind of fault is told.
    """
    end = time.monotonic() + SECONDS
    turns = {name: question.put() for name, question in _questions.items()}
    asked = {name: _outcome(turn, end) for name, turn in turns.items()}
    database, broker_says = (_in_words(asked[name]) for name in ("database", "broker"))
    workers = asked["worker"]
    return {
        "database": database,
        "broker": broker_says,
        "model": _model(asked["model"], workers),
        "worker": _worker(workers),
    }


def forget() -> None:
    """Let nothing that was found before count."""
    for question in _questions.values():
        question.forget()


def _outcome(turn: Turn, end: float) -> Any:
    try:
        return turn.outcome(max(0.0, end - time.monotonic()))
    except Exception as error:  # noqa: BLE001 - whatever a driver raises means that it is not there
        return error


def _in_words(outcome: object) -> str:
    if isinstance(outcome, NoAnswer):
        return f"does not answer within {SECONDS:g} s"
    return "can't be reached" if isinstance(outcome, Exception) else str(outcome)


def _model(sha256: str | Exception | None, workers: list[Heartbeat] | Exception) -> str:
    if isinstance(sha256, Exception):
        return "unknown: the database has to tell"
    if sha256 is None:
        return "no version is active"
    living = _living(workers)
    if living and all(worker.sha256 == "" for worker in living):
        return "no worker could load the active version"
    return OK


def _worker(workers: list[Heartbeat] | Exception) -> str:
    if isinstance(workers, Exception):
        return "unknown: the broker has to tell"
    if _living(workers):
        return OK
    if not workers:
        return "none has ever been heard of"
    return f"none has been heard of for {min(worker.age for worker in workers):.0f} s"


def _living(workers: list[Heartbeat] | Exception) -> list[Heartbeat]:
    return [] if isinstance(workers, Exception) else [worker for worker in workers if not worker.is_late]
