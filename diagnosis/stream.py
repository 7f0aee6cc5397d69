"""Many predictions of one model version, answered as a stream: claimed and recorded some at a time.

While the model works, the next pictures are claimed and decoded, and the last answers are recorded.
"""

import logging
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING

from billiard.exceptions import SoftTimeLimitExceeded
from django.db import connection, transaction

from diagnosis import services, worker
from diagnosis.files import heatmap_path
from diagnosis.models import Answer, ModelVersion, Prediction
from diagnosis.queues import Turn
from diagnosis.states import FailureReason, State
from ml.checkpoint import CheckpointError

if TYPE_CHECKING:
    from PIL import Image

    from ml.classifier import Classification

logger = logging.getLogger(__name__)

# Enough that the statements cost little beside the model, and few enough that it has work while they run.
AT_ONCE = 32

# Of a message's first ones, for which the model waits.
FIRST = 8

Answered = list[tuple[worker.Reading, "Classification"]]


def answer_message(prediction_ids: list[str], *, task_id: str) -> None:
    """Answer the predictions that one message names, all of one model version; whose row says otherwise is left alone.

    When its turn is over, what is left goes to a further message. What the time is over for waits again, and
    requeue_stale sends each by itself. What kills its worker brings the message back: what was not claimed by then goes
    to a further message, and what was is answered each by itself, so that no other is given up with it; from the end of
    the turn on by requeue_stale.
    """
    ids = [uuid.UUID(one) for one in prediction_ids]
    turn = Turn()
    try:
        for _ in _answers(ids, task_id=task_id, turn=turn):
            pass
        services.send_rest(turn.left)
    except SoftTimeLimitExceeded:
        logger.warning("The time was over in the midst of a message; what is left of it waits")
        let_wait(ids, task_id=task_id)


def _answers(ids: list[uuid.UUID], *, task_id: str, turn: Turn) -> Iterator[list[uuid.UUID]]:
    rows = Prediction.objects.filter(pk__in=ids)
    version = ModelVersion.objects.filter(predictions__in=rows).defer("metadata").first()
    if not version:  # all were erased
        return
    held = set(rows.filter(state=State.RUNNING, claimed_by=task_id).values_list("pk", flat=True))
    if held:
        # At once: should one of those that are held kill this worker too, the others don't wait for that.
        waiting = set(rows.filter(state=State.QUEUED).values_list("pk", flat=True))
        services.send_rest([one for one in ids if one in waiting])
        yield from _again(sorted(held, key=ids.index), task_id=task_id, turn=turn)
        return
    try:
        yield from answer_all(ids, model_version=version, task_id=task_id, turn=turn)
        worker.note_in_use(version.sha256)
    except CheckpointError:
        yield from one_by_one(ids, task_id=task_id, turn=turn)


def _again(held: list[uuid.UUID], *, task_id: str, turn: Turn) -> Iterator[list[uuid.UUID]]:
    for place, prediction_id in enumerate(held, start=1):
        worker.answer(str(prediction_id), task_id=task_id)
        yield [prediction_id]
        if place == 1:
            turn.begin()  # loading the model may have taken longer than a turn does
        if turn.is_over():
            # requeue_stale sends each by itself. The attempt counts: one of them may be what killed the worker.
            left = Prediction.objects.filter(pk__in=held[place:], claimed_by=task_id)
            left.give_up_exhausted()
            left.put_back()
            return


def let_wait(ids: list[uuid.UUID], *, task_id: str) -> None:
    """Let requeue_stale send each of a message's `ids` that has no end: what `task_id` holds, and the rest."""
    Prediction.objects.postpone_all(task_id=task_id)
    Prediction.objects.filter(pk__in=ids, state=State.QUEUED).update(enqueued_at=None)


def give_back(prediction_ids: list[str], *, task_id: str) -> None:
    """Let what is left of the message of a process that was stopped wait again; for the process that stopped it."""
    try:
        let_wait([uuid.UUID(one) for one in prediction_ids], task_id=task_id)
    finally:
        # The next child is forked from this process and must not share its connection.
        connection.close()


def answer_all(
    prediction_ids: Iterable[uuid.UUID], *, model_version: ModelVersion, task_id: str, turn: Turn | None = None
) -> Iterator[list[uuid.UUID]]:
    """Answer those that are QUEUED for `model_version`; give the ids, some at a time, that nothing more is done about.

    Post-states as in worker.answer; QUEUED for those that are left when the `turn` is over, which then names them.
    Whoever ends the iteration early has to put back what `task_id` still holds. Raises CheckpointError before anything
    is claimed.
    """
    classifier = worker.loaded_classifier(model_version.folder, model_version.sha256)
    feed = Feed(prediction_ids, model_version=model_version, task_id=task_id, turn=turn)
    answered: Answered = []
    stopped = recorded_early = recording = False
    last = time.monotonic()
    try:
        for classification in classifier.classify_each(feed.pictures()):
            reading = feed.taken.popleft()
            # As long as this one was waited for: those behind it wait for their turn.
            now = time.monotonic()
            reading.seconds += now - max(last, reading.read_at)
            last = now
            answered.append((reading, classification))
            # At the end as soon as nothing more is to be read, while the model works on the last ones.
            is_early = feed.ended and not recorded_early and len(answered) >= FIRST
            if len(answered) == AT_ONCE or is_early:
                recorded_early, recording = feed.ended, True
                record_all(answered, task_id=task_id)
                recording = False
                yield [reading.prediction.pk for reading, _ in answered] + feed.passed_over()
                answered = []
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        if feed.failed or recording:  # the database is at fault, and not the model
            raise
        logger.exception("The model stopped in the midst of a stream")
        stopped = True
    record_all(answered, task_id=task_id)
    yield [reading.prediction.pk for reading, _ in answered] + feed.passed_over()
    if stopped:
        # Which of those that it had taken it stops at is not known: each by itself, so that the others are answered.
        held = feed.held()
        Prediction.objects.filter(pk__in=held).postpone_all(task_id=task_id)
        yield from one_by_one(chain(held, feed.ids), task_id=task_id, turn=turn)


