"""What is going on now: the queues, the workers, beat. Only `workers` takes its time, and asks nobody in vain."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from django.conf import settings
from django.db.models import QuerySet
from django.db.models.fields.json import KeyTransform
from django.utils import timezone

from diagnosis.dashboard.rows import LastRun, site_began
from diagnosis.models import ModelVersion, Prediction
from diagnosis.pages import CappedCount
from diagnosis.queues import errors_while_away, messages_in_queues
from diagnosis.states import State, Trigger

# Whoever has not answered by then is busy beyond measure, or away.
ASK_SECONDS = 1.0

# Of the rows that wait: further ones are told as "10,000+".
COUNT_NO_FURTHER = 10_000

# Beat comes every minute; after so long it, or every worker, must be away.
BEAT_LATE = timedelta(minutes=5)


@dataclass(frozen=True)
class Waiting:
    """What waits, by the table, and what the broker holds of it; `messages` is None while the broker is away."""

    queued: CappedCount
    running: CappedCount
    oldest: datetime | None  # of what people wait for
    messages: dict[str, int] | None

    @classmethod
    def now(cls) -> Self:
        """Ask table and broker."""
        queued = Prediction.objects.filter(state=State.QUEUED)
        of_people = queued.exclude(trigger=Trigger.COMMAND).order_by("requested_at", "id")
        return cls(
            _count(queued),
            _count(Prediction.objects.filter(state=State.RUNNING)),
            of_people.values_list("requested_at", flat=True).first(),
            messages_in_queues(),
        )


def _count(rows: QuerySet) -> CappedCount:
    return CappedCount.of(rows.order_by(), COUNT_NO_FURTHER)


@dataclass(frozen=True)
class Worker:
    """A worker as it tells of itself; `sha256` is of the version it uses, "" where the active one can't be loaded."""

    name: str
    sha256: str | None
    since: datetime | None
    busy: int | None  # tasks; None where it can't be asked

    @property
    def short_sha256(self) -> str:
        """Give what a person reads out."""
        return (self.sha256 or "")[:12]


def workers() -> list[Worker] | None:
    """Ask every worker which version it uses, and wait ASK_SECONDS; None while the broker is away.

    In embedded mode nobody can be asked: the one worker leaves it in a file of this machine.
    """
    if settings.EMBEDDED:
        return _embedded_worker()
    from pneumonia_site.celery import app

    with app.connection_for_write() as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            replies = app.control.broadcast("model_in_use", reply=True, timeout=ASK_SECONDS, connection=connection)
        except errors_while_away(connection):
            return None
    told = {name: reply for each in replies or [] for name, reply in each.items() if "busy" in reply}
    return [
        Worker(name, reply["sha256"], _moment(reply["since"]), reply["busy"]) for name, reply in sorted(told.items())
    ]


def _embedded_worker() -> list[Worker]:
    file = settings.WORKER_MODEL_FILE
    try:
        return [Worker("worker", file.read_text(), _moment(file.stat().st_mtime), None)]
    except FileNotFoundError:
        return []


def _moment(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)


@dataclass(frozen=True)
class Beat:
    """What beat had done; `requeue` and `count` are None where it never ran to its end."""

    requeue: LastRun | None
    count: LastRun | None

    @classmethod
    def last(cls) -> Self:
        """Read what was noted."""
        runs = {run.task: run for run in LastRun.objects.all()}
        return cls(runs.get(LastRun.REQUEUE), runs.get(LastRun.COUNT))

    @property
    def is_late(self) -> bool:
        """Tell whether nothing came from it for so long that it, or every worker, must be away."""
        last = self.requeue.ended_at if self.requeue else site_began()
        return last is not None and timezone.now() - last > BEAT_LATE


def active_version() -> tuple[ModelVersion | None, Any]:
    """Give the version that answers new scans and, of its metadata, the reference alone: the rest is large."""
    active = ModelVersion.objects.filter(is_active=True).defer("metadata")
    version = active.annotate(reference=KeyTransform("reference", "metadata")).first()
    return version, getattr(version, "reference", None)
