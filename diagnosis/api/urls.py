"""The paths of the API."""

from django.urls import path, re_path, register_converter
from django.urls.converters import StringConverter

from diagnosis.api import documentation, model_versions, predictions, scans

app_name = "api"


class Sha256Converter(StringConverter):
    """64 hex digits."""

    regex = "[0-9a-f]{64}"


register_converter(Sha256Converter, "sha256")

urlpatterns = [
    path("v1/scans/", scans.Scans.as_view(), name="scans"),
    path("v1/scans/<uuid:scan_id>/", scans.OneScan.as_view(), name="scan"),
    path("v1/scans/<uuid:scan_id>/picture/", scans.ScanPicture.as_view(), name="scan_picture"),
    path("v1/scans/<uuid:scan_id>/predictions/", predictions.Predictions.as_view(), name="predictions"),
    path(
        "v1/scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/",
        predictions.OnePrediction.as_view(),
        name="prediction",
    ),
    path(
        "v1/scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/heatmap/",
        predictions.PredictionHeatmap.as_view(),
        name="prediction_heatmap",
    ),
    path(
        "v1/scans/<uuid:scan_id>/predictions/<uuid:prediction_id>/report/",
        predictions.PredictionReport.as_view(),
        name="prediction_report",
    ),
    path("v1/model-versions/", model_versions.ModelVersions.as_view(), name="model_versions"),
    path("v1/model-versions/active/", model_versions.ActiveModelVersion.as_view(), name="active_model_version"),
    path("v1/model-versions/<sha256:sha256>/", model_versions.OneModelVersion.as_view(), name="model_version"),
    path("v1/schema/", documentation.Schema.as_view(), name="schema"),
    # Also keeps Django from sending people who left out the last slash to another page: a program would lose its body.
    re_path("", documentation.Nothing.as_view(), name="nothing"),
]