class Feed:
    """Claims the predictions of `ids` some at a time, and gives their pictures to the model."""

    def __init__(
        self, ids: Iterable[uuid.UUID], *, model_version: ModelVersion, task_id: str, turn: Turn | None = None
    ) -> None:
        self.ids = iter(ids)
        self.taken: deque[worker.Reading] = deque()  # by the model, in this order
        self.failed = False  # to go on: it is no fault of the model's that the stream ends
        self.ended = False  # nothing more comes after those that are taken
        self._model_version = model_version
        self._task_id = task_id
        self._turn = turn
        self._claimed: deque[Prediction] = deque()
        self._passed_over: list[uuid.UUID] = []

    def pictures(self) -> "Iterator[Image.Image]":
        """Give the pictures that can be read; the others' predictions end with their reason, or wait again."""
        # Without a message others would be asked for, and lie unclaimed, beside those that the model works on.
        at_once, is_first = min(FIRST, AT_ONCE) if self._turn else AT_ONCE, True
        try:
            while some := list(islice(self.ids, at_once)):
                claimed = Prediction.objects.claim_all(some, model_version=self._model_version, task_id=self._task_id)
                self._claimed.extend(claimed)
                self._passed_over += set(some).difference(prediction.pk for prediction in claimed)
                if self._turn and is_first:
                    self._turn.begin()  # loading the model, or the claim, may have taken longer than a turn does
                at_once, is_first = AT_ONCE, False
                while self._claimed:
                    if self._turn and self._turn.is_over():
                        self._turn.left = self._put_back() + list(self.ids)
                        return
                    prediction = self._claimed.popleft()
                    reading = worker.read(prediction, task_id=self._task_id)
                    if reading:
                        self.taken.append(reading)
                        yield reading.picture
                    else:
                        self._passed_over.append(prediction.pk)
        except Exception:
            self.failed = True
            raise
        finally:
            self.ended = True

    def _put_back(self) -> list[uuid.UUID]:
        ids = [prediction.pk for prediction in self._claimed]
        self._claimed.clear()
        Prediction.objects.filter(pk__in=ids).postpone_all(task_id=self._task_id)
        return ids

    def passed_over(self) -> list[uuid.UUID]:
        """Give, once, the predictions whose pictures the model never gets."""
        passed_over, self._passed_over = self._passed_over, []
        return passed_over

    def held(self) -> list[uuid.UUID]:
        """Give those that are claimed and have no end."""
        return [reading.prediction.pk for reading in self.taken] + [prediction.pk for prediction in self._claimed]


def one_by_one(
    prediction_ids: Iterable[uuid.UUID], *, task_id: str, turn: Turn | None = None
) -> Iterator[list[uuid.UUID]]:
    """Answer each as worker.answer does, at least one, until the `turn` is over, which then names those left too."""
    ids = iter(prediction_ids)
    for prediction_id in ids:
        worker.answer(str(prediction_id), task_id=task_id)
        yield [prediction_id]
        if turn and turn.is_over():
            turn.left = [*ids, *turn.left]
            return


def record_all(answered: Answered, *, task_id: str) -> None:
    """Record the answers that `task_id` still holds the claim of, in one transaction, as worker.record does."""
    given: list[tuple[Prediction, Answer, bytes]] = []
    for reading, classification in answered:
        prediction = reading.prediction
        if not classification.is_chest_xray:
            Prediction.objects.fail(
                prediction.pk,
                task_id=task_id,
                reason=FailureReason.NOT_A_CHEST_XRAY,
                statistics=classification.statistics,
            )
            worker.note_end(prediction, FailureReason.NOT_A_CHEST_XRAY)
            continue
        answer = Answer(
            prediction_id=prediction.pk,
            probability=classification.probability,
            milliseconds=round(reading.seconds * 1000),
            heatmap=heatmap_path(prediction, ""),
            statistics=classification.statistics,
        )
        given.append((prediction, answer, worker.heatmap_png(prediction, classification)))
    if not given:
        return
    version = given[0][0].model_version
    with transaction.atomic():
        recorded = Prediction.objects.succeed_all(
            [answer for _, answer, _ in given], model_version=version, task_id=task_id
        )
        without = [
            prediction.pk
            for prediction, answer, png in given
            if prediction.pk in recorded and not worker.store_heatmap(prediction, png, name=answer.heatmap)
        ]
        if without:
            Prediction.objects.filter(pk__in=without).update(heatmap="")
    for prediction, answer, _ in given:
        if answer.prediction_id in recorded:
            worker.note_end(prediction, State.SUCCEEDED)
