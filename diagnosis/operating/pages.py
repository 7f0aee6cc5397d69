"""What monitors ask: does the process run, is the site whole, how does it do."""

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import render_to_string
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from diagnosis.operating.lines import carried
from diagnosis.operating.metrics import CONTENT_TYPE, exposition
from diagnosis.operating.readiness import OK, readiness


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200: this process runs. It asks nobody else, whose absence a restart of this process would not mend."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """Tell of each part whether it works; 200 when all do, else 503."""
    parts = readiness()
    return JsonResponse(parts, status=200 if set(parts.values()) == {OK} else 503)


def server_error(request: HttpRequest) -> HttpResponse:
    """Say that something went wrong, with the id that the log knows it by. Asks nobody for anything more."""
    content = render_to_string("500.html", {"request_id": carried("request_id")})
    return HttpResponse(content, status=500)


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Give the figures to who has METRICS_TOKEN; for all others, and without one, nothing is there."""
    expected = f"Bearer {settings.METRICS_TOKEN}"
    if not settings.METRICS_TOKEN or not constant_time_compare(request.headers.get("Authorization", ""), expected):
        raise Http404
    return HttpResponse(exposition(), content_type=CONTENT_TYPE)
