"""What the main process of a worker tells of itself when it is asked through the broker."""

from typing import Any

from celery.worker.control import inspect_command
from celery.worker.state import active_requests
from django.conf import settings


@inspect_command()
def model_in_use(state: Any) -> dict[str, Any]:
    """Tell which version the worker's child uses and since when (None: none yet), and how many tasks it is at."""
    try:
        sha256 = settings.WORKER_MODEL_FILE.read_text()
        since = settings.WORKER_MODEL_FILE.stat().st_mtime
    except FileNotFoundError:
        sha256, since = None, None
    return {"sha256": sha256, "since": since, "busy": len(active_requests)}
