"""What the operations of the API share: who may see what, pages of rows, when to ask again, files."""

from typing import Any, cast

from django.contrib.auth.models import User
from django.core.files.base import File
from django.db.models.fields.files import FieldFile
from django.http import FileResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis import audit, waiting
from diagnosis.api import document
from diagnosis.api.document import header
from diagnosis.api.paging import PageQuery, once_each
from diagnosis.api.problems import FileMissing
from diagnosis.audit import Action
from diagnosis.models import Prediction, Scan

SCAN_ID = OpenApiParameter("scan_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="`id` of the scan.")
EVERYWHERE = [document.RETRY_AFTER, document.WHO_TO_BE]


class Api(generics.GenericAPIView):
    """What all operations share."""

    # `Allow` would name OPTIONS, which is answered with 405: it is for pages of other sites, and those may not call.
    http_method_names = [name for name in generics.GenericAPIView.http_method_names if name != "options"]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """Let no cache keep what somebody was told, unless the operation says otherwise."""
        response = super().finalize_response(request, response, *args, **kwargs)
        response.headers.setdefault("Cache-Control", "no-store")
        return response

    def visible_scans(self) -> Any:
        """Give the scans that are there for who asks."""
        return Scan.objects.visible_to(self.request.user)

    def visible_scan(self) -> Scan:
        """Give the scan that the path names; 404 for strangers."""
        return get_object_or_404(self.visible_scans(), pk=self.kwargs["scan_id"])

    def opened_scan(self, scans: Any = None) -> Scan:
        """Give the scan that the path names, of `scans` or all visible ones, to be shown; the audit notes the look."""
        scan = get_object_or_404(self.visible_scans() if scans is None else scans, pk=self.kwargs["scan_id"])
        audit.record(action=Action.VIEWED, actor=cast(User, self.request.user), scan=scan)
        return scan


class Rows(Api, generics.ListAPIView):
    """A list by pages; `query_class` says what can be asked for."""

    query_class: type[PageQuery] = PageQuery
    newest_first: str

    def filter_queryset(self, queryset: Any) -> Any:
        """Keep what was asked for."""
        self.query = self.query_class(data=once_each(self.request.query_params))
        self.query.is_valid(raise_exception=True)
        return super().filter_queryset(queryset)


def wait_header(*statuses: int, required: bool = False) -> Any:
    """Describe when to ask again."""
    when = "Seconds to wait before asking again" + ("." if required else "; absent when there is nothing to wait for.")
    return header("Retry-After", when, *statuses, kind=int, required=required)


def ask_again(response: Response, prediction: Prediction | None) -> bool:
    """Say when to ask again while `prediction` is open; tell whether it is."""
    if seconds := waiting.retry_after(prediction):
        response.headers["Retry-After"] = seconds
    return bool(seconds)


def png(stored: FieldFile, filename: str) -> FileResponse:
    """Hand out a stored PNG under a name that tells nothing."""
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}
    try:
        file: File = stored.storage.open(stored.name or "")
    except FileNotFoundError as error:
        raise FileMissing from error
    return FileResponse(file, content_type="image/png", filename=filename, as_attachment=True, headers=headers)
