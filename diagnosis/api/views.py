"""The operations of the API: who may see what, and what is asked of the services."""

from typing import Any, BinaryIO, cast

from django.contrib.auth.models import User
from django.core.files.base import File
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import generics, status
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.reverse import reverse

from diagnosis import audit, intake, services
from diagnosis.api import document
from diagnosis.api.document import header, problems, refusals
from diagnosis.api.paging import PageQuery, once_each
from diagnosis.api.problems import FileMissing, NoActiveModelVersion, Refused
from diagnosis.api.serializers import (
    ModelVersionSerializer,
    NewScanSerializer,
    PredictionSerializer,
    ScanQuery,
    ScanSerializer,
)
from diagnosis.audit import Action
from diagnosis.dashboard.rows import RefusedFiles
from diagnosis.export.page import report_response
from diagnosis.export.report import NotFinished
from diagnosis.models import ModelVersion, Prediction, Scan, may_view_all_scans
from diagnosis.refusals import Refusal
from diagnosis.states import Trigger

# What a multipart body has around the file: boundaries, names and the reference.
AROUND_THE_FILE = 64 * 1024  # bytes

RETRY_SECONDS = 1

LOCATION = header("Location", "The address of the scan: GET it until its latest prediction has ended.", 200, 201, 202)
SCAN_ID = OpenApiParameter("scan_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="`id` of the scan.")
PREDICTION_ID = OpenApiParameter(
    "prediction_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="`id` of the prediction."
)
SHA256 = OpenApiParameter(
    "sha256",
    str,
    OpenApiParameter.PATH,
    description="`sha256` of the version.",
    pattern="^[0-9a-f]{64}$",
)
EVERYWHERE = [document.RETRY_AFTER, document.WHO_TO_BE]


def wait_header(*statuses: int, required: bool = False) -> Any:
    """Describe when to ask again."""
    when = "Seconds to wait before asking again" + ("." if required else "; absent when there is nothing to wait for.")
    return header("Retry-After", when, *statuses, kind=int, required=required)


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


def ask_again(response: Response, prediction: Prediction | None) -> bool:
    """Say when to ask again while `prediction` is open; tell whether it is."""
    is_waiting = prediction is not None and not prediction.is_terminal
    if is_waiting:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return is_waiting


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


def png(stored: FieldFile, filename: str) -> FileResponse:
    """Hand out a stored PNG under a name that tells nothing."""
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=3600"}
    try:
        file: File = stored.storage.open(stored.name or "")
    except FileNotFoundError as error:
        raise FileMissing from error
    return FileResponse(file, content_type="image/png", filename=filename, as_attachment=True, headers=headers)


class PredictionsOfAScan(Api):
    """What the predictions of a scan share."""

    def get_queryset(self) -> Any:
        """Give the scan's predictions with all that their JSON tells."""
        predictions = self.opened_scan().predictions.select_related("scan", "model_version")
        return predictions.defer("model_version__metadata").prefetch_related("reviews")

    def prediction(self) -> Prediction:
        """Give the one that the path names."""
        return get_object_or_404(self.get_queryset(), pk=self.kwargs["prediction_id"])


class Predictions(PredictionsOfAScan, Rows):
    """All predictions on a scan."""

    serializer_class = PredictionSerializer
    newest_first = "requested_at"

    @extend_schema(
        operation_id="listPredictions",
        summary="List all answers on a scan, newest first",
        description="A newer model adds an answer; none is ever changed.",
        parameters=[SCAN_ID, PageQuery, *EVERYWHERE],
        responses={200: OpenApiResponse(PredictionSerializer(many=True), "One page."), **problems(404, 422)},
        examples=[OpenApiExample("Answered", document.ANSWERED, response_only=True, status_codes=[200])],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give a page."""
        return self.list(request, *args, **kwargs)


class OnePrediction(PredictionsOfAScan):
    """One prediction."""

    serializer_class = PredictionSerializer

    @extend_schema(
        operation_id="getPrediction",
        summary="Get one answer",
        description="Ask again after `Retry-After` seconds while it is QUEUED or RUNNING.",
        parameters=[SCAN_ID, PREDICTION_ID, wait_header(200), *EVERYWHERE],
        responses={200: OpenApiResponse(PredictionSerializer, "The answer."), **problems(404)},
        examples=[
            OpenApiExample("Answered", document.ANSWERED, response_only=True, status_codes=[200]),
            OpenApiExample("Refused", document.REFUSED, response_only=True, status_codes=[200]),
            OpenApiExample("Queued", document.QUEUED, response_only=True, status_codes=[200]),
        ],
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give it."""
        prediction = self.prediction()
        response = Response(self.get_serializer(prediction).data)
        ask_again(response, prediction)
        return response


class PredictionHeatmap(PredictionsOfAScan):
    """The heatmap of a prediction."""

    @extend_schema(
        operation_id="getPredictionHeatmap",
        summary="Download the heatmap of an answer",
        description="A transparent PNG to stretch over the picture: where the model looked. It is no localisation.",
        parameters=[SCAN_ID, PREDICTION_ID, *EVERYWHERE],
        responses={(200, "image/png"): OpenApiResponse(OpenApiTypes.BINARY, "The heatmap."), **problems(404)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> FileResponse:
        """Give it."""
        prediction = self.prediction()
        if not prediction.heatmap:
            raise NotFound("This prediction has no heatmap.", code="no_heatmap")
        return png(prediction.heatmap, "heatmap.png")


class PredictionReport(PredictionsOfAScan):
    """The report of a prediction."""

    @extend_schema(
        operation_id="getPredictionReport",
        summary="Download the report of an answer",
        description="One tagged PDF page for people. 404 with the code NOT_FINISHED: there is no answer yet.",
        parameters=[SCAN_ID, PREDICTION_ID, *EVERYWHERE],
        responses={(200, "application/pdf"): OpenApiResponse(OpenApiTypes.BINARY, "The page."), **problems(404)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """Give it."""
        prediction = self.prediction()
        try:
            return report_response(prediction, request)
        except NotFinished as error:
            raise NotFound(str(error), code="not_finished") from error


class ModelVersions(Rows):
    """All versions of the model."""

    serializer_class = ModelVersionSerializer
    newest_first = "registered_at"
    queryset = ModelVersion.objects.defer("metadata")

    @extend_schema(
        operation_id="listModelVersions",
        summary="List the versions of the model, newest first",
        description="All that were ever registered here.",
        parameters=[PageQuery, *EVERYWHERE],
        responses={200: OpenApiResponse(ModelVersionSerializer(many=True), "One page."), **problems(422)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give a page."""
        return self.list(request, *args, **kwargs)


class OneModelVersion(Api):
    """One version of the model."""

    serializer_class = ModelVersionSerializer

    @extend_schema(
        operation_id="getModelVersion",
        summary="Get a version of the model by its sha256",
        description="An answer names the version that gave it.",
        parameters=[SHA256, *EVERYWHERE],
        responses={200: OpenApiResponse(ModelVersionSerializer, "The version."), **problems(404)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give it."""
        version = get_object_or_404(ModelVersion.objects.defer("metadata"), sha256=self.kwargs["sha256"])
        return Response(self.get_serializer(version).data)


class ActiveModelVersion(Api):
    """The version that answers new scans."""

    serializer_class = ModelVersionSerializer

    @extend_schema(
        operation_id="getActiveModelVersion",
        summary="Get the version of the model that answers new scans",
        description="404 with the code NO_ACTIVE_MODEL: there is none.",
        parameters=EVERYWHERE,
        responses={200: OpenApiResponse(ModelVersionSerializer, "The version."), **problems(404)},
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give it."""
        version = services.active_model_version()
        if version is None:
            raise NoActiveModelVersion
        return Response(self.get_serializer(version).data)
