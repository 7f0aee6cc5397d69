"""What a worker does: claim → classify → record. Holds the loaded classifiers."""

import io
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from billiard.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.core.files.base import ContentFile
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models.fields.files import FieldFile
from PIL import Image

from diagnosis.files import PNG_COMPRESSION, StorageAway, heatmap_path, model_input_path
from diagnosis.models import ModelVersion, Prediction, Scan
from diagnosis.states import FailureReason, State
from ml.checkpoint import CheckpointCorrupt, CheckpointError
from ml.heatmap import heatmap_image
from ml.preprocess import canonical_jpeg

if TYPE_CHECKING:
    from ml.classifier import Classification, Classifier

logger = logging.getLogger(__name__)

# The network's own map is coarser still; browsers enlarge it smoothly, and the file has a few KB.
HEATMAP_SIZE = (64, 64)


class UnreadablePicture(Exception):
    """The stored picture is missing or damaged."""


class NotAChestXray(Exception):
    """The picture is nothing that the model may answer on."""


# What ends a reading and is no fault that operators have to know more of.
EXPECTED: dict[type[Exception], FailureReason] = {
    SoftTimeLimitExceeded: FailureReason.TIMED_OUT,
    NotAChestXray: FailureReason.NOT_A_CHEST_XRAY,
}


@dataclass
class Reading:
    """A prediction that `task_id` has claimed, with what the model needs of its scan's picture."""

    prediction: Prediction
    task_id: str
    picture: Image.Image  # in canonical form
    seconds: float  # that went into the picture and the model so far
    read_at: float = field(default_factory=time.monotonic)
    statistics: list[float] | None = None  # of ml.drift, once the model has looked at the picture


def answer(prediction_id: str, *, task_id: str) -> None:
    """Claim the prediction, read its picture, record the answer or the reason why there is none.

    Pre-state QUEUED (or RUNNING by this very task: redelivered after a crash), post-state SUCCEEDED or FAILED; or
    QUEUED again while the storage is away, until requeue_stale sends it at its next turn. Any other pre-state is a late
    or doubled message and nothing happens. No transaction is open while the model works.
    """
    reading = begin(prediction_id, task_id=task_id)
    if reading:
        end(reading, partial(classify, reading))
        if reading.statistics:
            note_in_use(reading.prediction.model_version.sha256)


def begin(prediction_id: str, *, task_id: str) -> Reading | None:
    """Claim the prediction and read its picture; None: nothing more can be done here, as the row says."""
    if not Prediction.objects.claim(prediction_id, task_id=task_id):
        # A picture that kills its worker every time comes back here with its attempts used up.
        Prediction.objects.filter(pk=prediction_id, claimed_by=task_id).give_up_exhausted()
        return None
    rows = Prediction.objects.select_related("scan", "model_version").defer("model_version__metadata")
    prediction = rows.filter(pk=prediction_id).first()
    if prediction is None:  # erased since the claim
        return None
    return read(prediction, task_id=task_id)


def read(prediction: Prediction, *, task_id: str) -> Reading | None:
    """Read the picture of a prediction that `task_id` has claimed; None: it ended with a reason, or waits again."""
    began = time.monotonic()
    try:
        picture = read_picture(prediction.scan)
    except StorageAway as error:
        logger.error("Prediction %s waits: the storage is away. %s", prediction.pk, error)
        Prediction.objects.postpone(prediction.pk, task_id=task_id)
        return None
    except Exception as error:  # noqa: BLE001 - reason_of tells them apart, and logs
        Prediction.objects.fail(prediction.pk, task_id=task_id, reason=reason_of(error, prediction))
        return None
    return Reading(prediction, task_id, picture, time.monotonic() - began)


