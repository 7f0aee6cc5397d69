"""The OpenAPI document, the page that shows it to people, and the answer where nothing is."""

from typing import Any, NoReturn

from django.http import HttpRequest
from drf_spectacular.renderers import OpenApiJsonRenderer2, OpenApiYamlRenderer2
from drf_spectacular.utils import extend_schema
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import NotFound
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from diagnosis.api.document import Document


class Schema(SpectacularAPIView):
    """The OpenAPI document. Open to all: it tells of no person."""

    authentication_classes = ()
    throttle_classes = ()
    generator_class = Document
    content_negotiation_class = DefaultContentNegotiation
    renderer_classes = [OpenApiJsonRenderer2, OpenApiYamlRenderer2]

    @extend_schema(exclude=True)
    def get(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Give it as JSON, or as YAML to who asks for that."""
        return super().get(request, *args, **kwargs)


class DocumentationPage(SpectacularSwaggerSplitView):
    """The same for people, as a page of the site; its script is a second request, as a strict policy wants it."""

    # Only to show who is signed in at the top of the page.
    authentication_classes = (SessionAuthentication,)
    throttle_classes = ()
    url_name = "api:schema"


class Nothing(APIView):
    """Where no operation is."""

    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()
    schema = None

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> NoReturn:
        """Say so, whatever the method."""
        raise NotFound("There is nothing at this address; the addresses of the API end with a slash.")
