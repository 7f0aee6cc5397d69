"""What people ask for: pages, admin and commands all come through here.

Everything that must be answered is put into the queue from here, when the transaction commits. The row decides and
the queue only hints: a message may be lost, late or doubled without harm.
"""

import logging
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from datetime import timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from django.conf import settings
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop
from kombu.exceptions import OperationalError as BrokerError

from diagnosis import audit, intake, refusals
from diagnosis.audit import Action
from diagnosis.dicom.reader import DicomReader
from diagnosis.expressions import ValueOfEach
from diagnosis.models import ModelVersion, Prediction, Review, Scan, Upload, Verdict
from diagnosis.states import State, Trigger
from diagnosis.tokens import ApiToken
from ml.checkpoint import Checkpoint, CheckpointCorrupt

logger = logging.getLogger(__name__)

# So many of a batch are asked for by one message. More would gain nothing: its beginning and its end, where the model
# has nothing to do, cost little beside so many. Who uploads meanwhile does not wait for them, see queues.Turn.
SCANS_OF_A_MESSAGE = 64


class NoActiveModel(Exception):
    """No model version is active, so nothing can be asked for; the text is safe to show."""

    def __init__(self) -> None:
        super().__init__(gettext("No model is active yet. Staff can activate one under Model versions in the admin."))


class NotStored(refusals.Refusal):
    """The picture is fine and the storage is away; nothing was kept, and a later try may succeed."""

    def __init__(self) -> None:
        super().__init__(
            "STORAGE_AWAY",
            gettext_noop("Pictures can't be stored right now, so this one was not kept. Try again in a few minutes."),
        )


class NothingToReview(Exception):
    """The prediction has no answer that a person could agree with; the text is safe to show."""

    def __init__(self) -> None:
        super().__init__(gettext("Only an answered prediction can be reviewed."))


@dataclass(frozen=True)
class Submission:
    """What came of an upload; `is_new` is False when the owner had given this very file before."""

    scan: Scan
    is_new: bool


@dataclass(frozen=True)
class Erased:
    """How much was erased: rows, and the files that they named; `others` are all further rows of an account."""

    scans: int = 0
    predictions: int = 0
    reviews: int = 0
    files: int = 0
    others: int = 0

    def __add__(self, more: "Erased") -> "Erased":
        pairs = zip(astuple(self), astuple(more), strict=True)
        return Erased(*(ours + theirs for ours, theirs in pairs))


@dataclass(frozen=True)
class Requeued:
    """What requeue_stale did: how many were sent to the workers again, were given up, could not be sent.

    What could not be sent, because the broker is away, waits for the next time.
    """

    sent: int
    given_up: int
    unsent: int = 0


def submit_scan(
    *,
    owner,
    upload: BinaryIO,
    original_name: str,
    reference: str = "",
    trigger: Trigger = Trigger.UPLOAD,
    reader: DicomReader | None = None,
) -> Submission:
    """Store an upload as a scan of `owner` and ask the active model for an answer.

    The same bytes given again lead to the scan that is there. Without an active model the scan is kept and waits.
    A DICOM file gets a name of ours: its own often is that of a person. `reader` is as for intake.clean.
    Raises refusals.Refusal, NotStored among them, and then nothing is stored.
    """
    limits = intake.Limits.from_settings()
    if known := _known_scan(owner, intake.sha256_of(upload, limits=limits)):
        return Submission(known, is_new=False)
    clean = intake.clean(upload, limits=limits, reader=reader)
    scan = Scan(
        owner=owner,
        sha256=clean.sha256,
        original_name=f"DICOM {clean.sha256[:8]}" if clean.dicom else Path(original_name).name[-255:],
        reference=reference,
        width=clean.width,
        height=clean.height,
        is_colour=clean.is_colour,
        quality_issues=[issue.value for issue in clean.quality_issues],
        **(asdict(clean.dicom) if clean.dicom else {}),
    )
    try:
        scan.picture.save("", ContentFile(clean.png), save=False)
        scan.thumbnail.save("", ContentFile(clean.thumbnail), save=False)
        scan.model_input.save("", ContentFile(clean.model_input), save=False)
        with transaction.atomic():
            scan.save(force_insert=True)
            active = active_model_version()
            if active:
                request_prediction(scan=scan, model_version=active, trigger=trigger, requested_by=owner)
            audit.record(action=Action.UPLOADED, actor=owner, scan=scan, detail=trigger)
    except BaseException as error:
        for file in (scan.picture, scan.thumbnail, scan.model_input):
            if file.name:
                with suppress(OSError):
                    file.storage.delete(file.name)
        # Two uploads of the same file at the same moment: the other one was faster.
        if isinstance(error, IntegrityError) and (faster := _known_scan(owner, clean.sha256)):
            return Submission(faster, is_new=False)
        if isinstance(error, OSError):
            logger.exception("An upload could not be stored")
            raise NotStored from error
        raise
    return Submission(scan, is_new=True)


