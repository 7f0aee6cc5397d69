"""Bytes from a stranger become a clean grayscale picture, or a refusal that says what is wrong and what to do.

Only pixels pass: the picture is decoded once and written anew, so metadata, colour profiles, text and whatever hides
before, between or behind the picture's own data stay outside. What the content means is not judged here; but whether
the picture had colours, and how good it was, only the given file tells, so both are noted for whoever judges.

How a file's levels are read stands in diagnosis.decoding; DICOM is shown through its own window, as diagnosis.dicom
describes, and has the facts that are kept of it beside it.
"""

import hashlib
import io
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import BinaryIO, Self

from django.conf import settings
from PIL import Image, PngImagePlugin

from diagnosis.decoding.kinds import is_read_apart
from diagnosis.decoding.pictures import grey_of
from diagnosis.decoding.reader import Reader
from diagnosis.dicom.kept import Facts
from diagnosis.files import PNG_COMPRESSION
from diagnosis.refusals import Refusal
from ml.preprocess import DISPLAY_LEVELS, canonical_jpeg, eight_bit
from ml.quality import QualityIssue, quality_issues

ACCEPTED = "DICOM, JPEG, PNG, WebP, TIFF or BMP"
THUMBNAIL_SIDE = 256
THUMBNAIL_QUALITY = 80


@dataclass(frozen=True)
class Limits:
    """What is accepted: bytes of the file, pixels of the picture, pixels of its shorter side."""

    max_bytes: int
    max_pixels: int
    min_side: int

    @classmethod
    def from_settings(cls) -> Self:
        return cls(
            max_bytes=settings.INTAKE_MAX_BYTES,
            max_pixels=settings.INTAKE_MAX_PIXELS,
            min_side=settings.INTAKE_MIN_SIDE,
        )


@dataclass(frozen=True)
class CleanPicture:
    """A picture without its past; `width` and `height` are those of `png`, upright."""

    sha256: str  # of the bytes as given, 64 hex digits
    model_input: bytes  # ml.preprocess.canonical_jpeg: all that the network needs of it
    thumbnail: bytes  # JPEG, longest side at most 256 px, levels as the network sees them
    width: int
    height: int
    is_colour: bool  # of the picture as given: an X-ray has no colours
    quality_issues: list[QualityIssue]
    compressing: Future[bytes] = field(repr=False, compare=False)  # gives `png`
    dicom: Facts | None = None  # None for a picture that was no DICOM file

    @property
    def png(self) -> bytes:
        """Give the picture itself, lossless grayscale of 8 or 16 bit; waits until it is compressed.

        Raises what its compression raised, no Refusal.
        """
        return self.compressing.result()


def sha256_of(file: BinaryIO, *, limits: Limits) -> str:
    """Give the sha256 of the bytes without decoding them; raises Refusal for a file that is empty or too large."""
    return hashlib.sha256(_read(file, limits)).hexdigest()


def clean(file: BinaryIO, *, limits: Limits, reader: Reader | None = None) -> CleanPicture:
    """Read `file` from its start and give the clean picture in it, or raise Refusal.

    Who has many files gives one `reader` for all DICOM and TIFF files among them; without one each starts a process of
    its own.
    """
    data = _read(file, limits)
    most = {"max_pixels": limits.max_pixels, "min_side": limits.min_side}
    if not is_read_apart(data):
        grey, is_colour = grey_of(data, **most)
        return _clean_picture(data, grey, is_colour=is_colour)
    with reader_of(reader) as opened:
        read = opened.read(data, **most)
    return _clean_picture(data, read.grey, is_colour=read.is_colour, for_display=read.for_display, facts=read.facts)


def _clean_picture(
    data: bytes, grey: Image.Image, *, is_colour: bool, for_display: bool = False, facts: Facts | None = None
) -> CleanPicture:
    # Savers copy what they find here (colour profile, comment, transparency) into the new file.
    grey.info = dict([DISPLAY_LEVELS]) if for_display else {}
    # Compressing it takes longer than all the rest. That happens beside it, for Pillow and zlib leave Python free; so
    # does what the caller does before it asks for the PNG.
    beside = ThreadPoolExecutor(max_workers=1)
    compressing = beside.submit(_png, grey)
    beside.shutdown(wait=False)
    # Of a windowed picture the window is judged too: what it clips can't be seen.
    judged = eight_bit(grey, grey.size) if for_display else grey
    return CleanPicture(
        sha256=hashlib.sha256(data).hexdigest(),
        model_input=canonical_jpeg(grey),
        thumbnail=_thumbnail(grey),
        width=grey.width,
        height=grey.height,
        is_colour=is_colour,
        quality_issues=quality_issues(judged),
        compressing=compressing,
        dicom=facts,
    )


def reader_of(given: Reader | None) -> AbstractContextManager[Reader]:
    """Give the reader that was given, which stays open, or a new one that is closed at the end."""
    return nullcontext(given) if given else Reader(seconds=settings.INTAKE_DECODING_SECONDS)


def _read(file: BinaryIO, limits: Limits) -> bytes:
    file.seek(0)
    data = file.read(limits.max_bytes + 1)
    if not data:
        raise Refusal("EMPTY", "This file is empty; export the picture again and upload the new file.")
    if len(data) > limits.max_bytes:
        raise too_large(limits)
    return data


def too_large(limits: Limits) -> Refusal:
    """Give the refusal of a file with more bytes than `limits` allow."""
    return Refusal(
        "TOO_LARGE",
        "This file is larger than %(most)s MB; save the picture as JPEG or scale it down.",
        most=limits.max_bytes / 2**20,
    )


def _png(grey: Image.Image) -> bytes:
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, value in grey.info.items():
        text.add_text(str(key), value)
    grey.save(buffer, "PNG", pnginfo=text, **PNG_COMPRESSION)
    return buffer.getvalue()


def _thumbnail(grey: Image.Image) -> bytes:
    scale = min(1.0, THUMBNAIL_SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    buffer = io.BytesIO()
    eight_bit(grey, (width, height)).save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()
