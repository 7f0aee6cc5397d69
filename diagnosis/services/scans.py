"""Taking a scan in, and erasing one."""

import logging
from contextlib import suppress
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import BinaryIO

from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models.fields.files import FieldFile
from django.utils.translation import gettext_noop

from diagnosis import audit, intake, refusals
from diagnosis.audit import Action
from diagnosis.decoding.reader import Reader
from diagnosis.models import Scan, Upload
from diagnosis.services.model_versions import active_model_version
from diagnosis.services.predictions import request_prediction
from diagnosis.states import Trigger

logger = logging.getLogger(__name__)


class NotStored(refusals.Refusal):
    """The picture is fine and the storage is away; nothing was kept, and a later try may succeed."""

    def __init__(self) -> None:
        super().__init__(
            "STORAGE_AWAY",
            gettext_noop("Pictures can't be stored right now, so this one was not kept. Try again in a few minutes."),
        )


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


def submit_scan(
    *,
    owner,
    upload: BinaryIO,
    original_name: str,
    reference: str = "",
    trigger: Trigger = Trigger.UPLOAD,
    reader: Reader | None = None,
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
    begun: list[FieldFile] = []
    try:
        # The model input is named after the picture, which is stored last: it is still being compressed.
        for file in (scan.picture, scan.thumbnail, scan.model_input):
            file.name = file.field.generate_filename(scan, "")
        _store(scan.thumbnail, clean.thumbnail, begun)
        _store(scan.model_input, clean.model_input, begun)
        _store(scan.picture, clean.png, begun)
        with transaction.atomic():
            scan.save(force_insert=True)
            active = active_model_version()
            if active:
                request_prediction(scan=scan, model_version=active, trigger=trigger, requested_by=owner)
            audit.record(action=Action.UPLOADED, actor=owner, scan=scan, detail=trigger)
    except BaseException as error:
        for file in begun:
            with suppress(OSError):
                file.storage.delete(file.name or "")
        # Two uploads of the same file at the same moment: the other one was faster.
        if isinstance(error, IntegrityError) and (faster := _known_scan(owner, clean.sha256)):
            return Submission(faster, is_new=False)
        raise
    return Submission(scan, is_new=True)


def _store(file: FieldFile, content: bytes, begun: list[FieldFile]) -> None:
    # Noted before it is there: a full disk leaves the beginning of it, which has to be deleted too.
    begun.append(file)
    try:
        file.name = file.storage.save(file.name, ContentFile(content))
    except OSError as error:
        logger.exception("An upload could not be stored")
        raise NotStored from error


def _known_scan(owner, sha256: str) -> Scan | None:
    return Scan.objects.filter(owner=owner, sha256=sha256).first()


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
