"""One model version answers many scans: which ones, how they are asked for, how the answers are awaited."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from diagnosis import services
from diagnosis.models import ModelVersion, Prediction, Scan, ScanQuerySet
from diagnosis.states import FailureReason, State, Trigger

PAGE = 500

# Between two looks at what the workers did; what waits ahead of them lasts for longer, unless --ahead is small.
POLL_SECONDS = 0.5

# So many in a row without any answer: the fault is the model, and asking on would only cover old answers with failures.
MODEL_UNAVAILABLE_LIMIT = 10

# The outcome of a prediction is its label, its FailureReason, or this: its scan was deleted meanwhile.
ERASED = "ERASED"


class BatchStopped(Exception):
    """The batch can't go on; the text says why and what to do. Nothing is lost, and a further run goes on."""


@dataclass(frozen=True)
class Choice:
    """The scans that `model_version` should answer; at most `limit` of them, the oldest first."""

    model_version: ModelVersion
    since: datetime | None = None
    owner: Any = None
    state: State | None = None
    limit: int | None = None

    def scans(self) -> ScanQuerySet:
        """Give all that fit, answered or not."""
        scans = Scan.objects.all()
        if self.since:
            scans = scans.filter(created_at__gte=self.since)
        if self.owner:
            scans = scans.filter(owner=self.owner)
        if self.state:
            scans = scans.filter(latest_prediction__state=self.state)
        return scans

    def answered(self) -> QuerySet[Scan]:
        """Give those that the version has answered, or refused, already."""
        asked = Prediction.objects.filter(scan=OuterRef("pk"), model_version=self.model_version)
        return self.scans().filter(Exists(asked.settled()))

    def to_ask(self) -> QuerySet[Scan]:
        """Give those that have to be asked for."""
        return self.scans().unanswered_by(self.model_version)

    def unfinished(self) -> QuerySet[Prediction]:
        """Give what an earlier run asked for and what is still open, whatever state the scans were in then."""
        scans = Choice(self.model_version, since=self.since, owner=self.owner).scans()
        return Prediction.objects.open().filter(
            model_version=self.model_version, trigger=Trigger.COMMAND, scan__in=scans
        )

    def size(self) -> int:
        """Count the answers that a run has to wait for."""
        size = self.unfinished().count() + self.to_ask().count()
        return size if self.limit is None else min(size, self.limit)


def find_model_version(wanted: str) -> ModelVersion | None:
    """Find a version by its name, its id, or at least the first four digits of its sha256; None: not exactly one."""
    by = Q(name=wanted)
    if wanted.isascii() and wanted.isdigit():
        by |= Q(pk=int(wanted))
    if len(wanted) >= 4:
        by |= Q(sha256__startswith=wanted.lower())
    found = list(ModelVersion.objects.filter(by)[:2])
    return found[0] if len(found) == 1 else None


def through_the_queue(choice: Choice, *, ahead: int) -> Iterator[list[str]]:
    """Let the workers answer; give the outcomes of each look at the table, an empty list where nothing happened.

    At most `ahead` predictions wait at a time: who uploads a scan meanwhile is served soon, and an interrupted batch
    leaves little behind. Raises BatchStopped.
    """
    yield from follow(
        work_of(choice, choice.unfinished(), at_once=min(services.SCANS_OF_A_MESSAGE, ahead)), ahead=ahead
    )


def in_this_process(choice: Choice) -> Iterator[list[str]]:
    """Load the model and answer here, the oldest first; give the outcomes as `through_the_queue` does.

    Raises CheckpointError before anything is asked for, or BatchStopped.
    """
    # Here, because this loads the model's engine.
    from diagnosis import stream, worker

    version = choice.model_version
    worker.loaded_classifier(version.folder, version.sha256)
    queued = choice.unfinished().filter(state=State.QUEUED)
    task = f"inline-{uuid.uuid4()}"
    elsewhere: set[uuid.UUID] = set()
    try:
        work = work_of(choice, queued, at_once=stream.AT_ONCE, enqueue=False)
        for done in stream.answer_all(work, model_version=version, task_id=task):
            waiting = set(done)
            yield take_finished(waiting)
            elsewhere |= waiting
    except BaseException:
        # Ctrl-C in the middle: nobody else knows that these were dropped.
        Prediction.objects.open().filter(claimed_by=task).put_back()
        raise
    # requeue_stale gave them to a worker before this process could claim them.
    yield from follow(iter(elsewhere), ahead=PAGE)


