"""The Celery tasks: ids in, one call each. The options that all share are in the settings."""

from datetime import timedelta
from itertools import islice
from typing import Any

from billiard.exceptions import TimeLimitExceeded
from celery import Task, shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

# A worker that sends messages answers nobody meanwhile; the next minute sends more.
REQUEUED_AT_ONCE = 1000

# Nor one that counts: a long past is left for the next runs, or for the command.
COUNT_AT_MOST = timedelta(seconds=2)

# So many are erased within seconds, also in a bucket; people's scans come in between.
ERASED_AT_ONCE = 200

# A database that is started again, or that cuts a connection, is back within seconds. The message comes again by the
# same id, and so takes up its own claim; what takes longer is left to requeue_stale.
WHILE_THE_DATABASE_IS_AWAY: dict[str, Any] = {
    "autoretry_for": (InterfaceError, OperationalError),
    "retry_backoff": True,
    "retry_backoff_max": 30,
    "max_retries": 8,
}


class PredictionTask(Task):
    """A reading that the hard time limit ended is recorded by the worker's main process, which outlives it.

    The child notes the soft limit itself, unless it is deep in native code and does not hear the signal.
    """

    def on_failure(self, exc: Exception, task_id: str, args: tuple, kwargs: dict, einfo: Any) -> None:
        """Record why there is no answer; other failures have been recorded by the child."""
        if isinstance(exc, TimeLimitExceeded):
            from diagnosis import worker

            worker.note_timeout(args[0], task_id=task_id)


@shared_task(bind=True, base=PredictionTask, **WHILE_THE_DATABASE_IS_AWAY)
def run_prediction(self, prediction_id: str) -> None:
    """Answer one prediction. Harmless when the message is late or doubled: the row decides."""
    # Here, so that the web process, which only sends the task, never loads what the worker needs.
    from diagnosis import worker

    worker.answer(prediction_id, task_id=self.request.id)


class PredictionsTask(Task):
    """What the hard time limit ended is not the fault of all that it held: they wait, and are sent each by itself."""

    def on_failure(self, exc: Exception, task_id: str, args: tuple, kwargs: dict, einfo: Any) -> None:
        """Let them wait again; other failures have been recorded by the child."""
        if isinstance(exc, TimeLimitExceeded):
            from diagnosis import stream

            stream.give_back(args[0], task_id=task_id)


@shared_task(bind=True, base=PredictionsTask, **WHILE_THE_DATABASE_IS_AWAY)
def run_predictions(self, prediction_ids: list[str]) -> None:
    """Answer some predictions of a batch, all of one model version. Harmless when the message is late or doubled."""
    from diagnosis import stream

    stream.answer_message(prediction_ids, task_id=self.request.id)


@shared_task
def requeue_stale_predictions() -> None:
    """Send lost predictions to the workers again; beat calls it every minute."""
    from diagnosis import services
    from diagnosis.dashboard.rows import LastRun

    requeued = services.requeue_stale(limit=REQUEUED_AT_ONCE)
    LastRun.note(LastRun.REQUEUE, sent=requeued.sent, given_up=requeued.given_up, unsent=requeued.unsent)


@shared_task
def count_days() -> None:
    """Count for the dashboard what happened; beat calls it every five minutes."""
    from diagnosis.dashboard import counting

    counting.count_days(at_most=COUNT_AT_MOST)


@shared_task
def erase_expired_scans() -> None:
    """Erase what was kept for long enough, a part at a time; beat calls it every day."""
    from diagnosis import erasure

    if sum(1 for _ in islice(erasure.erase_expired(), ERASED_AT_ONCE)) == ERASED_AT_ONCE:
        erase_expired_scans.apply_async(queue=settings.QUEUE_OF_BATCHES)


@shared_task
def forget_expired_sessions() -> None:
    """Delete the sessions that are over: they name their users; beat calls it every day."""
    from diagnosis.sessions import SessionStore

    SessionStore.clear_expired()
