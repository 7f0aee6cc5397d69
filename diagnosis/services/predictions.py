"""Asking for predictions, again too, and again for those that were lost.

Everything that must be answered is put into the queue from here, when the transaction commits. The row decides and
the queue only hints: a message may be lost, late or doubled without harm.
"""

import logging
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import islice

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerError

from diagnosis import audit, queues
from diagnosis.audit import Action
from diagnosis.expressions import ValueOfEach
from diagnosis.models import ModelVersion, Prediction, Scan
from diagnosis.states import State, Trigger

logger = logging.getLogger(__name__)

# So many of a batch are asked for by one message. At its beginning and at its end the model has nothing to do: with 64,
# measured, that was a twentieth of the time. Who uploads meanwhile does not wait for them, see queues.Turn.
SCANS_OF_A_MESSAGE = 128


@dataclass(frozen=True)
class Requeued:
    """What requeue_stale did: how many were sent to the workers again, were given up, could not be sent.

    What could not be sent, because the broker is away, waits for the next time.
    """

    sent: int
    given_up: int
    unsent: int = 0


def request_prediction(
    *, scan: Scan, model_version: ModelVersion, trigger: Trigger, requested_by=None, enqueue: bool = True
) -> Prediction:
    """Ask `model_version` to read `scan`; an open request of the two is returned instead of a second one.

    With `enqueue` False the caller answers it itself. Raises Scan.DoesNotExist when the scan was erased meanwhile.
    """
    request = partial(
        _insert_prediction, scan=scan, model_version=model_version, trigger=trigger, requested_by=requested_by
    )
    enqueued_at = timezone.now() if enqueue else None
    try:
        prediction = request(enqueued_at=enqueued_at)
    except IntegrityError:
        open_one = Prediction.objects.open().filter(scan=scan, model_version=model_version).first()
        if open_one:
            return open_one
        # The open one was finished between the two statements, so now there is room.
        prediction = request(enqueued_at=enqueued_at)
    scan.latest_prediction = prediction
    if enqueue:
        transaction.on_commit(partial(_send, prediction.pk, prediction.trigger))
    return prediction


def request_predictions(
    *, scans: Sequence[Scan], model_version: ModelVersion, trigger: Trigger, requested_by=None, enqueue: bool = True
) -> list[Prediction]:
    """Ask for an answer to each of a few scans at once, as request_prediction does; they share one message.

    Scans that were erased meanwhile are passed over.
    """
    common = {"model_version": model_version, "trigger": trigger, "requested_by": requested_by}
    enqueued_at = timezone.now() if enqueue else None
    predictions = [Prediction(scan=scan, enqueued_at=enqueued_at, **common) for scan in scans]
    try:
        _insert_predictions(predictions)
    except (IntegrityError, Scan.DoesNotExist):
        # One is asked for already, or erased.
        predictions = []
        for scan in scans:
            with suppress(Scan.DoesNotExist):
                predictions.append(request_prediction(scan=scan, enqueue=enqueue, **common))
        return predictions
    for prediction in predictions:
        prediction.scan.latest_prediction = prediction
    if enqueue and predictions:
        transaction.on_commit(partial(_send_all, [prediction.pk for prediction in predictions], trigger))
    return predictions


@transaction.atomic
def _insert_predictions(predictions: list[Prediction]) -> None:
    scans = Scan.objects.filter(pk__in=[prediction.scan_id for prediction in predictions])
    # Locked first, as in _insert_prediction, and by all in one order.
    if len(scans.select_for_update().order_by("pk").values_list("pk")) < len(predictions):
        raise Scan.DoesNotExist("One of the scans was erased.")
    for prediction in predictions:
        prediction.is_latest = True
        prediction.copy_from_scan()
    Prediction.objects.filter(scan__in=scans, is_latest=True).update(is_latest=False)
    Prediction.objects.bulk_create(predictions)
    latest = {prediction.scan_id: prediction.pk for prediction in predictions}
    scans.update(latest_prediction=ValueOfEach(latest, Prediction._meta.pk))


@transaction.atomic
def _insert_prediction(*, scan: Scan, **fields) -> Prediction:
    prediction = Prediction(scan=scan, is_latest=True, **fields)
    # The scan comes first: whoever asks at the same moment waits for its lock, and then finds this one the latest.
    if not Scan.objects.filter(pk=scan.pk).update(latest_prediction=prediction):
        raise Scan.DoesNotExist(f"Scan {scan.pk} was erased.")
    Prediction.objects.filter(scan=scan, is_latest=True).update(is_latest=False)
    prediction.save(force_insert=True)
    return prediction