def _known_scan(owner, sha256: str) -> Scan | None:
    return Scan.objects.filter(owner=owner, sha256=sha256).first()


def active_model_version() -> ModelVersion | None:
    """Give the model version that answers new scans."""
    return ModelVersion.objects.filter(is_active=True).defer("metadata").first()


def request_prediction(
    *, scan: Scan, model_version: ModelVersion, trigger: Trigger, requested_by=None, enqueue: bool = True
) -> Prediction:
    """Ask `model_version` to read `scan`; an open request of the two is returned instead of a second one.

    With `enqueue` False the caller answers it itself. Raises Scan.DoesNotExist when the scan was erased meanwhile.
    """
    request = partial(
        _insert_prediction, scan=scan, model_version=model_version, trigger=trigger, requested_by=requested_by
    )
    enqueued_at = timezone.now() if enqueue else None
    try:
        prediction = request(enqueued_at=enqueued_at)
    except IntegrityError:
        open_one = Prediction.objects.open().filter(scan=scan, model_version=model_version).first()
        if open_one:
            return open_one
        # The open one was finished between the two statements, so now there is room.
        prediction = request(enqueued_at=enqueued_at)
    scan.latest_prediction = prediction
    if enqueue:
        transaction.on_commit(partial(_send, prediction.pk, prediction.trigger))
    return prediction


def request_predictions(
    *, scans: Sequence[Scan], model_version: ModelVersion, trigger: Trigger, requested_by=None, enqueue: bool = True
) -> list[Prediction]:
    """Ask for an answer to each of a few scans at once, as request_prediction does; they share one message.

    Scans that were erased meanwhile are passed over.
    """
    common = {"model_version": model_version, "trigger": trigger, "requested_by": requested_by}
    enqueued_at = timezone.now() if enqueue else None
    predictions = [Prediction(scan=scan, enqueued_at=enqueued_at, **common) for scan in scans]
    try:
        _insert_predictions(predictions)
    except (IntegrityError, Scan.DoesNotExist):
        # One is asked for already, or erased.
        predictions = []
        for scan in scans:
            with suppress(Scan.DoesNotExist):
                predictions.append(request_prediction(scan=scan, enqueue=enqueue, **common))
        return predictions
    for prediction in predictions:
        prediction.scan.latest_prediction = prediction
    if enqueue and predictions:
        transaction.on_commit(partial(_send_all, [prediction.pk for prediction in predictions], trigger))
    return predictions


@transaction.atomic
def _insert_predictions(predictions: list[Prediction]) -> None:
    scans = Scan.objects.filter(pk__in=[prediction.scan_id for prediction in predictions])
    # Locked first, as in _insert_prediction, and by all in one order.
    if len(scans.select_for_update().order_by("pk").values_list("pk")) < len(predictions):
        raise Scan.DoesNotExist("One of the scans was erased.")
    for prediction in predictions:
        prediction.is_latest = True
        prediction.copy_from_scan()
    Prediction.objects.filter(scan__in=scans, is_latest=True).update(is_latest=False)
    Prediction.objects.bulk_create(predictions)
    latest = {prediction.scan_id: prediction.pk for prediction in predictions}
    scans.update(latest_prediction=ValueOfEach(latest, Prediction._meta.pk))


@transaction.atomic
def _insert_prediction(*, scan: Scan, **fields) -> Prediction:
    prediction = Prediction(scan=scan, is_latest=True, **fields)
    # The scan comes first: whoever asks at the same moment waits for its lock, and then finds this one the latest.
    if not Scan.objects.filter(pk=scan.pk).update(latest_prediction=prediction):
        raise Scan.DoesNotExist(f"Scan {scan.pk} was erased.")
    Prediction.objects.filter(scan=scan, is_latest=True).update(is_latest=False)
    prediction.save(force_insert=True)
    return prediction


def reprocess(
    *,
    scans: Iterable[Scan],
    model_version: ModelVersion,
    trigger: Trigger,
    requested_by=None,
    enqueue: bool = True,
    at_once: int = SCANS_OF_A_MESSAGE,
) -> Iterator[list[Prediction]]:
    """Ask for a new prediction of each scan, `at_once` of them by one message, as the iterator is consumed.

    Scans that are erased meanwhile are passed over. The audit gets one event for all of them: who asked for which
    prediction stands in its own row.
    """
    scans = iter(scans)
    is_recorded = False
    while some := list(islice(scans, at_once)):
        if not is_recorded:
            audit.record(action=Action.REPROCESSED, actor=requested_by, model_version=model_version, detail=trigger)
            is_recorded = True
        asked = request_predictions(
            scans=some, model_version=model_version, trigger=trigger, requested_by=requested_by, enqueue=enqueue
        )
        if asked:
            yield asked


