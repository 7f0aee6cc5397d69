"""The operations on predictions, of one scan each."""

from typing import Any

from django.http import FileResponse, HttpResponse
from django.shortcuts import get_object_or_404
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis.api import document
from diagnosis.api.document import problems
from diagnosis.api.operations import EVERYWHERE, SCAN_ID, Api, Rows, ask_again, png, wait_header
from diagnosis.api.paging import PageQuery
from diagnosis.api.serializers import PredictionSerializer
from diagnosis.export.page import report_response
from diagnosis.export.report import NotFinished
from diagnosis.models import Prediction

PREDICTION_ID = OpenApiParameter(
    "prediction_id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="`id` of the prediction."
)


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
