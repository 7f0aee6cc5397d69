"""Downloads that take long: one at a time for a person, a few at a time for a process, none for ever.

Each holds one of the web's few threads for as long as the receiver takes. The other threads have to stay free.
"""

import logging
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Self

from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

RETRY_SECONDS = 30


class Busy(Exception):
    """It is not this person's turn; the text is safe to show."""


class TooSlow(Exception):
    """The receiver took longer than a download may; what it has is cut short."""


class Turn:
    """The right to download, until it is given back. Without a cache only this process counts."""

    _lock = threading.Lock()
    _taken = 0

    def __init__(self, key: str) -> None:
        self.key, self.mark, self.is_held = key, uuid.uuid4().hex, True

    @classmethod
    def take(cls, user) -> Self:
        """Take a turn for `user`. Raises Busy."""
        turn = cls(f"export-{user.pk}")
        with cls._lock:
            if cls._taken >= settings.EXPORTS_AT_ONCE:
                raise Busy(gettext("Others are downloading right now. Please try again in a minute."))
            cls._taken += 1
        try:
            # Longer than a turn lasts: a process that is killed gives none back.
            is_first = cache.add(turn.key, turn.mark, settings.EXPORT_MAX_SECONDS + RETRY_SECONDS)
        except RedisError:
            logger.warning("The cache is away; downloads are not counted", exc_info=True)
            is_first = True
        except BaseException:
            turn._free_place()
            raise
        if not is_first:
            turn._free_place()
            raise Busy(gettext("A download of yours is still running. When it is finished you can start another."))
        return turn

    def give_back(self) -> None:
        """Let the next one in; a second call does nothing."""
        if not self.is_held:
            return
        self._free_place()
        try:
            if cache.get(self.key) == self.mark:
                cache.delete(self.key)
        except RedisError:
            logger.warning("The cache is away; a download is not counted out", exc_info=True)

    def _free_place(self) -> None:
        self.is_held = False
        with self._lock:
            Turn._taken -= 1


class Stream:
    """The `parts` of a download while it is `turn`, which goes back when they end, fail, or nobody wants more."""

    def __init__(self, parts: Iterator[bytes], turn: Turn) -> None:
        self.parts, self.turn = parts, turn
        self.ends_at = time.monotonic() + settings.EXPORT_MAX_SECONDS

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """Give the next part. Raises TooSlow, so that the server breaks off and the receiver sees that it is cut."""
        if time.monotonic() > self.ends_at:
            raise TooSlow(f"A download took more than {settings.EXPORT_MAX_SECONDS} s (EXPORT_MAX_SECONDS).")
        return next(self.parts)

    def close(self) -> None:
        """Give the turn back; the server calls it in any case, also before the first part."""
        try:
            getattr(self.parts, "close", lambda: None)()
        finally:
            self.turn.give_back()
