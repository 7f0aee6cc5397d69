"""What gunicorn has to know: `gunicorn --config python:pneumonia_site.gunicorn_conf pneumonia_site.wsgi`.

Its log, its idle connections, and a folder in which its processes count requests together, so that /metrics tells of
all of them.
"""

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from diagnosis.operating.lines import logging_settings

# Seconds for which an idle connection stays open: longer than a proxy keeps one of its own (nginx: 60), which else may
# send a request at the very moment at which it is closed. None of the threads waits for it.
keepalive = 75

FOLDER = "PROMETHEUS_MULTIPROC_DIR"

if os.environ.get("SITE_MODE", "").strip() == "full":
    logconfig_dict = logging_settings(json=True)
    # The line of each request is the site's own: gunicorn's would hold addresses, of people and with secrets.
    logconfig_dict["loggers"] |= {
        "gunicorn.access": {"handlers": [], "propagate": False},
        "gunicorn.error": {
            "handlers": ["console"],
            "propagate": False,
            "level": "INFO",
            "filters": ["without_addresses"],
        },
    }


def on_starting(server: Any) -> None:
    """Make the folder, in memory where there is such a place; an older server beside this one has its own."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own in it
    os.environ[FOLDER] = tempfile.mkdtemp(prefix="pneumonia-metrics-", dir=memory if memory.is_dir() else None)


def child_exit(server: Any, worker: Any) -> None:
    """Let a process that is gone have nothing that only a living one has; what it counted stays counted."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Take the folder away."""
    shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