def reprocess(
    *,
    scans: Iterable[Scan],
    model_version: ModelVersion,
    trigger: Trigger,
    requested_by=None,
    enqueue: bool = True,
    at_once: int = SCANS_OF_A_MESSAGE,
) -> Iterator[list[Prediction]]:
    """Ask for a new prediction of each scan, `at_once` of them by one message, as the iterator is consumed.

    Scans that are erased meanwhile are passed over. The audit gets one event for all of them: who asked for which
    prediction stands in its own row.
    """
    scans = iter(scans)
    is_recorded = False
    while some := list(islice(scans, at_once)):
        if not is_recorded:
            audit.record(action=Action.REPROCESSED, actor=requested_by, model_version=model_version, detail=trigger)
            is_recorded = True
        asked = request_predictions(
            scans=some, model_version=model_version, trigger=trigger, requested_by=requested_by, enqueue=enqueue
        )
        if asked:
            yield asked


def requeue_stale(*, older_than: timedelta | None = None, limit: int | None = None) -> Requeued:
    """Send every prediction whose worker or message must be presumed lost to the workers again.

    RUNNING ones are put back, or end as FAILED after too many attempts. Safe to run at any time and by several at
    once: a worker that was only slow finds its claim gone and drops its answer. `older_than` defaults to
    PREDICTION_STALE_SECONDS; zero is right only when no worker runs. At most `limit` are sent, those first that were
    never sent or were sent the longest ago.
    """
    age = timedelta(seconds=settings.PREDICTION_STALE_SECONDS) if older_than is None else older_than
    stale = Prediction.objects.stale(older_than=age)
    given_up = stale.give_up_exhausted()
    stale.put_back()
    queues.rest.end()
    longest_ago = F("enqueued_at").asc(nulls_first=True)
    lost = list(stale.filter(state=State.QUEUED).order_by(longest_ago).values_list("pk", "trigger")[:limit])
    sent = handled = 0
    for prediction_id, trigger in lost:
        # Marked before it is sent, so that a second requeue beside this one does not send it too.
        marked = Prediction.objects.filter(pk=prediction_id, state=State.QUEUED).update(enqueued_at=timezone.now())
        if marked and not _send(prediction_id, trigger):
            break
        sent += marked
        handled += 1
    return Requeued(sent=sent, given_up=given_up, unsent=len(lost) - handled)


def _send(prediction_id: uuid.UUID, trigger: str) -> bool:
    """Give the message to the broker. While the broker is away the row keeps the request: requeue_stale sends it."""
    from diagnosis.tasks import run_prediction

    return _given_to_the_broker(run_prediction, str(prediction_id), [prediction_id], trigger)


def _send_all(prediction_ids: Sequence[uuid.UUID], trigger: str) -> bool:
    """Give one message for all to the broker, as `_send` does."""
    from diagnosis.tasks import run_predictions

    return _given_to_the_broker(run_predictions, [str(one) for one in prediction_ids], prediction_ids, trigger)


def send_rest(prediction_ids: Sequence[uuid.UUID]) -> None:
    """Give what is left of a batch's message to the broker by a further one, behind those that wait."""
    if prediction_ids:
        Prediction.objects.filter(pk__in=prediction_ids, state=State.QUEUED).update(enqueued_at=timezone.now())
        _send_all(prediction_ids, Trigger.COMMAND)


def _given_to_the_broker(task, message: str | list[str], prediction_ids: Sequence[uuid.UUID], trigger: str) -> bool:
    is_taken = False
    if queues.rest.is_over():
        try:
            task.apply_async((message,), queue=Trigger(trigger).queue)
            is_taken = True
        except (BrokerError, ChannelError, OSError):  # a broker of files says ChannelError where the disk is full
            queues.rest.begin()
            logger.warning("The broker is away", exc_info=True)
    if not is_taken:
        named = ", ".join(str(one) for one in prediction_ids)
        logger.warning("Not sent while the broker is away: prediction %s waits for requeue_stale", named)
        Prediction.objects.filter(pk__in=prediction_ids, state=State.QUEUED).update(enqueued_at=None)
        return False
    for prediction_id in prediction_ids:
        logger.info("Sent to the workers", extra={"prediction_id": str(prediction_id)})
    return True
