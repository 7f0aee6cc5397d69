"""What each worker leaves every few seconds, so that whoever asks need not wait for the workers.

In full mode in the broker, by the clock of the broker: it shows that a worker's main process runs and reaches the
broker. In embedded mode in a file.
"""

import json
import logging
import time
from dataclasses import dataclass
from typing import Any

import redis
from celery import bootsteps
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

EVERY_SECONDS = 10.0
# Three were missed, and one may be on its way.
LATE_SECONDS = 45.0
# Of a worker that is gone.
FORGOTTEN_AFTER_SECONDS = 3600.0
# The worker's main process does nothing else meanwhile.
PATIENCE_SECONDS = 1.0

KEY = "pneumonia_site.workers"


@dataclass(frozen=True)
class Heartbeat:
    """When a worker last said that it lives; `sha256` is of the model in use, "" where the active one can't be loaded.

    None: it has loaded none yet.
    """

    worker: str
    age: float  # seconds
    sha256: str | None

    @property
    def is_late(self) -> bool:
        """Tell whether it must be away."""
        return self.age > LATE_SECONDS


def heartbeats() -> list[Heartbeat]:
    """Give the last heartbeat of each worker of the last hour. Raises RedisError while the broker is away."""
    if settings.EMBEDDED:
        return _embedded()
    with broker() as client:
        now, told = _clock(client), client.hgetall(KEY)
    return sorted(
        (Heartbeat(name.decode(), max(0.0, now - at), sha256) for name, (at, sha256) in _read(told).items()),
        key=lambda heartbeat: heartbeat.worker,
    )


def _embedded() -> list[Heartbeat]:
    try:
        age = time.time() - settings.WORKER_ALIVE_FILE.stat().st_mtime
    except FileNotFoundError:
        return []
    return [Heartbeat("worker", max(0.0, age), model_in_use())]


def beat(worker: str) -> None:
    """Leave one of `worker`; what goes wrong is logged, no more."""
    try:
        if settings.EMBEDDED:
            settings.WORKER_ALIVE_FILE.touch()
            return
        with broker() as client:
            now = _clock(client)
            gone = [name for name, (at, _) in _read(client.hgetall(KEY)).items() if now - at > FORGOTTEN_AFTER_SECONDS]
            client.hset(KEY, worker, json.dumps([now, model_in_use()]))
            if gone:
                client.hdel(KEY, *gone)
    except (RedisError, OSError) as error:
        logger.warning("A heartbeat could not be left: %s", type(error).__name__)


def forget(worker: str) -> None:
    """Take back what `worker`, which stops, said."""
    try:
        if settings.EMBEDDED:
            settings.WORKER_ALIVE_FILE.unlink(missing_ok=True)
            return
        with broker() as client:
            client.hdel(KEY, worker)
    except (RedisError, OSError):
        # It grows old by itself.
        logger.debug("A heartbeat could not be taken back", exc_info=True)


def broker() -> redis.Redis:
    """Give a connection to the broker of full mode that waits for no longer than PATIENCE_SECONDS each time."""
    return redis.Redis.from_url(
        settings.CELERY_BROKER_URL, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS
    )


def model_in_use() -> str | None:
    """Give what the child of the worker in this place last noted."""
    try:
        return settings.WORKER_MODEL_FILE.read_text()
    except FileNotFoundError:
        return None


def _clock(client: Any) -> float:
    seconds, microseconds = client.time()
    return seconds + microseconds / 1e6


def _read(told: dict[bytes, bytes]) -> dict[bytes, tuple[float, str | None]]:
    return {name: tuple(json.loads(value)) for name, value in told.items()}


class HeartbeatStep(bootsteps.StartStopStep):
    """Lets the loop that receives messages beat: one that hangs falls silent."""

    requires = ("celery.worker.consumer.tasks:Tasks",)

    def __init__(self, parent: Any, **options: Any) -> None:
        super().__init__(parent, **options)
        self._timer: Any = None

    def start(self, parent: Any) -> None:
        """Beat now and from now on."""
        beat(parent.hostname)
        self._timer = parent.timer.call_repeatedly(EVERY_SECONDS, beat, (parent.hostname,))

    def stop(self, parent: Any) -> None:
        """Fall silent."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
            forget(parent.hostname)
