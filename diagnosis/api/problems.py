"""Every error of the API as problem details (RFC 9457): one shape, a code for programs, a sentence for people."""

import json
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, cast

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from rest_framework import status
from rest_framework.exceptions import APIException, ErrorDetail, NotFound, ValidationError
from rest_framework.response import Response
from rest_framework.views import exception_handler

from diagnosis import refusals, services
from diagnosis.middleware import RETRY_SECONDS

MEDIA_TYPE = "application/problem+json"
API_ROOT = "/api/"

# Headers that tell of a page, and nothing of what stands in its place.
OF_ITS_CONTENT = {"Content-Type", "Content-Length", "Content-Language", "Content-Encoding", "Location", "ETag"}

# What Django answers by itself, outside the views: before a view is found, or when one fails.
SENTENCES = {
    400: "This request can't be understood.",
    403: "This is not allowed.",
    404: "There is nothing here for you.",
    500: "Something went wrong on our side; the fault was logged.",
}


class Unprocessable(ValidationError):
    """The request is understood, and something in it is wrong."""

    status_code = status.HTTP_422_UNPROCESSABLE_ENTITY


class TooLarge(APIException):
    """More bytes than are taken."""

    status_code = status.HTTP_413_REQUEST_ENTITY_TOO_LARGE
    default_code = "too_large"
    default_detail = "This request is too large."


class Refused(APIException):
    """Intake refused the file, or it can't be stored now: its code and its sentence are the problem's."""

    def __init__(self, refusal: refusals.Refusal):
        super().__init__(str(refusal), refusal.code)
        too_large = refusal.code == "TOO_LARGE"
        self.status_code = TooLarge.status_code if too_large else Unprocessable.status_code
        if isinstance(refusal, services.NotStored):
            self.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
            self.wait = RETRY_SECONDS  # becomes Retry-After


class FileMissing(APIException):
    """The row names a file, and the storage has none."""

    status_code = status.HTTP_404_NOT_FOUND
    default_code = "file_missing"
    default_detail = "The stored file is missing."


class NoActiveModelVersion(APIException):
    """No model version is active."""

    status_code = status.HTTP_404_NOT_FOUND
    default_code = "no_active_model"
    default_detail = "No model is active yet. Scans can be given and are kept, but nothing answers them."


def problem(status_code: int, code: str, detail: str, instance: str, **more: Any) -> dict[str, Any]:
    """Give the members of a problem; `code` tells programs more than the status does, `instance` is the path."""
    return {
        "type": "about:blank",
        "title": HTTPStatus(status_code).phrase,
        "status": status_code,
        "code": code.upper(),
        "detail": detail,
        "instance": instance,
        **more,
    }


def handle(error: Exception, context: dict[str, Any]) -> Response | None:
    """Answer an error of a view with a problem; None for faults of ours, which Django logs and answers with 500."""
    if isinstance(error, RequestDataTooBig):
        error = TooLarge()
    if isinstance(error, Http404):
        error = NotFound(SENTENCES[404])  # Django's own names tables of ours
    if isinstance(error, ValidationError):
        error = Unprocessable(error.detail)
    response = exception_handler(error, context)
    if response is None:
        return None
    path = context["request"].path
    if isinstance(error, ValidationError):
        errors = list(_errors(error.detail))
        detail = " ".join(dict.fromkeys(f"{each['field']}: {each['detail']}" for each in errors))
        response.data = problem(response.status_code, "invalid", detail, path, errors=errors)
    else:
        detail = response.data["detail"]
        code = error.get_codes() if isinstance(error, Refused) else detail.code
        response.data = problem(response.status_code, cast(str, code), str(detail), path)
    response.content_type = MEDIA_TYPE
    return response


def _errors(detail: Any, field: str = "") -> Iterator[dict[str, str]]:
    """Give each wrong field with its own code and sentence."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _errors(inner, f"{field}.{name}" if field else str(name))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _errors(inner, field)
    else:
        yield {"field": field, "code": str(cast(ErrorDetail, detail).code).upper(), "detail": str(detail)}


class ProblemsOfTheApi:
    """Middleware: what Django itself answers under /api/ is a problem too, never a page and never a redirect."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Put a problem in place of a page."""
        response = self.get_response(request)
        is_page = response.get("Content-Type", "").startswith("text/html")
        if not (request.path_info.startswith(API_ROOT) and is_page):
            return response
        if 300 <= response.status_code < 400:
            # Following it would send the token in the clear again and again without anybody noticing.
            sentence = "The API answers over HTTPS only. If this token went over plain HTTP, make a new one."
            return _plain(request, response, 403, "https_required", sentence)
        return _plain(request, response, response.status_code, HTTPStatus(response.status_code).name, None)


def _plain(request: HttpRequest, page: HttpResponse, status_code: int, code: str, sentence: str | None) -> HttpResponse:
    """Give a problem in place of `page`, with what other middleware put into its headers for every answer."""
    detail = sentence or SENTENCES.get(status_code, SENTENCES[500 if status_code >= 500 else 400])
    content = json.dumps(problem(status_code, code, detail, request.path))
    kept = {name: value for name, value in page.headers.items() if name not in OF_ITS_CONTENT}
    headers = kept | {"Cache-Control": "no-store"}
    return HttpResponse(content, content_type=MEDIA_TYPE, status=status_code, headers=headers)
