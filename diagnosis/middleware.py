"""What every page does when the storage of the files is away."""

import logging
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from diagnosis.files import StorageAway
from diagnosis.operating.lines import route_of

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60


class StorageAwayMiddleware:
    """Answer 503 with a sentence instead of a fault; no browser keeps that answer in place of the picture."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Take over StorageAway alone."""
        if not isinstance(exception, StorageAway):
            return None
        logger.error("%s: the storage is away. %s", route_of(request), exception)
        response = render(request, "503.html", status=503)
        response["Retry-After"] = str(RETRY_SECONDS)
        response["Cache-Control"] = "no-store"
        return response
