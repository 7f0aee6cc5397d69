"""Which URL belongs to whom."""

from django.contrib import admin
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.http import require_safe


@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """Answer 200 when this process can serve: it runs, and it reaches the database. 503 otherwise."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse("The database can't be reached.\n", content_type="text/plain", status=503)
    return HttpResponse("ok\n", content_type="text/plain")


admin.autodiscover()

urlpatterns = [
    path("", include("diagnosis.urls")),
    path("api/", include("diagnosis.api.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz", healthz, name="healthz"),
]
