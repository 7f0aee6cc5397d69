"""Celery's beat, proof against a clock that is set back."""

from typing import Any

from celery.beat import PersistentScheduler
from celery.utils.log import get_logger

logger = get_logger(__name__)


class Scheduler(PersistentScheduler):
    """Celery's own waits until the time comes round again at which it last did something: for years, if need be."""

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Do what is due; what was last done in the future counts as done now."""
        now = self.app.now()
        ahead = [entry for entry in self.schedule.values() if entry.last_run_at and entry.last_run_at > now]
        if ahead:
            logger.warning("The clock was set back: %s tasks count from now on", len(ahead))
            for entry in ahead:
                entry.last_run_at = now
            self._heap = None  # holds the times at which each would have been due
        return super().tick(*args, **kwargs)
