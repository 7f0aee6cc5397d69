"""Each request gets an id, a line in the log and a place in the figures."""

import logging
import re
import time
import uuid
from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from diagnosis.operating.lines import carrying, route_of
from diagnosis.operating.metrics import note_request

logger = logging.getLogger(__name__)

HEADER = "X-Request-ID"
# Long enough to be one of a kind, short enough for a log; nothing that could break out of a line.
AN_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")

# They ask every few seconds, and what they learn is in their own log.
MONITORS = {"healthz", "readyz", "metrics"}


class RequestsAreNamedAndCounted:
    """First of all middleware: whatever answers, it is counted, and its log lines hold the request's id."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        request_id = id_of(request)
        with carrying(request_id=request_id):
            response = self.get_response(request)
            seconds = time.monotonic() - began
            view = request.resolver_match.view_name if request.resolver_match else ""
            method = request.method if request.method in {"GET", "HEAD", "POST", "DELETE", "OPTIONS"} else "other"
            note_request(view=view, method=str(method), status=response.status_code, seconds=seconds)
            # In embedded mode the web server writes it, as people know it.
            if not settings.EMBEDDED and view not in MONITORS:
                logger.info(
                    "answered",
                    extra={
                        "method": method,
                        "route": route_of(request),
                        "status": response.status_code,
                        "milliseconds": round(1000 * seconds),
                    },
                )
        response.headers[HEADER] = request_id
        return response


def id_of(request: HttpRequest) -> str:
    """Give the id that the operator's own proxy gave the request, else a new one."""
    given = request.headers.get(HEADER, "") if settings.ALLAUTH_TRUSTED_PROXY_COUNT else ""
    return given if AN_ID.fullmatch(given) else uuid.uuid4().hex
