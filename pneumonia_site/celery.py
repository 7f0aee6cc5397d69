"""The Celery app; its options are the CELERY_ names in the settings."""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_init, worker_process_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pneumonia_site.settings")
# Celery would run the site's checks at each start of a worker, and load every page for them. Whoever migrates the
# database has run them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

app = Celery("pneumonia_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
def not_ready_yet(**_signal: Any) -> None:
    """Take back what an earlier worker in this place said of itself, and let this one be asked."""
    from django.conf import settings

    # Registers a command by being imported; only a worker needs it.
    from diagnosis.dashboard import remote  # noqa: F401

    for file in (settings.WORKER_READY_FILE, settings.WORKER_MODEL_FILE):
        file.unlink(missing_ok=True)


@worker_process_init.connect
def load_model(**_signal: Any) -> None:
    """Let each child of a worker load the model before its first task.

    After the fork, because TensorFlow does not survive one: the parent never even imports it.
    """
    from diagnosis import worker

    worker.load_active_model()
