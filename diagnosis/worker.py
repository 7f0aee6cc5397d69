"""What a worker does: claim → classify → record. Holds the loaded classifiers."""

import logging
import time
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from billiard.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import connection
from PIL import Image

from diagnosis import services
from diagnosis.models import ModelVersion, Prediction
from diagnosis.states import FailureReason
from ml.checkpoint import CheckpointCorrupt, CheckpointError

if TYPE_CHECKING:
    from ml.classifier import Classification, Classifier

logger = logging.getLogger(__name__)


class UnreadablePicture(Exception):
    """The stored picture is missing or damaged."""


def answer(prediction_id: str, *, task_id: str) -> None:
    """Claim the prediction, read its picture, record the answer or the reason why there is none.

    Pre-state QUEUED (or RUNNING by this very task: redelivered after a crash), post-state SUCCEEDED or FAILED. Any
    other pre-state is a late or doubled message and nothing happens. No transaction is open while the model works.
    """
    if not Prediction.objects.claim(prediction_id, task_id=task_id):
        # A picture that kills its worker every time comes back here with its attempts used up.
        Prediction.objects.filter(pk=prediction_id, claimed_by=task_id).give_up_exhausted()
        return
    prediction = Prediction.objects.select_related("scan", "model_version").filter(pk=prediction_id).first()
    if prediction is None:  # erased since the claim
        return
    began = time.monotonic()
    try:
        classification = classify(prediction)
    except SoftTimeLimitExceeded:
        reason = FailureReason.TIMED_OUT
    except UnreadablePicture:
        logger.warning("Prediction %s: the stored picture can't be read", prediction_id, exc_info=True)
        reason = FailureReason.UNREADABLE_IMAGE
    except CheckpointError as error:
        logger.error("Prediction %s: %s", prediction_id, error)
        reason = FailureReason.MODEL_UNAVAILABLE
    except Exception:
        logger.exception("Prediction %s failed", prediction_id)
        reason = FailureReason.INTERNAL_ERROR
    else:
        Prediction.objects.succeed(
            prediction_id,
            task_id=task_id,
            probability=classification.probability,
            threshold=prediction.model_version.threshold,
            milliseconds=round((time.monotonic() - began) * 1000),
        )
        return
    Prediction.objects.fail(prediction_id, task_id=task_id, reason=reason)


def note_timeout(prediction_id: str, *, task_id: str) -> None:
    """Record that the time was over before there was an answer; for the process that stopped the reading."""
    try:
        Prediction.objects.fail(prediction_id, task_id=task_id, reason=FailureReason.TIMED_OUT)
    finally:
        # The next child is forked from this process and must not share its connection.
        connection.close()


def classify(prediction: Prediction) -> "Classification":
    """Read the prediction's picture with its model version. Raises UnreadablePicture or CheckpointError."""
    classifier = loaded_classifier(prediction.model_version.folder, prediction.model_version.sha256)
    try:
        with prediction.scan.picture.open() as file, Image.open(file, formats=["PNG"]) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadablePicture(prediction.scan.picture.name) from error
    return classifier.classify([picture])[0]


# Two: the active version, and another one while a batch runs through it.
@lru_cache(maxsize=2)
def loaded_classifier(folder: str, sha256: str) -> "Classifier":
    """Load the checkpoint in `folder` once for this process. Raises CheckpointError, also when it is another one."""
    # Here, because TensorFlow does not survive a fork: only the child that answers ever loads it.
    from ml.classifier import Classifier

    classifier = Classifier.load(Path(settings.BASE_DIR, folder))
    if classifier.checkpoint.sha256 != sha256:
        raise CheckpointCorrupt(f"{folder} now holds version {classifier.checkpoint.sha256[:12]}, not {sha256[:12]}.")
    return classifier


def load_active_model() -> None:
    """Load the active model after the fork and before the first task."""
    active: ModelVersion | None = services.active_model_version()
    if active:
        try:
            loaded_classifier(active.folder, active.sha256)
        except CheckpointError as error:
            # The worker stays: each prediction ends with MODEL_UNAVAILABLE instead of waiting for ever.
            logger.error("The active model %s can't be loaded: %s", active, error)
    settings.WORKER_READY_FILE.touch()
