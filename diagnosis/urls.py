"""The pages of the site."""

from django.urls import include, path

from diagnosis import account, views
from diagnosis.api.documentation import DocumentationPage
from diagnosis.audit import pages as audit_pages
from diagnosis.dashboard import views as dashboard
from diagnosis.export import views as export

app_name = "diagnosis"

urlpatterns = [
    path("", views.home, name="home"),
    path("scans/", views.scan_list, name="scan_list"),
    path("scans/new/", views.scan_new, name="scan_new"),
    path("scans/<uuid:scan_id>/", views.scan_detail, name="scan_detail"),
    path("scans/<uuid:scan_id>/status/", views.scan_status, name="scan_status"),
    path("scans/<uuid:scan_id>/picture/", views.scan_picture, name="scan_picture"),
    path("scans/<uuid:scan_id>/levels/", views.scan_levels, name="scan_levels"),
    path("scans/<uuid:scan_id>/thumbnail/", views.scan_thumbnail, name="scan_thumbnail"),
    path(
        "scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/heatmap/",
        views.prediction_heatmap,
        name="prediction_heatmap",
    ),
    path(
        "scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/report.pdf",
        export.prediction_report,
        name="prediction_report",
    ),
    path("scans/export.csv", export.history_csv, name="history_csv"),
    path("scans/export.json", export.history_json, name="history_json"),
    path("scans/<uuid:scan_id>/delete/", views.scan_delete, name="scan_delete"),
    path("scans/<uuid:scan_id>/events/", audit_pages.scan_events, name="scan_events"),
    path("uploads/<uuid:upload_id>/", views.upload_detail, name="upload_detail"),
    path("review/", include("diagnosis.review.urls")),
    path("accounts/", account.overview, name="account"),
    path("accounts/events/", audit_pages.account_events, name="account_events"),
    path("accounts/erase/", account.erase, name="account_erase"),
    path("accounts/preferences/", account.preferences_change, name="preferences_change"),
    path("language/", account.language, name="language"),
    path("accounts/everything.zip", export.everything, name="everything"),
    path("accounts/token/", account.token_new, name="token_new"),
    path("accounts/token/revoke/", account.token_revoke, name="token_revoke"),
    path("dashboard/", dashboard.dashboard, name="dashboard"),
    path("dashboard/now/", dashboard.dashboard_now, name="dashboard_now"),
    path("dashboard/count/", dashboard.dashboard_count, name="dashboard_count"),
    path("api-docs/", DocumentationPage.as_view(), name="api_docs"),
    path("models/<str:sha256>/", views.model_card, name="model_card"),
]
