"""What people ask for: pages, admin and commands all come through here; a file for each noun."""

from diagnosis.services.model_versions import (
    NoActiveModel,
    activate_model,
    active_model_version,
    read_checkpoint,
    register_model,
)
from diagnosis.services.predictions import (
    SCANS_OF_A_MESSAGE,
    Requeued,
    reprocess,
    request_prediction,
    request_predictions,
    requeue_stale,
    send_rest,
)
from diagnosis.services.reviews import NothingToReview, record_review
from diagnosis.services.scans import Erased, NotStored, Submission, erase_scan, submit_scan
from diagnosis.services.tokens import issue_token, revoke_token

__all__ = [
    "SCANS_OF_A_MESSAGE",
    "Erased",
    "NoActiveModel",
    "NotStored",
    "NothingToReview",
    "Requeued",
    "Submission",
    "activate_model",
    "active_model_version",
    "erase_scan",
    "issue_token",
    "read_checkpoint",
    "record_review",
    "register_model",
    "reprocess",
    "request_prediction",
    "request_predictions",
    "requeue_stale",
    "revoke_token",
    "send_rest",
    "submit_scan",
]
