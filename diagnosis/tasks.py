"""The Celery tasks: an id in, one call each. The options that all share are in the settings."""

from celery import shared_task


@shared_task(bind=True)
def run_prediction(self, prediction_id: str) -> None:
    """Answer one prediction. Harmless when the message is late or doubled: the row decides."""
    # Here, so that the web process, which only sends the task, never loads what the worker needs.
    from diagnosis import worker

    worker.answer(prediction_id, task_id=self.request.id)


@shared_task
def requeue_stale_predictions() -> None:
    """Send lost predictions to the workers again; beat calls it every minute."""
    from diagnosis import services

    services.requeue_stale()
