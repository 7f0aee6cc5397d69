"""How much may be given at once: by one person in a minute, and by all together while the workers are behind."""

import logging
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from redis.exceptions import RedisError
from rest_framework.throttling import BaseThrottle, UserRateThrottle

from diagnosis.models import Prediction
from diagnosis.states import State, Trigger

logger = logging.getLogger(__name__)

# Within it the workers have answered some, or somebody has looked why they do not.
RETRY_SECONDS = 60


class PerMinute(UserRateThrottle):
    """At most as many requests of one user a minute as `setting` says."""

    setting: str

    def get_rate(self) -> str:
        """Read the setting."""
        return f"{getattr(settings, self.setting)}/minute"

    def counts(self, request: Any) -> bool:
        """Tell whether it is for this request."""
        raise NotImplementedError

    def allow_request(self, request: Any, view: Any) -> bool:
        """Tell whether there is room for one more."""
        try:
            return not self.counts(request) or super().allow_request(request, view)
        except RedisError:
            # Scans are taken while the broker's Redis is away, and it is the cache's as well.
            logger.warning("The cache is away; requests are not counted", exc_info=True)
            return True


class PageUploads(PerMinute):
    """Uploads on the page, of one file or of many."""

    scope = "page-uploads"
    setting = "UPLOADS_PER_MINUTE"

    def counts(self, request: HttpRequest) -> bool:
        """Count what brings files."""
        return request.method == "POST"


class Waiting(BaseThrottle):
    """No further upload while so many wait that its answer would come when nobody waits for it any more.

    Each is kept on disk and in the database, so that without a limit it is the disk that says no, to everybody. What
    batches ask for is not counted: it makes way for people, and brings no files.
    """

    def allow_request(self, request: Any, view: Any) -> bool:
        """Tell whether one more may wait."""
        if request.method != "POST" or not settings.UPLOADS_WAITING:
            return True
        waiting = Prediction.objects.filter(state=State.QUEUED, trigger__in=(Trigger.UPLOAD, Trigger.API)).order_by()
        return waiting.values("pk")[: settings.UPLOADS_WAITING].count() < settings.UPLOADS_WAITING

    def wait(self) -> float:
        """Give the seconds after which it is worth another try."""
        return RETRY_SECONDS


def refusal_of(request: HttpRequest) -> HttpResponse | None:
    """Give the page that refuses a further upload for now, with Retry-After; None where it may come."""
    for throttle in (PageUploads(), Waiting()):
        if not throttle.allow_request(request, None):
            response = render(request, "429.html", {"is_behind": isinstance(throttle, Waiting)}, status=429)
            response["Retry-After"] = str(max(1, round(throttle.wait() or RETRY_SECONDS)))
            return response
    return None
