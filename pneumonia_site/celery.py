"""The Celery app; its options are the CELERY_ names in the settings."""

import logging
import os
from contextlib import suppress
from logging.config import dictConfig
from typing import Any

from billiard.util import set_pdeathsig  # type: ignore[attr-defined]  # its stubs lack it
from celery import Celery
from celery.signals import (
    before_task_publish,
    celeryd_init,
    setup_logging,
    task_postrun,
    task_prerun,
    worker_init,
    worker_process_init,
)
from django.conf import settings
from django.db import close_old_connections

from diagnosis.operating.lines import carried, carry

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pneumonia_site.settings")
# Celery would run the site's checks at each start of a worker, and load every page for them. Whoever migrates the
# database has run them.
os.environ.setdefault("CELERY_SKIP_CHECKS", "true")

app = Celery("pneumonia_site")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.steps["consumer"].add("diagnosis.operating.heartbeat.HeartbeatStep")


def log_as_the_settings_say(**_signal: Any) -> None:
    """Let a worker and beat write what the web process writes, from their first warning on."""
    dictConfig(settings.LOGGING)
    logging.captureWarnings(True)


# In embedded mode a person reads the log as Celery writes it.
if os.environ.get("SITE_MODE", "").strip() == "full":
    celeryd_init.connect(log_as_the_settings_say)
    setup_logging.connect(log_as_the_settings_say)


@before_task_publish.connect
def name_the_request(headers: dict[str, Any] | None = None, **_signal: Any) -> None:
    """Let a message say which request asked for it."""
    if headers is not None and (request_id := carried("request_id")):
        headers["request_id"] = request_id


@task_prerun.connect
def name_the_task(task_id: str, task: Any, args: tuple, **_signal: Any) -> None:
    """Let each log line of a task hold what it is about."""
    ids = {"task_id": task_id, "request_id": task.request.get("request_id") or ""}
    if task.name == "diagnosis.tasks.run_prediction":
        ids["prediction_id"] = str(args[0])
    carry(**ids)


@task_postrun.connect
def name_nothing(**_signal: Any) -> None:
    """Let no later line hold it."""
    carry()


@task_prerun.connect
@task_postrun.connect
def keep_the_connection(task: Any, **_signal: Any) -> None:
    """Keep a child's connection to the database from task to task, unless it is too old or broken, as requests do.

    A new one for each would take as long as the model does.
    """
    if not task.request.is_eager:
        close_old_connections()


@worker_init.connect
def wait_for_the_broker(**_signal: Any) -> None:
    """Let a worker wait for as long as its broker hangs; one that is gone ends the connection.

    Kombu keeps the place of a message whose acknowledgement ran into a time-out, and a worker has only the one.
    """
    if not settings.EMBEDDED:
        app.conf.broker_transport_options |= {"socket_timeout": None, "socket_keepalive": True}


@worker_init.connect
def not_ready_yet(**_signal: Any) -> None:
    """Take back what an earlier worker in this place said of itself, and let this one be asked."""
    # Registers a command by being imported; only a worker needs it.
    from diagnosis.dashboard import remote  # noqa: F401

    for file in (settings.WORKER_READY_FILE, settings.WORKER_MODEL_FILE, settings.WORKER_ALIVE_FILE):
        file.unlink(missing_ok=True)


@worker_process_init.connect
def outlive_the_thread_that_forked(**_signal: Any) -> None:
    """Let a child of embedded mode finish what it reads when its worker has to stop.

    Celery has Linux kill each child when its parent dies, and for Linux the parent is the thread that forked it. With a
    broker of files that is the main thread for the first child, and for one that replaces it another thread, which ends
    as soon as the worker stops. What a dead worker leaves behind the supervisor ends.
    """
    if settings.EMBEDDED:
        with suppress(OSError):  # elsewhere than on Linux nothing was set
            set_pdeathsig(0)


@worker_process_init.connect
def load_model(**_signal: Any) -> None:
    """Let each child of a worker load the model before its first task.

    After the fork, because TensorFlow does not survive one: the parent never even imports it.
    """
    from diagnosis import worker

    worker.load_active_model()
