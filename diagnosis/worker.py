"""What a worker does: claim → classify → record. Holds the loaded classifiers."""

import io
import logging
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from billiard.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import connection, transaction
from PIL import Image

from diagnosis import services
from diagnosis.models import ModelVersion, Prediction
from diagnosis.states import FailureReason
from ml.checkpoint import CheckpointCorrupt, CheckpointError
from ml.heatmap import heatmap_image

if TYPE_CHECKING:
    from ml.classifier import Classification, Classifier

logger = logging.getLogger(__name__)

# The network's own map is coarser still; browsers enlarge it smoothly, and the file has a few KB.
HEATMAP_SIZE = (64, 64)


class UnreadablePicture(Exception):
    """The stored picture is missing or damaged."""


class NotAChestXray(Exception):
    """The picture is nothing that the model may answer on."""


def answer(prediction_id: str, *, task_id: str) -> None:
    """Claim the prediction, read its picture, record the answer or the reason why there is none.

    Pre-state QUEUED (or RUNNING by this very task: redelivered after a crash), post-state SUCCEEDED or FAILED. Any
    other pre-state is a late or doubled message and nothing happens. No transaction is open while the model works.
    """
    if not Prediction.objects.claim(prediction_id, task_id=task_id):
        # A picture that kills its worker every time comes back here with its attempts used up.
        Prediction.objects.filter(pk=prediction_id, claimed_by=task_id).give_up_exhausted()
        return
    rows = Prediction.objects.select_related("scan", "model_version").defer("model_version__metadata")
    prediction = rows.filter(pk=prediction_id).first()
    if prediction is None:  # erased since the claim
        return
    began = time.monotonic()
    try:
        classification = classify(prediction)
    except SoftTimeLimitExceeded:
        reason = FailureReason.TIMED_OUT
    except NotAChestXray:
        reason = FailureReason.NOT_A_CHEST_XRAY
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
        record(prediction, classification, task_id=task_id, milliseconds=round((time.monotonic() - began) * 1000))
        return
    Prediction.objects.fail(prediction_id, task_id=task_id, reason=reason)


def record(prediction: Prediction, classification: "Classification", *, task_id: str, milliseconds: int) -> None:
    """Record the answer with its heatmap, if `task_id` still holds the claim; else nothing is touched.

    The row comes first, and its lock is held until the file is there: nobody else answers or erases the prediction
    meanwhile. A worker that is killed in between leaves a claimed row; whoever takes that up writes over the file, and
    whoever erases it deletes the file.
    """
    version = prediction.model_version
    heatmap = prediction.heatmap.field.generate_filename(prediction, "")
    with transaction.atomic():
        recorded = Prediction.objects.succeed(
            prediction.pk,
            task_id=task_id,
            probability=classification.probability,
            threshold=version.threshold,
            milliseconds=milliseconds,
            is_uncertain=version.is_uncertain_about(classification.probability),
            heatmap=heatmap,
        )
        if recorded and not store_heatmap(prediction, classification, name=heatmap):
            Prediction.objects.filter(pk=prediction.pk).update(heatmap="")


def store_heatmap(prediction: Prediction, classification: "Classification", *, name: str) -> bool:
    """Store the heatmap as a small PNG under `name`, over what is there; False when it can't be stored.

    The answer is worth more than the picture of it: whatever goes wrong here is logged, and the answer stands alone.
    """
    storage = prediction.heatmap.storage
    try:
        buffer = io.BytesIO()
        heatmap_image(classification.heatmap, HEATMAP_SIZE).save(buffer, "PNG", optimize=True)
        # A storage keeps both of two files of the same name, the second one under another name.
        storage.delete(name)
        storage.save(name, ContentFile(buffer.getvalue()))
    except Exception:
        logger.exception("Prediction %s: the heatmap can't be stored", prediction.pk)
        # A full disk leaves the beginning of the file.
        with suppress(Exception):
            storage.delete(name)
        return False
    return True


def note_timeout(prediction_id: str, *, task_id: str) -> None:
    """Record that the time was over before there was an answer; for the process that stopped the reading."""
    try:
        Prediction.objects.fail(prediction_id, task_id=task_id, reason=FailureReason.TIMED_OUT)
    finally:
        # The next child is forked from this process and must not share its connection.
        connection.close()


def classify(prediction: Prediction) -> "Classification":
    """Read the prediction's picture with its model version.

    Raises NotAChestXray, UnreadablePicture or CheckpointError.
    """
    # The stored picture is grey, so that no classifier could tell.
    if prediction.scan.is_colour:
        raise NotAChestXray
    classifier = loaded_classifier(prediction.model_version.folder, prediction.model_version.sha256)
    try:
        with prediction.scan.picture.open() as file, Image.open(file, formats=["PNG"]) as picture:
            picture.load()
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadablePicture(prediction.scan.picture.name) from error
    classification = classifier.classify([picture])[0]
    if not classification.is_chest_xray:
        raise NotAChestXray
    return classification


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
