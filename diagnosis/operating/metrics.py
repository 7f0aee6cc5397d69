"""The figures for Prometheus: of requests as each web process counts them, of all else as database and broker tell.

Nothing here names a person: labels are views, states, codes, versions and workers. What hangs or is away is left out,
and `pneumonia_up` says so: a scrape is never late.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from django.db.models import Sum
from django.utils import timezone
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest, multiprocess
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from diagnosis import services
from diagnosis.dashboard import live
from diagnosis.dashboard.counting import UPLOADS
from diagnosis.dashboard.rows import CountedDay, DayFigures, RefusedFiles
from diagnosis.models import Prediction
from diagnosis.operating.bounded import Bounded, NoAnswer
from diagnosis.operating.heartbeat import heartbeats
from diagnosis.operating.readiness import OK, readiness
from diagnosis.pages import CappedCount
from diagnosis.queues import messages_in_queues
from diagnosis.states import FailureReason, State

logger = logging.getLogger(__name__)

CONTENT_TYPE = CONTENT_TYPE_LATEST

# A scrape usually gives up after ten.
SECONDS = 3.0
# A second Prometheus, or an impatient one, costs nothing.
FRESH_SECONDS = 2.0

# The time to the answer is that of the newest uploads, and of no more than so many.
RECENT = timedelta(minutes=15)
RECENT_UPLOADS = 1000
QUANTILES = (0.5, 0.95, 0.99)

# The registry of this process; several processes share it by files, see pneumonia_site/gunicorn_conf.py.
REQUESTS = CollectorRegistry()
REQUEST_SECONDS = Histogram(
    "pneumonia_request_seconds",
    "Seconds until the answer to a request begins",
    ("view", "method", "status"),
    registry=REQUESTS,
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


def exposition() -> bytes:
    """Give all figures as text of Prometheus."""
    registry = CollectorRegistry()
    if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        multiprocess.MultiProcessCollector(registry)
    else:
        registry.register(_Requests())
    registry.register(_Site())
    return generate_latest(registry)


class _Requests(Collector):
    def collect(self) -> Iterator[Metric]:
        return iter(list(REQUESTS.collect()))


class _Site(Collector):
    """What database and broker tell, each part by itself."""

    def collect(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("pneumonia_up", "1 where /readyz says ok of this part", labels=["part"])
        for part, says in readiness().items():
            up.add_metric([part], says == OK)
        yield up
        end = time.monotonic() + SECONDS
        turns = [part.put() for part in _parts]
        for turn in turns:
            try:
                yield from turn.outcome(max(0.0, end - time.monotonic()))
            except NoAnswer:
                continue
            except Exception as error:  # noqa: BLE001 - whatever a driver raises means that it is not there
                logger.warning("Some figures are missing: %s", type(error).__name__)

    def describe(self) -> list[Metric]:
        """Spare the registry a first collection."""
        return []


def _predictions() -> list[Metric]:
    """Count predictions by state: those that ended as beat last counted them, those that are open now."""
    # No counter: what is erased on the day on which it was asked for is not counted there any more.
    family = GaugeMetricFamily("pneumonia_predictions", "Predictions by state", labels=["state", "reason"])
    answered, failures = 0, Counter({reason.value: 0 for reason in FailureReason})
    for of_day, failed in DayFigures.objects.values_list("answered", "failures").iterator():
        answered += of_day
        failures.update(failed)
    family.add_metric([State.SUCCEEDED, ""], answered)
    for reason, count in failures.items():
        family.add_metric([State.FAILED, reason], count)
    for state in (State.QUEUED, State.RUNNING):
        rows = Prediction.objects.filter(state=state).order_by()
        family.add_metric([state, ""], CappedCount.of(rows, live.COUNT_NO_FURTHER).number)
    counted = GaugeMetricFamily("pneumonia_counted_timestamp_seconds", "When beat last counted the days")
    newest = CountedDay.objects.order_by("-day").values_list("counted_at", flat=True).first()
    if newest:
        counted.add_metric([], newest.timestamp())
    return [family, counted]


def _waiting() -> list[Metric]:
    oldest = GaugeMetricFamily("pneumonia_oldest_waiting_seconds", "For how long the oldest upload has been queued")
    queued = Prediction.objects.filter(state=State.QUEUED, trigger__in=UPLOADS).order_by("requested_at", "id")
    since = queued.values_list("requested_at", flat=True).first()
    oldest.add_metric([], (timezone.now() - since).total_seconds() if since else 0)

    answer = GaugeMetricFamily(
        "pneumonia_answer_seconds",
        f"Seconds from upload to answer, of the last {RECENT_UPLOADS} uploads of {RECENT}",
        labels=["quantile"],
    )
    newest = Prediction.objects.filter(
        trigger__in=UPLOADS, state=State.SUCCEEDED, requested_at__gte=timezone.now() - RECENT
    ).order_by("-requested_at", "-id")[:RECENT_UPLOADS]
    moments = newest.values_list("requested_at", "finished_at")
    seconds = sorted((end - start).total_seconds() for start, end in moments if end)
    for share in QUANTILES if seconds else ():
        answer.add_metric([str(share)], seconds[min(len(seconds) - 1, int(share * len(seconds)))])
    return [oldest, answer]


def _refused() -> list[Metric]:
    family = CounterMetricFamily("pneumonia_refused_files", "Given files that were refused", labels=["code"])
    for code, files in RefusedFiles.objects.order_by().values_list("code").annotate(Sum("files")):
        family.add_metric([code], files)
    return [family]


def _model() -> list[Metric]:
    family = InfoMetricFamily("pneumonia_active_model", "The version that answers new scans")
    active = services.active_model_version()
    if active:
        family.add_metric([], {"name": active.name, "sha256": active.sha256})
    return [family]


def _queues() -> list[Metric]:
    family = GaugeMetricFamily("pneumonia_queue_messages", "Messages that no worker has taken", labels=["queue"])
    for queue, messages in (messages_in_queues() or {}).items():
        family.add_metric([queue], messages)
    return [family]


def _workers() -> list[Metric]:
    family = GaugeMetricFamily(
        "pneumonia_worker_heartbeat_age_seconds", "Since a worker of the last hour was heard of", labels=["worker"]
    )
    for heartbeat in heartbeats():
        family.add_metric([heartbeat.worker], heartbeat.age)
    return [family]


_questions: tuple[Callable[[], list[Metric]], ...] = (_predictions, _waiting, _refused, _model, _queues, _workers)
_parts: list[Bounded[list[Metric]]] = [Bounded(question, fresh=FRESH_SECONDS) for question in _questions]


def forget() -> None:
    """Let nothing that was found before count."""
    for part in _parts:
        part.forget()


def note_request(*, view: str, method: str, status: int, seconds: float) -> None:
    """Count a request that was answered."""
    labels: dict[str, Any] = {"view": view, "method": method, "status": str(status)}
    REQUEST_SECONDS.labels(**labels).observe(seconds)