def end(reading: Reading, result: Callable[[], "Classification"]) -> None:
    """Record the answer that `result` gives, or the reason why it raises."""
    prediction, task_id = reading.prediction, reading.task_id
    try:
        classification = result()
    except Exception as error:  # noqa: BLE001 - reason_of tells them apart, and logs
        Prediction.objects.fail(
            prediction.pk, task_id=task_id, reason=reason_of(error, prediction), statistics=reading.statistics
        )
    else:
        record(prediction, classification, task_id=task_id, milliseconds=round(reading.seconds * 1000))


def reason_of(error: Exception, prediction: Prediction) -> FailureReason:
    """Explain why there is no answer; what operators have to know goes to the log."""
    for expected, reason in EXPECTED.items():
        if isinstance(error, expected):
            note_end(prediction, reason)
            return reason
    if isinstance(error, UnreadablePicture):
        logger.warning("Prediction %s: the stored picture can't be read", prediction.pk, exc_info=error)
        return FailureReason.UNREADABLE_IMAGE
    if isinstance(error, CheckpointError):
        logger.error("Prediction %s: %s", prediction.pk, error)
        return FailureReason.MODEL_UNAVAILABLE
    logger.error("Prediction %s failed", prediction.pk, exc_info=error)
    return FailureReason.INTERNAL_ERROR


def read_picture(scan: Scan) -> Image.Image:
    """Give the scan's picture in canonical form (ml.preprocess), which is all that a model needs of it.

    The one that intake stored; the whole picture is decoded only where there is none, and then it is stored for the
    next time. Raises NotAChestXray, UnreadablePicture or StorageAway.
    """
    # The stored picture is grey, so that no classifier could tell.
    if scan.is_colour:
        raise NotAChestXray
    if scan.has_model_input:
        try:
            return decoded(scan.model_input, "JPEG")
        except UnreadablePicture:
            logger.warning("Scan %s: the stored model input can't be read; it is made anew", scan.pk, exc_info=True)
    made = canonical_jpeg(decoded(scan.picture, "PNG"))
    store_model_input(scan, made)
    return Image.open(io.BytesIO(made), formats=["JPEG"])


def decoded(stored: FieldFile, file_format: str) -> Image.Image:
    """Give the stored picture. Raises UnreadablePicture or StorageAway."""
    try:
        with stored.open() as file, Image.open(file, formats=[file_format]) as picture:
            picture.load()
    except StorageAway:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        raise UnreadablePicture(stored.name) from error
    return picture


def store_model_input(scan: Scan, jpeg: bytes) -> None:
    """Keep `jpeg` for the next reading of `scan`, unless that was erased; what goes wrong is logged, no more.

    As with a heatmap the row comes first, and its lock is held until the file is there.
    """
    name, former, storage = model_input_path(scan, ""), scan.model_input.name, scan.model_input.storage
    try:
        with transaction.atomic():
            if Scan.objects.filter(pk=scan.pk).update(model_input=name):
                storage.delete(name)
                storage.save(name, ContentFile(jpeg))
        if former and former != name:
            storage.delete(former)
    except SoftTimeLimitExceeded:
        raise
    except Exception:
        logger.exception("Scan %s: the model input can't be stored", scan.pk)


def record(prediction: Prediction, classification: "Classification", *, task_id: str, milliseconds: int) -> None:
    """Record the answer with its heatmap, if `task_id` still holds the claim; else nothing is touched.

    The row comes first, and its lock is held until the file is there: nobody else answers or erases the prediction
    meanwhile. A worker that is killed in between leaves a claimed row; whoever takes that up writes over the file, and
    whoever erases it deletes the file.
    """
    version = prediction.model_version
    png = heatmap_png(prediction, classification)
    heatmap = heatmap_path(prediction, "")
    with transaction.atomic():
        recorded = Prediction.objects.succeed(
            prediction.pk,
            task_id=task_id,
            probability=classification.probability,
            threshold=version.threshold,
            milliseconds=milliseconds,
            is_uncertain=version.is_uncertain_about(classification.probability),
            heatmap=heatmap,
            statistics=classification.statistics,
        )
        if recorded and not store_heatmap(prediction, png, name=heatmap):
            Prediction.objects.filter(pk=prediction.pk).update(heatmap="")
    if recorded:
        note_end(prediction, State.SUCCEEDED)