def requeue_stale(*, older_than: timedelta | None = None, limit: int | None = None) -> Requeued:
    """Send every prediction whose worker or message must be presumed lost to the workers again.

    RUNNING ones are put back, or end as FAILED after too many attempts. Safe to run at any time and by several at
    once: a worker that was only slow finds its claim gone and drops its answer. `older_than` defaults to
    PREDICTION_STALE_SECONDS; zero is right only when no worker runs. At most `limit` are sent, those first that were
    never sent or were sent the longest ago.
    """
    age = timedelta(seconds=settings.PREDICTION_STALE_SECONDS) if older_than is None else older_than
    stale = Prediction.objects.stale(older_than=age)
    given_up = stale.give_up_exhausted()
    stale.put_back()
    longest_ago = F("enqueued_at").asc(nulls_first=True)
    lost = list(stale.filter(state=State.QUEUED).order_by(longest_ago).values_list("pk", "trigger")[:limit])
    sent = handled = 0
    for prediction_id, trigger in lost:
        # Marked before it is sent, so that a second requeue beside this one does not send it too.
        marked = Prediction.objects.filter(pk=prediction_id, state=State.QUEUED).update(enqueued_at=timezone.now())
        if marked and not _send(prediction_id, trigger):
            break
        sent += marked
        handled += 1
    return Requeued(sent=sent, given_up=given_up, unsent=len(lost) - handled)


def _send(prediction_id: uuid.UUID, trigger: str) -> bool:
    """Give the message to the broker. While the broker is away the row keeps the request: requeue_stale sends it."""
    from diagnosis.tasks import run_prediction

    return _given_to_the_broker(run_prediction, str(prediction_id), [prediction_id], trigger)


def _send_all(prediction_ids: Sequence[uuid.UUID], trigger: str) -> bool:
    """Give one message for all to the broker, as `_send` does."""
    from diagnosis.tasks import run_predictions

    return _given_to_the_broker(run_predictions, [str(one) for one in prediction_ids], prediction_ids, trigger)


def send_rest(prediction_ids: Sequence[uuid.UUID]) -> None:
    """Give what is left of a batch's message to the broker by a further one, behind those that wait."""
    if prediction_ids:
        Prediction.objects.filter(pk__in=prediction_ids, state=State.QUEUED).update(enqueued_at=timezone.now())
        _send_all(prediction_ids, Trigger.COMMAND)


def _given_to_the_broker(task, message: str | list[str], prediction_ids: Sequence[uuid.UUID], trigger: str) -> bool:
    try:
        task.apply_async((message,), queue=Trigger(trigger).queue)
    except (BrokerError, OSError):
        named = ", ".join(str(one) for one in prediction_ids)
        logger.warning("The broker is away; prediction %s waits for requeue_stale", named, exc_info=True)
        Prediction.objects.filter(pk__in=prediction_ids, state=State.QUEUED).update(enqueued_at=None)
        return False
    for prediction_id in prediction_ids:
        logger.info("Sent to the workers", extra={"prediction_id": str(prediction_id)})
    return True


def record_review(
    *, prediction: Prediction, reviewer, label: Verdict | str, note: str = "", second_reader: bool = False
) -> Review:
    """Record what `reviewer` sees in the picture; a review of theirs from before stays, but stands no more.

    `second_reader` asks for one, REVIEW_READERS does always. The same said twice is recorded once. Whatever others
    record at the same moment, nothing is lost: each reader's word is a row of its own. Raises NothingToReview without
    an answer.
    """
    if prediction.state != State.SUCCEEDED:
        raise NothingToReview
    with transaction.atomic():
        # One after the other, so that each counts the ones before.
        held = Prediction.objects.select_for_update().get(pk=prediction.pk)
        before = held.reviews.standing().filter(reviewer=reviewer)
        review = before.filter(label=label, note=note).first()
        if not review:
            before.update(is_standing=False)
            review = Review.objects.create(prediction=held, reviewer=reviewer, label=label, note=note)
            audit.record(action=Action.REVIEWED, actor=reviewer, scan=held.scan, model_version=held.model_version)
        newest_first = list(held.reviews.standing().order_by("-pk").values_list("label", flat=True))
        most_said, count = Counter(newest_first).most_common(1)[0]
        held.readings = len(newest_first)
        held.is_disputed = 2 * count <= held.readings
        held.reviewed_label = newest_first[0] if held.is_disputed else most_said
        held.readings_wanted = 2 if second_reader else max(held.readings_wanted, settings.REVIEW_READERS)
        held.save(update_fields=["readings", "readings_wanted", "reviewed_label", "is_disputed"])
    return review


