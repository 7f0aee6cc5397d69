"""The operations on scans."""

from typing import Any, BinaryIO, cast

from django.contrib.auth.models import User
from django.http import FileResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import status
from rest_framework.exceptions import PermissionDenied
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from diagnosis import intake, services
from diagnosis.api import document
from diagnosis.api.document import header, problems, refusals
from diagnosis.api.operations import EVERYWHERE, SCAN_ID, Api, Rows, ask_again, png, wait_header
from diagnosis.api.paging import once_each
from diagnosis.api.problems import Refused
from diagnosis.api.serializers import NewScanSerializer, ScanQuery, ScanSerializer
from diagnosis.dashboard.rows import RefusedFiles
from diagnosis.models import Scan, may_view_all_scans
from diagnosis.refusals import Refusal
from diagnosis.states import Trigger

# What a multipart body has around the file: boundaries, names and the reference.
AROUND_THE_FILE = 64 * 1024  # bytes

LOCATION = header("Location", "The address of the scan: GET it until its latest prediction has ended.", 200, 201, 202)


class Scans(Rows):
    """All scans, and a new one."""

    serializer_class = ScanSerializer
    query_class = ScanQuery
    newest_first = "placed_at"
    parser_classes = (MultiPartParser,)

    def get_queryset(self) -> Any:
        """Give the visible scans."""
        return scans_to_show(self.visible_scans())

    def filter_queryset(self, queryset: Any) -> Any:
        """Keep what was asked for."""
        queryset = super().filter_queryset(queryset)
        user = cast(User, self.request.user)
        return cast(ScanQuery, self.query).narrow(queryset, owner=None if may_view_all_scans(user) else user)

    @extend_schema(
        operation_id="listScans",
        summary="List scans, newest first",
        description="Your own scans; staff who may view scans see those of all. Follow `next` until it is null.",
        parameters=[ScanQuery, *EVERYWHERE],
        responses={200: OpenApiResponse(ScanSerializer(many=True), "One page."), **problems(422)},
        examples=[OpenApiExample("Answered", document.scan(document.ANSWERED), response_only=True, status_codes=[200])],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give a page."""
        return self.list(request, *args, **kwargs)

    @extend_schema(
        operation_id="createScan",
        summary="Give a chest X-ray to be read",
        description=(
            "The answer takes a second or two: GET the address in `Location` after `Retry-After` seconds, until "
            "`latest_prediction.state` is SUCCEEDED or FAILED.\n\n"
            "A file is kept once: the same bytes given again lead to the scan that is there, with its own reference "
            "and name, so a request that may have failed on the way can be sent again without harm."
        ),
        request={"multipart/form-data": NewScanSerializer},
        parameters=[LOCATION, wait_header(202, required=True), wait_header(200), *EVERYWHERE],
        responses={
            202: OpenApiResponse(ScanSerializer, "Kept; the answer is on its way."),
            201: OpenApiResponse(ScanSerializer, "Kept, and there is nothing to wait for: no model is active."),
            200: OpenApiResponse(ScanSerializer, "You gave this file before: the scan that is there, unchanged."),
            **problems(400, 413, 415, 503),
            **refusals(),
        },
        examples=[
            OpenApiExample("Queued", document.scan(document.QUEUED), response_only=True, status_codes=[202]),
            OpenApiExample("No model", document.scan(None), response_only=True, status_codes=[201]),
            OpenApiExample("Known", document.scan(document.ANSWERED), response_only=True, status_codes=[200]),
        ],
    )
    def post(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Keep a picture, and ask the model."""
        limits = intake.Limits.from_settings()
        if int(request.META.get("CONTENT_LENGTH") or 0) > limits.max_bytes + AROUND_THE_FILE:
            raise Refused(intake.too_large(limits))
        given = NewScanSerializer(data=once_each(request.data))
        given.is_valid(raise_exception=True)
        image = given.validated_data["image"]
        try:
            submission = services.submit_scan(
                owner=request.user,
                upload=cast(BinaryIO, image),
                original_name=image.name,
                reference=given.validated_data.get("reference", ""),
                trigger=Trigger.API,
            )
        except Refusal as refusal:
            RefusedFiles.objects.note([refusal.code])
            raise Refused(refusal) from refusal
        scan = scans_to_show(Scan.objects.filter(pk=submission.scan.pk)).get()
        response = Response(ScanSerializer(scan, context=self.get_serializer_context()).data)
        response.headers["Location"] = reverse("api:scan", [scan.pk], request=request)
        is_waiting = ask_again(response, scan.latest_prediction)
        if submission.is_new:
            response.status_code = status.HTTP_202_ACCEPTED if is_waiting else status.HTTP_201_CREATED
        return response


def scans_to_show(scans: Any) -> Any:
    """Fetch along all that a scan's JSON tells, in two queries."""
    return scans.with_latest().select_related("owner").prefetch_related("latest_prediction__reviews")


class OneScan(Api):
    """One scan."""

    serializer_class = ScanSerializer

    @extend_schema(
        operation_id="getScan",
        summary="Get a scan with its latest answer",
        description="Ask again after `Retry-After` seconds while its latest prediction is QUEUED or RUNNING.",
        parameters=[SCAN_ID, wait_header(200), *EVERYWHERE],
        responses={200: OpenApiResponse(ScanSerializer, "The scan."), **problems(404)},
        examples=[
            OpenApiExample("Answered", document.scan(document.ANSWERED), response_only=True, status_codes=[200]),
            OpenApiExample("Refused", document.scan(document.REFUSED), response_only=True, status_codes=[200]),
            OpenApiExample("Queued", document.scan(document.QUEUED), response_only=True, status_codes=[200]),
        ],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give it."""
        scan = self.opened_scan(scans_to_show(self.visible_scans()))
        response = Response(self.get_serializer(scan).data)
        ask_again(response, scan.latest_prediction)
        return response

    @extend_schema(
        operation_id="deleteScan",
        summary="Delete a scan for good",
        description="With its picture, every answer with its heatmap, and every review. Only the owner may.",
        parameters=[SCAN_ID, *EVERYWHERE],
        responses={204: OpenApiResponse(description="It is gone."), **problems(403, 404)},
    )
    def delete(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Erase it."""
        scan = self.visible_scan()
        if scan.owner_id != request.user.pk:
            raise PermissionDenied("Only the owner may delete a scan.")
        services.erase_scan(scan=scan, erased_by=request.user)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ScanPicture(Api):
    """The picture of a scan."""

    @extend_schema(
        operation_id="getScanPicture",
        summary="Download the stored picture",
        description="A lossless grey PNG with 8 or 16 bits a pixel: what the model reads, without any metadata.",
        parameters=[SCAN_ID, *EVERYWHERE],
        responses={(200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY, "The picture."), **problems(404)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> FileResponse:
        """Give it."""
        return png(self.opened_scan().picture, "scan.png")
