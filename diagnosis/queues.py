"""The broker's queues: what waits in them, whether a batch has to stand back, whether a message is worth a try."""

import logging
import time
import uuid
from typing import Any, cast

from django.conf import settings
from kombu import Connection
from kombu.exceptions import ChannelError
from kombu.exceptions import OperationalError as BrokerError

logger = logging.getLogger(__name__)

# How long somebody may wait until a batch looks whether somebody does. The broker is asked that often.
LOOK_SECONDS = 0.03

# For how long a message has further pictures taken; the few that the model has by then come on top. A worker that has
# to stop finishes its message. Measured: two workers on two cores take five seconds for one, and one that is cut short
# costs a further one.
LONGEST_SECONDS = 8

# Of the time that a task has, loading the model included. What is left goes to a further message before the limit takes
# it away.
SHARE_OF_THE_TIME = 0.5

# A broker that hangs costs each message several time-outs, and an upload may have a hundred files. After one that it
# did not take none is tried for so long; what is not sent meanwhile waits for requeue_stale, as that one does.
REST_SECONDS = 30


class Rest:
    """The time during which this process sends nothing, because the broker did not take the last message."""

    def __init__(self) -> None:
        self._until = 0.0

    def begin(self) -> None:
        """Send nothing from now on."""
        self._until = time.monotonic() + REST_SECONDS

    def end(self) -> None:
        """Try again with the next message."""
        self._until = 0.0

    def is_over(self) -> bool:
        """Tell whether a message may be tried."""
        return time.monotonic() >= self._until


rest = Rest()


def messages_in_queues() -> dict[str, int] | None:
    """Count the messages in each queue that no worker has taken yet; None while the broker is away."""
    from pneumonia_site.celery import app

    names = (settings.QUEUE_OF_PEOPLE, settings.QUEUE_OF_BATCHES)
    with app.connection_for_read() as connection:
        try:
            # Once, and not again and again: a page waits.
            connection.ensure_connection(max_retries=1, interval_start=0, interval_step=0)
            with connection.channel() as channel:
                return {name: _messages(channel, name) for name in names}
        except errors_while_away(connection):
            return None


def errors_while_away(connection: Any) -> tuple[type[Exception], ...]:
    """Give what is raised while the broker is away; that of Redis's own client is no OSError."""
    return (BrokerError, OSError, *connection.connection_errors)


def _messages(channel: Any, queue: str) -> int:
    try:
        return channel.queue_declare(queue=queue, passive=True).message_count
    except ChannelError:  # Redis knows no empty list
        return 0


class Turn:
    """The turn of a batch's message at a worker, from now until somebody waits, or it has lasted for long enough.

    `left` are the ids of the predictions that it did not come to.
    """

    def __init__(self) -> None:
        self.left: list[uuid.UUID] = []
        self._asks = True
        self._latest_end = time.monotonic() + SHARE_OF_THE_TIME * settings.PREDICTION_SOFT_TIME_LIMIT
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._looked_at = time.monotonic()
        self._end = min(self._looked_at + LONGEST_SECONDS, self._latest_end)

    def is_over(self) -> bool:
        """Tell whether what is left has to wait for a further message; cheap enough to be asked before each picture."""
        now = time.monotonic()
        if now > self._end:
            return True
        if not self._asks or now - self._looked_at < LOOK_SECONDS:
            return False
        waits = self._somebody_waits()
        self._looked_at = time.monotonic()
        return waits

    def _somebody_waits(self) -> bool:
        from pneumonia_site.celery import app

        with cast(Connection, app.pool.acquire(block=True)) as connection:
            try:
                return _messages(connection.default_channel, settings.QUEUE_OF_PEOPLE) > 0
            except errors_while_away(connection):
                # Each further question would cost a time-out, and the messages of people are away with the broker.
                logger.warning("The broker is away: this message of a batch stands back for nobody")
                self._asks = False
                return False
