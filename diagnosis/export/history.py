"""A person's scans with every answer, as CSV for spreadsheets and as JSON in the words of the API.

Read page by page, and written as it is read: a hundred thousand scans need no more memory than one page.
"""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy

from diagnosis.api.serializers import DISCLAIMER, PredictionSerializer, ReviewSerializer, ScanSerializer
from diagnosis.batch import oldest_first
from diagnosis.models import Prediction, Scan
from ml.quality import QualityIssue

# A spreadsheet takes a cell that begins so for a formula, and may run it.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")

# Spreadsheets take UTF-8 for something else without it; programs read "utf-8-sig".
BYTE_ORDER_MARK = "\ufeff"

# Name → what it says; a row for each answer, or one without answer for a scan that has none.
COLUMNS = {
    "scan": gettext_lazy("id of the scan"),
    "given_at": gettext_lazy("when the scan was uploaded"),
    "reference": gettext_lazy("your own words for it"),
    "original_name": gettext_lazy("name of the file; of a DICOM file a name made here"),
    "sha256": gettext_lazy("of the file as it was given"),
    "width": gettext_lazy("of the stored picture, in pixels"),
    "height": gettext_lazy("of the stored picture, in pixels"),
    "quality_issues": gettext_lazy("codes of what is poor in the picture, spaces between them"),
    "modality": gettext_lazy("of a DICOM file"),
    "view_position": gettext_lazy("of a DICOM file"),
    "photometric_interpretation": gettext_lazy("of a DICOM file as given"),
    "row_spacing": gettext_lazy("of a DICOM file: millimetres from row to row"),
    "column_spacing": gettext_lazy("of a DICOM file: millimetres from column to column"),
    "patient_age": gettext_lazy("of a DICOM file: whole years; 90 means that or more"),
    "prediction": gettext_lazy("id of the answer"),
    "trigger": gettext_lazy("why the answer was asked for"),
    "requested_at": gettext_lazy("when the answer was asked for"),
    "finished_at": gettext_lazy("when it was there"),
    "state": gettext_lazy("QUEUED, RUNNING, SUCCEEDED or FAILED"),
    "label": gettext_lazy("NORMAL or PNEUMONIA; empty without an answer"),
    "probability": gettext_lazy("calibrated probability of PNEUMONIA, 0 to 1, whatever the label"),
    "confidence": gettext_lazy("probability of the label, 0 to 1"),
    "threshold": gettext_lazy("operating point: from it on, the label is PNEUMONIA"),
    "uncertain": gettext_lazy("true: so near the operating point that a human reader has to look"),
    "failure": gettext_lazy("code of the reason why there is no answer"),
    "model_version": gettext_lazy("name of the version of the model that answered"),
    "model_sha256": gettext_lazy("of that version"),
    "milliseconds": gettext_lazy("that the reading took"),
    "reviewed_label": gettext_lazy("what the newest review sees; empty: not reviewed"),
    "reviewed_at": gettext_lazy("when"),
}


class ReviewedPredictionSerializer(PredictionSerializer):
    """An answer with every review of it, newest first, instead of the newest alone."""

    reviews = ReviewSerializer(many=True, read_only=True)

    class Meta(PredictionSerializer.Meta):
        fields = tuple("reviews" if name == "review" else name for name in PredictionSerializer.Meta.fields)
        read_only_fields = fields


ReviewedPredictionSerializer._declared_fields.pop("review", None)


class ScanWithAnswersSerializer(ScanSerializer):
    """A scan with every answer, newest first, instead of the latest alone."""

    predictions = ReviewedPredictionSerializer(many=True, read_only=True)

    class Meta(ScanSerializer.Meta):
        fields = tuple("predictions" if name == "latest_prediction" else name for name in ScanSerializer.Meta.fields)
        read_only_fields = fields