def work_of(
    choice: Choice, unfinished: QuerySet[Prediction], *, at_once: int, enqueue: bool = True
) -> Iterator[uuid.UUID]:
    """Give what is `unfinished`, then ask for what was not asked for yet; at most the limit of `choice` together."""
    left = choice.limit
    for prediction in islice(oldest_first(unfinished, by="requested_at"), left):
        yield prediction.pk
        left = None if left is None else left - 1
    yield from ask(choice, limit=left, at_once=at_once, enqueue=enqueue)


def ask(
    choice: Choice, *, limit: int | None = None, at_once: int = services.SCANS_OF_A_MESSAGE, enqueue: bool = True
) -> Iterator[uuid.UUID]:
    """Ask for the answers as the iterator is consumed, `at_once` by one message, `limit` at most in all.

    Raises BatchStopped when the broker is away.
    """
    scans = islice(oldest_first(choice.to_ask(), by="created_at"), limit)
    for predictions in services.reprocess(
        scans=scans, model_version=choice.model_version, trigger=Trigger.COMMAND, enqueue=enqueue, at_once=at_once
    ):
        asked = [prediction.pk for prediction in predictions]
        if enqueue and Prediction.objects.filter(pk__in=asked, state=State.QUEUED, enqueued_at=None).exists():
            raise BatchStopped(
                "The broker is away. What was asked for is kept; when the broker is back, run "
                "requeue_stale_predictions (beat does so every minute), then this command again: it goes on where it "
                "stopped."
            )
        yield from asked


def follow(work: Iterator[uuid.UUID], *, ahead: int) -> Iterator[list[str]]:
    """Take at most `ahead` predictions of `work` at a time, wait for their ends, give their outcomes.

    Raises BatchStopped when nothing is answered for so long that requeue_stale should have helped, or when the
    workers can't load the model.
    """
    patience = timedelta(seconds=1.2 * settings.PREDICTION_STALE_SECONDS)
    waiting: set[uuid.UUID] = set()
    last_answer, unavailable = timezone.now(), 0
    while True:
        waiting.update(islice(work, ahead - len(waiting)))
        if not waiting:
            return
        outcomes = take_finished(waiting)
        yield outcomes
        if outcomes:
            last_answer = timezone.now()
            every_time = set(outcomes) == {FailureReason.MODEL_UNAVAILABLE}
            unavailable = unavailable + len(outcomes) if every_time else 0
        if unavailable >= MODEL_UNAVAILABLE_LIMIT:
            raise BatchStopped(
                f"The workers can't load this model ({unavailable} times in a row; their log says why). Repair it, "
                "then run this command again."
            )
        if timezone.now() - last_answer > patience:
            raise BatchStopped(
                f"No answer for {patience.total_seconds():.0f} s; {len(waiting)} wait. Nothing is lost: start a "
                "worker, run requeue_stale_predictions, then this command again: it goes on where it stopped."
            )
        if not outcomes:
            time.sleep(POLL_SECONDS)


def take_finished(waiting: set[uuid.UUID]) -> list[str]:
    """Take those that came to an end out of `waiting`; give their outcomes."""
    rows = Prediction.objects.filter(pk__in=waiting).values_list("pk", "state", "label", "reason")
    still_open = {pk for pk, state, _, _ in rows if state in (State.QUEUED, State.RUNNING)}
    outcomes = [label or reason for pk, _, label, reason in rows if pk not in still_open]
    erased = len(waiting) - len(rows)
    waiting &= still_open
    return outcomes + [ERASED] * erased


def oldest_first(rows: QuerySet, *, by: str) -> Iterator[Any]:
    """Give the rows in the order of the moment `by`, read page by page: no cursor stays open for hours.

    Rows that stop to fit meanwhile are left out, each row comes once.
    """
    rows = rows.order_by(by, "pk")
    page = list(rows[:PAGE])
    while page:
        yield from page
        last = getattr(page[-1], by)
        # The first of the two conditions says no more than the second; but a database looks it up in an index.
        rest = rows.filter(**{f"{by}__gte": last}).filter(Q(**{f"{by}__gt": last}) | Q(pk__gt=page[-1].pk))
        page = list(rest[:PAGE])
