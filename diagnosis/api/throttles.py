"""How often one user may ask in a minute; uploads and all else are counted apart."""

import logging
from typing import Any

from django.conf import settings
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import UserRateThrottle

logger = logging.getLogger(__name__)


class PerMinute(UserRateThrottle):
    """At most as many requests of one user a minute as `setting` says."""

    setting: str

    def get_rate(self) -> str:
        """Read the setting."""
        return f"{getattr(settings, self.setting)}/minute"

    def counts(self, request: Request) -> bool:
        """Tell whether it is for this request."""
        raise NotImplementedError

    def allow_request(self, request: Request, view: Any) -> bool:
        """Tell whether there is room for one more."""
        try:
            return not self.counts(request) or super().allow_request(request, view)
        except RedisError:
            # Scans are taken while the broker's Redis is away, and it is the cache's as well.
            logger.warning("The cache is away; requests to the API are not counted", exc_info=True)
            return True


class UploadThrottle(PerMinute):
    """Uploads."""

    scope = "api-uploads"
    setting = "API_UPLOADS_PER_MINUTE"

    def counts(self, request: Request) -> bool:
        """Count what brings a picture."""
        return request.method == "POST"


class ReadThrottle(PerMinute):
    """Everything but uploads."""

    scope = "api-reads"
    setting = "API_READS_PER_MINUTE"

    def counts(self, request: Request) -> bool:
        """Count the rest."""
        return request.method != "POST"
