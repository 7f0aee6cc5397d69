"""Files that a person gives at once → scans, and the reason for each file that is none. Archives count as their files.

A name is kept only where it is that of a picture by itself: DICOM files are named after patients, and the paths in an
archive or a folder too. Others are told by their place, "File 3 of 40", in the order in which they were given.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import PurePath
from typing import Any, BinaryIO

from django.conf import settings

from diagnosis import intake, services
from diagnosis.archives import Archive, Budget, is_zip
from diagnosis.dashboard.rows import RefusedFiles
from diagnosis.decoding.kinds import is_dicom
from diagnosis.models import Upload
from diagnosis.refusals import Refusal, TooManyFiles

# Endings that say what a file is; what is called otherwise may be DICOM, also where its content doesn't tell any more.
NAMED = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".heic", ".avif", ".pdf", ".txt"}


@dataclass(frozen=True)
class Refused:
    """A file that is no scan, and why: the sentence of a Refusal with its values.

    `file` may be kept; `name` is the file's own name, to be shown and not kept.
    """

    file: str
    code: str
    sentence: str
    values: dict[str, Any]
    name: str

    def as_json(self) -> dict[str, Any]:
        """Give what may be kept of it."""
        return {key: value for key, value in asdict(self).items() if key != "name"}


@dataclass
class Outcome:
    """What came of the files: a submission or a reason for each of the `given`."""

    given: int
    submissions: list[services.Submission] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    upload: Upload | None = None  # where there were several and some are scans
    is_storage_away: bool = False  # some files are good, and could not be kept


@dataclass(frozen=True)
class _Given:
    """One file, still to be read: its content or the reason against it; `name` is empty for one of an archive."""

    content: BinaryIO | Refusal
    name: str

    @property
    def keeps_its_name(self) -> bool:
        if PurePath(self.name).suffix.lower() not in NAMED or isinstance(self.content, Refusal):
            return False
        self.content.seek(0)
        return not is_dicom(self.content.read(132))


def take(*, owner, files: Sequence[tuple[str, BinaryIO]], reference: str = "") -> Outcome:
    """Submit each of `files`, a name and a content, and the files in each archive among them.

    One bad file never costs the others. Raises TooManyFiles before anything is stored. What is not reached within
    UPLOAD_MAX_SECONDS is refused with OUT_OF_TIME: given again, what is known by then costs next to nothing. Once the
    storage is away, no further file is tried: each would wait for it as long as the first one did.
    """
    parts = _opened(files)
    outcome = Outcome(given=sum(len(part) if isinstance(part, Archive) else 1 for part, _ in parts))
    if outcome.given > settings.UPLOAD_MAX_FILES:
        raise TooManyFiles(outcome.given, most=settings.UPLOAD_MAX_FILES)
    end = time.monotonic() + settings.UPLOAD_MAX_SECONDS
    away: services.NotStored | None = None
    with ExitStack() as stack:
        reader = stack.enter_context(intake.reader_of(None))
        for place, given in enumerate(_each(parts), start=1):
            label = given.name if given.keeps_its_name else f"File {place} of {outcome.given}"
            try:
                if away:
                    raise away
                if time.monotonic() > end:
                    raise _out_of_time()
                if isinstance(given.content, Refusal):
                    raise given.content
                submission = services.submit_scan(
                    owner=owner, upload=given.content, original_name=label, reference=reference, reader=reader
                )
            except Refusal as refusal:
                away = refusal if isinstance(refusal, services.NotStored) else None
                outcome.is_storage_away |= away is not None
                name = given.name or label
                outcome.refused.append(Refused(label, refusal.code, refusal.sentence, refusal.values, name=name))
            else:
                outcome.submissions.append(submission)
    RefusedFiles.objects.note(file.code for file in outcome.refused)
    if outcome.given > 1 and outcome.submissions:
        outcome.upload = _remembered(owner, outcome)
    return outcome


def _opened(files: Sequence[tuple[str, BinaryIO]]) -> list[tuple[Archive | BinaryIO | Refusal, str]]:
    """Give each file with its name, and in place of an archive its list or the reason against it."""
    parts: list[tuple[Archive | BinaryIO | Refusal, str]] = []
    unpacked = settings.UPLOAD_MAX_UNPACKED_BYTES
    for name, file in files:
        part: Archive | BinaryIO | Refusal = file
        if is_zip(file):
            budget = Budget(settings.INTAKE_MAX_BYTES, settings.UPLOAD_MAX_FILES, unpacked)
            try:
                part = Archive(file, budget=budget)
                unpacked -= part.unpacked
            except Refusal as refusal:
                part = refusal
        parts.append((part, name))
    return parts


def _each(parts: list[tuple[Archive | BinaryIO | Refusal, str]]) -> Iterator[_Given]:
    for part, name in parts:
        if isinstance(part, Archive):
            yield from (_Given(member, name="") for member in part.members())
        else:
            yield _Given(part, name)


def _out_of_time() -> Refusal:
    return Refusal(
        "OUT_OF_TIME",
        "There was no time left for this file; upload the same again, what is kept by then is not read twice.",
    )


def _remembered(owner, outcome: Outcome) -> Upload:
    known = sum(not submission.is_new for submission in outcome.submissions)
    refused = [file.as_json() for file in outcome.refused]
    upload = Upload.objects.create(owner=owner, given=outcome.given, known=known, refused=refused)
    upload.scans.set({submission.scan for submission in outcome.submissions})
    return upload
