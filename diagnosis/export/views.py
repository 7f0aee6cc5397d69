"""The downloads: who may have what, under which name, and how often."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_safe

from diagnosis import audit
from diagnosis.audit import Action
from diagnosis.export import archive, history
from diagnosis.export.page import report_response
from diagnosis.export.report import NotFinished
from diagnosis.export.turns import RETRY_SECONDS, Busy, Stream, Turn
from diagnosis.models import Scan
from diagnosis.views import private_page


@require_safe
@private_page
def prediction_report(request: HttpRequest, scan_id: UUID, prediction_id: UUID) -> HttpResponse:
    """Give the report of an answer as a PDF; 404 while there is none."""
    scan = get_object_or_404(Scan.objects.visible_to(request.user), pk=scan_id)
    prediction = get_object_or_404(reportable(scan), pk=prediction_id)
    try:
        return report_response(prediction, request)
    except NotFinished as error:
        raise Http404(str(error)) from error


def reportable(scan: Scan) -> Any:
    """Give the predictions on `scan` with all that a report tells."""
    rows = scan.predictions.select_related("scan", "model_version").defer("model_version__metadata")
    return rows.prefetch_related("reviews")


@require_GET
@private_page
def history_csv(request: HttpRequest) -> HttpResponseBase:
    """Give the own history as a table."""
    return _download(request, "scans.csv", "text/csv; charset=utf-8", partial(history.as_csv, request.user))


@require_GET
@private_page
def history_json(request: HttpRequest) -> HttpResponseBase:
    """Give the own history in the words of the API."""
    return _download(request, "scans.json", "application/json", partial(history.as_json, request.user, request))


@require_GET
@private_page
def everything(request: HttpRequest) -> HttpResponseBase:
    """Give all that the site holds of who asks."""
    return _download(
        request, "everything.zip", "application/zip", partial(archive.everything_of, request.user, request)
    )


def _download(
    request: HttpRequest, name: str, content_type: str, parts: Callable[[], Iterator[bytes]]
) -> HttpResponseBase:
    """Send `parts` as they are made, and write down that somebody has them; 429 while it is not this person's turn."""
    user = cast(User, request.user)
    try:
        turn = Turn.take(user)
    except Busy as error:
        response = render(request, "diagnosis/export_busy.html", {"sentence": str(error)}, status=429)
        response["Retry-After"] = str(RETRY_SECONDS)
        return response
    try:
        detail = name.rpartition(".")[2].upper()
        audit.record(action=Action.EXPORTED, actor=user, owner=user, detail=detail)
    except BaseException:
        turn.give_back()
        raise
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingHttpResponse(Stream(parts(), turn), content_type=content_type, headers=headers)