def note_end(prediction: Prediction, how: str) -> None:
    """Write into the log that `prediction` has ended, and how."""
    logger.info("Ended: %s", how, extra={"prediction_id": str(prediction.pk)})


def heatmap_png(prediction: Prediction, classification: "Classification") -> bytes:
    """Give the heatmap as a small PNG; empty when it can't be made, which is logged."""
    try:
        buffer = io.BytesIO()
        heatmap_image(classification.heatmap, HEATMAP_SIZE).save(buffer, "PNG", **PNG_COMPRESSION)
        return buffer.getvalue()
    except Exception:
        logger.exception("Prediction %s: the heatmap can't be made", prediction.pk)
        return b""


def store_heatmap(prediction: Prediction, png: bytes, *, name: str) -> bool:
    """Store the heatmap under `name`, over what is there; False when it can't be stored, or there is none.

    The answer is worth more than the picture of it: whatever goes wrong here is logged, and the answer stands alone.
    """
    storage = prediction.heatmap.storage
    if not png:
        return False
    try:
        if prediction.attempts > 1:
            # A storage keeps both of two files of the same name, the second one under another name.
            storage.delete(name)
        storage.save(name, ContentFile(png))
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


def classify(reading: Reading) -> "Classification":
    """Let the model look at the picture; the database is not touched, so this may run in a thread of its own.

    Raises NotAChestXray or CheckpointError.
    """
    began = time.monotonic()
    version = reading.prediction.model_version
    classification = loaded_classifier(version.folder, version.sha256).classify_canonical([reading.picture])[0]
    reading.seconds += time.monotonic() - began
    reading.statistics = classification.statistics
    if not classification.is_chest_xray:
        raise NotAChestXray
    return classification


# Two: the active version, and another one while a batch runs through it.
@lru_cache(maxsize=2)
def loaded_classifier(folder: str, sha256: str) -> "Classifier":
    """Load the checkpoint in `folder` once for this process. Raises CheckpointError, also when it is another one."""
    # Here, because no engine survives a fork: only the child that answers ever loads one.
    from ml.classifier import Classifier

    classifier = Classifier.load(
        Path(settings.BASE_DIR, folder), engine=settings.INFERENCE_ENGINE, threads=settings.INFERENCE_THREADS
    )
    if classifier.checkpoint.sha256 != sha256:
        raise CheckpointCorrupt(f"{folder} now holds version {classifier.checkpoint.sha256[:12]}, not {sha256[:12]}.")
    return classifier


def load_active_model() -> None:
    """Load the active model after the fork and before the first task."""
    active: ModelVersion | None = None
    try:
        active = ModelVersion.objects.active()
    except (InterfaceError, OperationalError) as error:
        # The worker stays: the first prediction loads the model.
        logger.error("The database is away, so no model is loaded yet: %s", error)
    if active:
        try:
            loaded_classifier(active.folder, active.sha256)
        except CheckpointError as error:
            # The worker stays: each prediction ends with MODEL_UNAVAILABLE instead of waiting for ever.
            logger.error("The active model %s can't be loaded: %s", active, error)
            note_in_use("")
        else:
            note_in_use(active.sha256)
    settings.WORKER_READY_FILE.touch()


# Written where it changes.
@lru_cache(maxsize=1)
def note_in_use(sha256: str) -> None:
    """Let the dashboard find which version this worker has in use; "": the active one could not be loaded."""
    file = settings.WORKER_MODEL_FILE
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_text(sha256)
        part.replace(file)
    except OSError:
        logger.warning("The dashboard will not know which version this worker uses", exc_info=True)
