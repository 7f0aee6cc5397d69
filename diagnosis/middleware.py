"""What every page does: storage or cache away, too many tries, an address that is none."""

import logging
from collections.abc import Callable

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.template.response import TemplateResponse
from redis.exceptions import RedisError

from diagnosis.files import StorageAway
from diagnosis.operating.lines import route_of
from diagnosis.sign_in import is_guessing

logger = logging.getLogger(__name__)

RETRY_SECONDS = 60

# As long as the longest of allauth's limits counts: failed log-ins of one account.
TRY_AGAIN_SECONDS = 300


# What may be away, by what its client raises: how the log calls it, and the page that says so.
AWAY = {
    StorageAway: ("storage", "503.html"),
    # Nobody can count tries, which signing in and up can't be without. All else does without it, and catches this.
    RedisError: ("cache", "503_accounts.html"),
}


class AwayMiddleware:
    """Answer 503 with a sentence instead of a fault; no browser keeps that answer in place of the picture."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Take over what AWAY names."""
        for error, (what, page) in AWAY.items():
            if isinstance(exception, error):
                logger.error("%s: the %s is away. %s", route_of(request), what, exception)
                response = render(request, page, status=503)
                response["Retry-After"] = str(RETRY_SECONDS)
                response["Cache-Control"] = "no-store"
                return response
        return None


class TooManyTriesMiddleware:
    """Say in the status and a header what allauth says on its pages alone: too many tries, and when to come again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code == 429:
            response.headers.setdefault("Retry-After", str(TRY_AGAIN_SECONDS))
        return response

    def process_template_response(self, request: HttpRequest, response: TemplateResponse) -> TemplateResponse:
        """Find the form that was refused unread."""
        if is_guessing((response.context_data or {}).get("form")):
            response.status_code = 429
        return response


class NoNulMiddleware:
    """Refuse an address with a NUL in it: no text here holds one, and PostgreSQL fails over a comparison with it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        # Where a form or a serializer judges the query, it tells which part of it can't be meant.
        asked = "" if request.path_info.startswith(("/api/", "/scans/")) else request.META.get("QUERY_STRING", "")
        if "\0" in request.path_info or "%00" in asked:
            raise BadRequest("A NUL in the address.")
        return self.get_response(request)
