"""Asking what may never answer: a database that hangs, a broker that is paused."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")


class NoAnswer(Exception):
    """It did not answer in time."""


class Bounded(Generic[T]):
    """A question that is put in a thread of its own, and by one thread at a time.

    However often it is asked while it hangs, one thread hangs. An answer counts for `fresh` seconds, so that strangers
    who ask often cost little.
    """

    def __init__(self, question: Callable[[], T], *, fresh: float) -> None:
        self._question, self._fresh = question, fresh
        self._lock = threading.Lock()
        self._turn: Turn[T] | None = None

    def put(self) -> "Turn[T]":
        """Put it now, or give the turn that still counts: several can be waited for at once."""
        with self._lock:
            if self._turn is None or self._turn.is_over(self._fresh):
                self._turn = Turn(self._question)
            return self._turn

    def forget(self) -> None:
        """Let nothing that was answered before count."""
        with self._lock:
            self._turn = None


class Turn(Generic[T]):
    """The question put once."""

    def __init__(self, question: Callable[[], T]) -> None:
        self._done = threading.Event()
        self._ended_at = 0.0
        self._error: Exception | None = None
        self._answer: T
        # A daemon: a server that stops does not wait for it.
        threading.Thread(target=self._put, args=(question,), daemon=True).start()

    def _put(self, question: Callable[[], T]) -> None:
        try:
            self._answer = question()
        except Exception as error:  # noqa: BLE001 - raised where it is asked
            self._error = error
        finally:
            # The connection is this thread's own, and nobody would ever close it.
            connections.close_all()
            self._ended_at = time.monotonic()
            self._done.set()

    def is_over(self, fresh: float) -> bool:
        """Tell whether it was answered longer ago than `fresh` seconds."""
        return self._done.is_set() and time.monotonic() - self._ended_at > fresh

    def outcome(self, seconds: float) -> T:
        """Give the answer, or raise what the question raised; NoAnswer when there is neither within `seconds`."""
        if not self._done.wait(seconds):
            raise NoAnswer
        if self._error:
            raise self._error
        return self._answer
