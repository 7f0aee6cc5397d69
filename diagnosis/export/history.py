"""A person's scans with every answer, as CSV for spreadsheets and as JSON in the words of the API.

Read page by page, and written as it is read: a hundred thousand scans need no more memory than one page.
"""

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from django.db.models import Prefetch
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy

from diagnosis.api.serializers import DISCLAIMER, PredictionSerializer, ScanSerializer
from diagnosis.batch import oldest_first
from diagnosis.models import Prediction, Scan
from ml.quality import QualityIssue

# Scans that are sent in one piece.
AT_ONCE = 100

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
    "reviewed_label": gettext_lazy("what most readers see, the newest while they disagree; empty: not reviewed"),
    "reviewed_at": gettext_lazy("when"),
}


class Words:
    """Scans in the words of the API, but with every answer and every review, newest first, not only the last."""

    def __init__(self, request: HttpRequest) -> None:
        context = {"request": request}
        self._scans, self._answers = ScanSerializer(context=context), PredictionSerializer(context=context)
        self._scans.fields.pop("latest_prediction")

    def of(self, scan: Scan) -> dict[str, Any]:
        """Give a scan of scans_of."""
        answers = list(scan.predictions.all())
        # It was fetched with the others; the serializer shall not ask for it again.
        scan.latest_prediction = next((answer for answer in answers if answer.pk == scan.latest_prediction_id), None)
        told = []
        for answer in answers:
            told.append(self._answers.to_representation(answer) | {"reviews": list(_verdicts(answer))})
        return self._scans.to_representation(scan) | {"predictions": told}


def scans_of(owner: Any) -> Iterator[Scan]:
    """Give the scans of `owner`, the oldest first, with all that is told of them; four queries for each page."""
    answers = Prediction.objects.select_related("model_version").defer("model_version__metadata")
    scans = Scan.objects.filter(owner=owner).select_related("owner")
    return oldest_first(
        scans.prefetch_related(Prefetch("predictions", answers), "predictions__reviews"), by="created_at"
    )


def as_csv(owner: Any) -> Iterator[bytes]:
    """Give the history as a CSV file (UTF-8 with a byte order mark, lines as RFC 4180 has them), page by page."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, COLUMNS)
    buffer.write(BYTE_ORDER_MARK)
    writer.writeheader()
    for batch in batches(scans_of(owner)):
        for scan in batch:
            writer.writerows(rows_of(scan))
        yield buffer.getvalue().encode()
        buffer.seek(0)
        buffer.truncate()
    yield buffer.getvalue().encode()


def as_json(owner: Any, request: HttpRequest) -> Iterator[bytes]:
    """Give the history as one JSON object, page by page; the addresses in it are on the site of `request`."""
    head = {
        "exported_at": timezone.now().isoformat(),
        "owner": owner.get_username(),
        "site": request.build_absolute_uri("/"),
        "disclaimer": DISCLAIMER,
    }
    yield (json.dumps(head, ensure_ascii=False, indent=1)[:-2] + ',\n "scans": [').encode()
    words = Words(request)
    comma = "\n"
    for batch in batches(scans_of(owner)):
        text = io.StringIO()
        for scan in batch:
            text.write(comma + json.dumps(words.of(scan), ensure_ascii=False))
            comma = ",\n"
        yield text.getvalue().encode()
    yield b"\n ]\n}\n"


def batches(scans: Iterator[Scan]) -> Iterator[list[Scan]]:
    """Give as many as are sent at once."""
    while batch := list(islice(scans, AT_ONCE)):
        yield batch


def rows_of(scan: Scan) -> Iterator[dict[str, Any]]:
    """Give a row of COLUMNS for each answer on `scan`, the oldest first, or one for the scan alone."""
    about_scan = {
        "scan": scan.pk,
        "given_at": scan.created_at.isoformat(),
        "reference": harmless(scan.reference),
        "original_name": harmless(scan.original_name),
        "sha256": scan.sha256,
        "width": scan.width,
        "height": scan.height,
        "quality_issues": " ".join(issue for issue in QualityIssue if issue in scan.quality_issues),
        "modality": scan.modality,
        "view_position": scan.view_position,
        "photometric_interpretation": scan.photometric_interpretation,
        "row_spacing": scan.row_spacing,
        "column_spacing": scan.column_spacing,
        "patient_age": scan.patient_age,
    }
    answers = list(scan.predictions.all())
    if not answers:
        yield about_scan
    for prediction in reversed(answers):
        yield about_scan | _about(prediction)


def _verdicts(prediction: Prediction) -> Iterator[dict[str, Any]]:
    """Give what readers said, newest first; nothing while a second one, who must not know the first, is waited for."""
    if not prediction.is_half_read:
        for review in prediction.reviews.all():
            yield {"label": review.label, "agrees": review.agrees, "created_at": review.created_at.isoformat()}


def _about(prediction: Prediction) -> dict[str, Any]:
    verdicts = list(_verdicts(prediction))
    return {
        "prediction": prediction.pk,
        "trigger": prediction.trigger,
        "requested_at": prediction.requested_at.isoformat(),
        "finished_at": prediction.finished_at.isoformat() if prediction.finished_at else "",
        "state": prediction.state,
        "label": prediction.label,
        "probability": prediction.probability,
        "confidence": prediction.confidence,
        "threshold": prediction.threshold,
        "uncertain": str(prediction.is_uncertain).lower() if prediction.label else "",
        "failure": prediction.reason,
        "model_version": harmless(prediction.model_version.name),
        "model_sha256": prediction.model_version.sha256,
        "milliseconds": prediction.milliseconds,
        "reviewed_label": prediction.reviewed_label if verdicts else "",
        "reviewed_at": verdicts[0]["created_at"] if verdicts else "",
    }


def harmless(text: str) -> str:
    """Give `text` as a cell that no spreadsheet takes for a formula: an apostrophe stands before one."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
