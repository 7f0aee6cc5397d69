"""Which URL belongs to whom."""

from django.contrib import admin
from django.urls import include, path

from diagnosis.operating import pages

admin.autodiscover()

# Says how to name the request that failed.
handler500 = pages.server_error

urlpatterns = [
    path("", include("diagnosis.urls")),
    path("api/", include("diagnosis.api.urls")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
    path("healthz", pages.healthz, name="healthz"),
    path("readyz", pages.readyz, name="readyz"),
    path("metrics", pages.metrics, name="metrics"),
]
