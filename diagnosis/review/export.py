"""Reviewed pictures as a folder to train on: in the layout of the public data set, and with no way back to a person."""

import csv
import hmac
import secrets
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from django.db.models import Prefetch
from PIL import Image

from diagnosis import audit
from diagnosis.audit import Action
from diagnosis.files import StorageAway
from diagnosis.models import Prediction, Review, Scan
from diagnosis.review.rows import REVIEWED, UNUSABLE
from ml.labels import LABELS
from ml.preprocess import eight_bit

# Scans in memory at once, without their pictures.
CHUNK = 200

MANIFEST = "manifest.csv"
COLUMNS = (
    "file",
    "label",
    "model_label",
    "probability",
    "model_version",
    "readers",
    "readers_agreeing",
    "model_agrees",
)

# Why a reviewed scan is left out, as people read it.
HALF_READ, DISPUTED, TOO_FEW = "waiting for a second reader", "readers disagree", "read by too few"
NOT_USABLE, MISSING = "not a usable chest X-ray", "picture missing or damaged"


class ExportRefused(Exception):
    """The folder can't be written; the text says why and what to do."""


@dataclass(frozen=True)
class Exported:
    """What was written: pictures by label, and how many reviewed scans were left out, by why."""

    labels: Counter[str]
    left_out: Counter[str]


def export_reviews(*, folder: Path, min_readers: int = 1) -> Exported:
    """Write train/NORMAL and train/PNEUMONIA, a manifest and a README into `folder`, which is new or empty.

    Each scan whose label is decided by at least `min_readers` comes once. Its picture is written anew, 8-bit
    grayscale as the model sees it, under a name that ml.dataset reads a patient from: a random number for each owner,
    the same for all pictures of theirs, made with a key that is thrown away. The folder appears when it is whole; the
    audit knows of each picture, also where the export was broken off.
    Raises ExportRefused.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportRefused(f"{folder} is not empty. Name a folder that is new or empty; nothing is ever overwritten.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        half_done = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ExportRefused(f"{folder} can't be written: {error.strerror}.") from error
    try:
        exported = _write(half_done, min_readers)
        # The name may be taken by an empty folder, and by nothing else.
        half_done.replace(folder)
    except BaseException as error:
        shutil.rmtree(half_done, ignore_errors=True)
        if isinstance(error, OSError):
            raise ExportRefused(f"{folder} could not be finished, and nothing of it is left: {error}") from error
        raise
    return exported


def _write(folder: Path, min_readers: int) -> Exported:
    names = _Names()
    labels: Counter[str] = Counter(dict.fromkeys(LABELS, 0))
    left_out: Counter[str] = Counter()
    for label in LABELS:
        (folder / "train" / label).mkdir(parents=True)
    with (folder / MANIFEST).open("w", newline="") as file:
        manifest = csv.writer(file)
        manifest.writerow(COLUMNS)
        for scan in _reviewed_scans():
            decided = _decided(scan.read, min_readers)  # type: ignore[attr-defined]
            if isinstance(decided, str):
                left_out[decided] += 1
                continue
            label = decided.reviewed_label
            path = Path("train", label, names.of(scan))
            if not _write_picture(scan, folder / path):
                left_out[MISSING] += 1
                continue
            audit.record(action=Action.EXPORTED, actor=None, scan=scan, model_version=decided.model_version)
            labels[label] += 1
            manifest.writerow([path, *_row(decided)])
    (folder / "README.md").write_text(_readme(labels, left_out))
    return Exported(labels, left_out)


def _reviewed_scans() -> Iterator[Scan]:
    """Give the scans with a reviewed answer, `read` being these answers, the newest first.

    In the order of their random ids, which tells nothing of their owners or of time.
    """
    reviewed = Prediction.objects.filter(REVIEWED)
    answers = reviewed.select_related("model_version").defer("model_version__metadata")
    standing = Prefetch("reviews", Review.objects.standing(), to_attr="verdicts")
    last = uuid.UUID(int=0)
    while True:
        ids = reviewed.filter(scan__gt=last).order_by("scan").values_list("scan", flat=True).distinct()[:CHUNK]
        scans = list(
            Scan.objects.filter(pk__in=list(ids))
            .order_by("pk")
            .prefetch_related(Prefetch("predictions", answers.prefetch_related(standing), to_attr="read"))
        )
        if not scans:
            return
        yield from scans
        last = scans[-1].pk


def _decided(answers: list[Prediction], min_readers: int) -> Prediction | str:
    """Give the newest answer with a label that all readers of the scan can stand for, or why there is none."""
    read = [answer for answer in answers if answer.is_read]
    if not read:
        return HALF_READ
    # Also where the answers of two model versions were judged differently.
    if any(answer.is_disputed for answer in read) or len({answer.reviewed_label for answer in read}) > 1:
        return DISPUTED
    if read[0].reviewed_label == UNUSABLE:
        return NOT_USABLE
    return read[0] if max(answer.readings for answer in read) >= min_readers else TOO_FEW


def _row(answer: Prediction) -> list[object]:
    agreeing = sum(verdict.label == answer.reviewed_label for verdict in answer.verdicts)  # type: ignore[attr-defined]
    return [
        answer.reviewed_label,
        answer.label,
        f"{answer.probability:.6f}",
        str(answer.model_version),
        answer.readings,
        agreeing,
        "yes" if answer.label == answer.reviewed_label else "no",
    ]


def _write_picture(scan: Scan, path: Path) -> bool:
    """Write the picture's grey levels and nothing else; tell whether there were any to write."""
    try:
        with scan.picture.storage.open(scan.picture.name or "") as stored, Image.open(stored, formats=["PNG"]) as given:
            levels = np.array(eight_bit(given, given.size))
    except StorageAway:
        raise
    except OSError:
        return False
    Image.fromarray(levels).save(path, "PNG")
    return True


class _Names:
    """Random names that ml.dataset reads a patient from; with the key gone nothing leads back from them."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def of(self, scan: Scan) -> str:
        patient = int.from_bytes(self._digest(f"owner {scan.owner_id}")[:8])
        return f"person{patient}_{self._digest(f'scan {scan.pk}')[:6].hex()}.png"

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode(), "sha256")


def _readme(labels: Counter[str], left_out: Counter[str]) -> str:
    counts = "\n".join(f"- {label}: {count}" for label, count in labels.items())
    others = "\n".join(f"- left out, {why}: {count}" for why, count in sorted(left_out.items()))
    return f"""# Reviewed chest X-rays

Pictures with the labels that human readers gave them, in the layout of the public data set chest-xray-pneumonia:

{counts}
{others}

    python -m ml.dataset --describe train
    python -m ml.train --data train --run runs/reviewed

{MANIFEST} has a line for each picture: {", ".join(COLUMNS)}. The number after "person" stands for the account that
gave the pictures; it is random, and another in every export. Split by it, never by picture.

What to mind:

- **Not a random sample.** Readers see uncertain answers first, then likely pneumonia.
- **What is written into a picture is still there.** Only pixels were kept, but a name burnt into them is pixels.
- **Readers saw the model's answer** before they judged, which draws them towards it.

Licence: this export grants none. The pictures belong to those who gave them, under what was agreed with them and with
the ethics board of the place; ask before you pass them on. For education and research, not a medical device.
"""
