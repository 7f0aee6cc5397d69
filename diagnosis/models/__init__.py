"""What the site remembers, with the rules that must never break; a file for each noun.

The rows of the audit, the dashboard and the reviews are beside what uses them, and known here too.
"""

from diagnosis.audit.rows import AuditEvent
from diagnosis.dashboard.rows import CountedDay, DayFigures, LastRun, RefusedFiles
from diagnosis.models.labels import Label
from diagnosis.models.model_versions import ModelVersion
from diagnosis.models.moves import Answer, PredictionQuerySet
from diagnosis.models.predictions import BY_PROBABILITY, PROBABILITY_RANGES, Prediction
from diagnosis.models.scans import Scan, ScanQuerySet, may_view_all_scans
from diagnosis.preferences import Preferences
from diagnosis.review.rows import Review, Verdict
from diagnosis.sessions import Session
from diagnosis.tokens import ApiToken
from diagnosis.upload_rows import Upload

__all__ = [
    "BY_PROBABILITY",
    "PROBABILITY_RANGES",
    "Answer",
    "ApiToken",
    "AuditEvent",
    "CountedDay",
    "DayFigures",
    "Label",
    "LastRun",
    "ModelVersion",
    "Prediction",
    "PredictionQuerySet",
    "Preferences",
    "RefusedFiles",
    "Review",
    "Scan",
    "ScanQuerySet",
    "Session",
    "Upload",
    "Verdict",
    "may_view_all_scans",
]
