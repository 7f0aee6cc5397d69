"""The operations on the versions of the model."""

from typing import Any

from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from diagnosis import services
from diagnosis.api.document import problems
from diagnosis.api.operations import EVERYWHERE, Api, Rows
from diagnosis.api.paging import PageQuery
from diagnosis.api.problems import NoActiveModelVersion
from diagnosis.api.serializers import ModelVersionSerializer
from diagnosis.models import ModelVersion

SHA256 = OpenApiParameter(
    "sha256",
    str,
    OpenApiParameter.PATH,
    description="`sha256` of the version.",
    pattern="^[0-9a-f]{64}$",
)


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