def erase_scan(*, scan: Scan, erased_by, detail: str = "") -> Erased:
    """Delete a scan with all its predictions and reviews; its files go when the transaction commits.

    An upload goes with the last of its scans. Raises files.StorageAway, and then nothing is deleted. `erased_by` None:
    the site itself did; `detail` tells the audit why. Nothing happens where somebody else was faster.
    """
    with transaction.atomic():
        held = Scan.objects.select_for_update().filter(pk=scan.pk).first()
        if held is None:
            return Erased()
        audit.record(action=Action.DELETED, actor=erased_by, scan=held, detail=detail)
        files = sum(bool(file) for file in (held.picture, held.thumbnail, held.model_input))
        files += held.predictions.exclude(heatmap="").count()
        uploads = list(Upload.objects.filter(scans=held).values_list("pk", flat=True))
        _, rows = held.delete()
        Upload.objects.filter(pk__in=uploads, scans=None).delete()
    return Erased(
        scans=rows["diagnosis.Scan"],
        predictions=rows.get("diagnosis.Prediction", 0),
        reviews=rows.get("diagnosis.Review", 0),
        files=files,
    )


def register_model(*, folder: Path, activate: bool = False) -> tuple[ModelVersion, bool]:
    """Make the checkpoint in `folder` known; the second value tells whether it is new.

    A version that was moved is found at its new place from now on. Raises ml.checkpoint.CheckpointError.
    """
    checkpoint = Checkpoint.read(folder)
    checkpoint.verify()
    place = folder.resolve()
    if place.is_relative_to(settings.BASE_DIR):
        place = place.relative_to(settings.BASE_DIR)
    metadata = checkpoint.metadata
    low, high = metadata.uncertain
    with transaction.atomic():
        version, is_new = ModelVersion.objects.update_or_create(
            sha256=checkpoint.sha256,
            # A checkpoint of the same name may have got a reference since.
            defaults={"folder": str(place), "metadata": checkpoint.as_json()},
            create_defaults={
                "folder": str(place),
                "name": metadata.name,
                "threshold": metadata.threshold,
                "uncertain_low": low,
                "uncertain_high": high,
                "metadata": checkpoint.as_json(),
            },
        )
        if activate:
            activate_model(model_version=version)
    return version, is_new


def read_checkpoint(*, model_version: ModelVersion) -> Checkpoint:
    """Give the checkpoint that `model_version` answers with, its files compared.

    Raises ml.checkpoint.CheckpointError where it can't answer any more: the folder is gone or damaged, holds another
    version by now, or is of a format that this software does not read.
    """
    checkpoint = Checkpoint.read(Path(settings.BASE_DIR, model_version.folder))
    if checkpoint.sha256 != model_version.sha256:
        raise CheckpointCorrupt(f"{model_version.folder} now holds version {checkpoint.sha256[:12]}.")
    checkpoint.verify()
    return checkpoint


def activate_model(*, model_version: ModelVersion, activated_by=None) -> None:
    """Let `model_version` answer new scans from now on; old answers stay as they are.

    `activated_by` None: whoever runs the site's commands.
    """
    with transaction.atomic():
        ModelVersion.objects.filter(is_active=True).exclude(pk=model_version.pk).update(is_active=False)
        ModelVersion.objects.filter(pk=model_version.pk).update(is_active=True, activated_at=timezone.now())
        audit.record(action=Action.ACTIVATED, actor=activated_by, model_version=model_version)
    model_version.refresh_from_db()


def issue_token(*, user, lifetime: timedelta | None) -> str:
    """Give the secret of a new API token of `user`, in place of the one before. It can't be had again.

    `lifetime` None: it lasts until it is revoked.
    """
    with transaction.atomic():
        _, secret = ApiToken.objects.issue(user=user, lifetime=lifetime)
        audit.record(action=Action.TOKEN_MADE, actor=user, owner=user)
    return secret


def revoke_token(*, user, revoked_by) -> bool:
    """Let the API token of `user` open nothing any more; tell whether there was one."""
    with transaction.atomic():
        is_revoked = ApiToken.objects.revoke(user=user)
        if is_revoked:
            audit.record(action=Action.TOKEN_REVOKED, actor=revoked_by, owner=user)
    return is_revoked
