"""Bytes from a stranger become a clean grayscale picture, or a refusal that says what is wrong and what to do.

Only pixels pass: the picture is decoded once and written anew, so metadata, colour profiles, text and whatever hides
before, between or behind the picture's own data stay outside. What the content means is not judged here; but whether
the picture had colours, and how good it was, only the given file tells, so both are noted for whoever judges.

- Colour becomes ITU-R 601 luma. Embedded colour profiles are not applied: the network learnt from stored levels, and
  a profile is hostile input for nothing gained.
- Transparency is laid over black, the colour of air on an X-ray. Where every pixel is transparent, the alpha channel
  is an empty leftover and is ignored.
- 16-bit grayscale keeps every level. 32-bit integers within 0..65535 keep theirs; other integers and all floats are
  scaled from minimum..maximum to 0..65535. 16-bit colour comes out of Pillow with 8 bits.
- DICOM is shown through its own window, as diagnosis.dicom describes, and has the facts that are kept of it beside it.
"""

import hashlib
import io
import logging
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, BinaryIO, Self

import numpy as np
from django.conf import settings

# Imported by name: Image.open would otherwise load every plugin that Pillow has when the first TIFF arrives.
from PIL import (  # noqa: F401
    BmpImagePlugin,
    ExifTags,
    Image,
    ImageChops,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from diagnosis.dicom.kept import Facts
from diagnosis.dicom.reader import DicomReader, is_dicom
from diagnosis.headers import MOST_EXIF, check_repetition, check_scans
from diagnosis.refusals import Refusal, check_sides, damaged, gettext_noop, too_many_pixels
from ml.preprocess import DISPLAY_LEVELS, canonical_jpeg, eight_bit
from ml.quality import QualityIssue, is_colour, quality_issues

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
ACCEPTED = "DICOM, JPEG, PNG, WebP, TIFF or BMP"
FAR_TOO_MANY = gettext_noop("This picture has far more pixels than are accepted; scale it down and upload it again.")
TILES_TOO_LARGE = gettext_noop(
    "This picture is stored in tiles with more pixels than are accepted; scale it down and upload it again."
)
# libtiff reads it before it decodes JPEG: passes over the pixels of a strip; usual files have one. Its default is 100.
os.environ.setdefault("LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", "16")

# Pillow decodes these in Python, a microsecond a pixel.
RUN_LENGTHS = gettext_noop("This BMP picture is stored as run lengths, which are not read here; save it as PNG.")
THUMBNAIL_SIDE = 256
THUMBNAIL_QUALITY = 80
MAX_16_BIT = 65535

# Speed matters while somebody waits: the noise of an X-ray hardly compresses, so level 6 takes up to four times as long
# and saves a tenth to a quarter.
PNG_COMPRESS_LEVEL = 1

# libwebp holds the picture four times while it decodes; with fewer pixels it needs no more memory than the others.
WEBP_SHARE = 0.7

# Pixels of all tiles of a TIFF, in such as are accepted for a picture.
MOST_AROUND = 2

# Rows that are converted at once, so that a large 32-bit picture is never held twice.
BAND_ROWS = 256

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
    png: bytes  # lossless grayscale, 8 or 16 bit
    model_input: bytes  # ml.preprocess.canonical_jpeg: all that the network needs of it
    thumbnail: bytes  # JPEG, longest side at most 256 px, levels as the network sees them
    width: int
    height: int
    is_colour: bool  # of the picture as given: an X-ray has no colours
    quality_issues: list[QualityIssue]
    dicom: Facts | None = None  # None for a picture that was no DICOM file


def sha256_of(file: BinaryIO, *, limits: Limits) -> str:
    """Give the sha256 of the bytes without decoding them; raises Refusal for a file that is empty or too large."""
    return hashlib.sha256(_read(file, limits)).hexdigest()


def clean(file: BinaryIO, *, limits: Limits, reader: DicomReader | None = None) -> CleanPicture:
    """Read `file` from its start and give the clean picture in it, or raise Refusal.

    Who has many files gives one `reader` for all DICOM files among them; without one each starts a process of its own.
    """
    data = _read(file, limits)
    if is_dicom(data):
        with reader_of(reader) as opened:
            return _clean_dicom(data, limits, opened)
    with _failures_refused(data):
        check_repetition(data)
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_header(picture, limits)
        if picture.format in ("JPEG", "MPO"):
            check_scans(data, pixels=picture.width * picture.height)
        picture.load()
        has_colours = is_colour(picture)
        grey = _upright(_grey(picture), picture)
        del picture
    return _clean_picture(data, grey, is_colour=has_colours)


def _clean_picture(
    data: bytes, grey: Image.Image, *, is_colour: bool, for_display: bool = False, facts: Facts | None = None
) -> CleanPicture:
    # Savers copy what they find here (colour profile, comment, transparency) into the new file.
    grey.info = dict([DISPLAY_LEVELS]) if for_display else {}
    # Of a windowed picture the window is judged too: what it clips can't be seen.
    judged = eight_bit(grey, grey.size) if for_display else grey
    return CleanPicture(
        sha256=hashlib.sha256(data).hexdigest(),
        png=_png(grey),
        model_input=canonical_jpeg(grey),
        thumbnail=_thumbnail(grey),
        width=grey.width,
        height=grey.height,
        is_colour=is_colour,
        quality_issues=quality_issues(judged),
        dicom=facts,
    )


def reader_of(given: DicomReader | None) -> AbstractContextManager[DicomReader]:
    """Give the reader that was given, which stays open, or a new one that is closed at the end."""
    return nullcontext(given) if given else DicomReader(seconds=settings.INTAKE_DICOM_SECONDS)


def _clean_dicom(data: bytes, limits: Limits, reader: DicomReader) -> CleanPicture:
    read = reader.read(data, max_pixels=limits.max_pixels, min_side=limits.min_side)
    return _clean_picture(
        data,
        _grey(read.picture),
        is_colour=is_colour(read.picture),
        for_display=read.for_display,
        facts=read.facts,
    )


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


@contextmanager
def _failures_refused(data: bytes) -> Iterator[None]:
    """Turn whatever a decoder raises on hostile bytes into a Refusal."""
    try:
        yield
    except Refusal:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise too_many_pixels(FAR_TOO_MANY) from error
    except UnidentifiedImageError as error:
        raise _unidentified(data) from error
    except Exception as error:
        # Pillow's decoders fail with nearly every built-in exception, so a list of them would never be complete.
        logger.info("Refused a picture that can't be decoded", exc_info=True)
        raise damaged() from error


def _unidentified(data: bytes) -> Refusal:
    """Say what the file is, as far as its first bytes tell."""
    if data.startswith((b"\xff\xd8\xff", b"\x89PNG", b"II*\0", b"MM\0*", b"BM")) or data[8:12] == b"WEBP":
        return damaged()
    if sentence := _foreign_kind(data):
        return Refusal("UNSUPPORTED_FORMAT", sentence)
    return Refusal(
        "NOT_A_PICTURE", "This file is not a picture; upload the X-ray as DICOM, JPEG, PNG, WebP, TIFF or BMP."
    )


def _foreign_kind(data: bytes) -> str:
    """Name a well-known format that is not accepted with advice, or give ""."""
    head = data[:1024].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"):
        return gettext_noop("This file is HEIC, which is not read here; convert it to JPEG and upload that.")
    if data[4:8] == b"ftyp" and data[8:12] in (b"avif", b"avis"):
        return gettext_noop("This file is AVIF, which is not read here; convert it to JPEG and upload that.")
    if head.startswith(b"%pdf"):
        return gettext_noop(
            "This file is a PDF document, which is not read here; export the picture in it as JPEG or PNG."
        )
    if head.startswith((b"gif87a", b"gif89a")):
        return gettext_noop(
            "This file is GIF, which is not read here; export the X-ray as JPEG or PNG from where it came from."
        )
    if head.startswith((b"<svg", b"<?xml")) and b"<svg" in head:
        return gettext_noop(
            "This file is an SVG drawing, which is not read here; upload the X-ray itself as JPEG or PNG."
        )
    if head.startswith((b"<!doctype html", b"<html")):
        return gettext_noop("This file is a web page, which is not read here; save the picture on it as JPEG or PNG.")
    if data.startswith(b"PK\x03\x04"):
        return gettext_noop(
            "This file is a ZIP archive, which is not read here; unpack it and upload the pictures in it."
        )
    return ""


def _check_header(picture: ImageFile.ImageFile, limits: Limits) -> None:
    """Refuse by what the header says, before any pixel is decoded."""
    width, height = picture.size
    most = limits.max_pixels * (WEBP_SHARE if picture.format == "WEBP" else 1)
    check_sides(picture.format or "", width, height, max_pixels=most, min_side=limits.min_side)
    # A phone's JPEG with a preview or depth map behind it ("MPO") is one picture; the first is it.
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        raise Refusal("SEVERAL_PAGES", "This file has several pages or frames; export the X-ray as one single picture.")
    if any(tile.codec_name == "bmp_rle" for tile in picture.tile):
        raise Refusal("UNSUPPORTED_COMPRESSION", RUN_LENGTHS)
    across, down = (_tiff_tag(picture, tag, 0) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    # Each tile is decoded whole, also where it reaches far out of the picture.
    tiles = -(-width // across) * -(-height // down) if across and down else 0
    if across * down > limits.max_pixels or tiles * across * down > MOST_AROUND * limits.max_pixels:
        raise too_many_pixels(TILES_TOO_LARGE)


def _tiff_tag(picture: Image.Image, tag: int, default: Any) -> Any:
    """Give the value of a TIFF tag, or `default` where it is absent or the picture is no TIFF."""
    return picture.tag_v2.get(tag, default) if isinstance(picture, TiffImagePlugin.TiffImageFile) else default


def _grey(picture: Image.Image) -> Image.Image:
    """Give the loaded `picture` as grayscale, mode "L" or "I;16"."""
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        return _deep_grey(picture)
    if picture.has_transparency_data:
        return _over_black(picture)
    if picture.mode == "LAB":
        picture = picture.convert("RGB")
    return picture.convert("L")


def _over_black(picture: Image.Image) -> Image.Image:
    if picture.mode not in ("LA", "RGBA"):
        picture = picture.convert("LA" if picture.mode in ("1", "L", "La") else "RGBA")
    grey, alpha = picture.convert("L"), picture.getchannel("A")
    return ImageChops.multiply(grey, alpha) if alpha.getextrema()[1] else grey


def _deep_grey(picture: Image.Image) -> Image.Image:
    """Give a picture with more than 8 bits a level as mode "I;16"."""
    # Pillow turns "white is zero" round for 8 bits and less only.
    white_is_zero = _tiff_tag(picture, TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 1) == 0
    transparent = picture.info.get("transparency")
    if picture.mode == "I;16" and not white_is_zero and transparent is None:
        return picture
    low, high = _range(picture)
    kept = picture.mode != "F" and low >= 0 and high <= MAX_16_BIT
    factor = MAX_16_BIT / (high - low) if high > low else 0.0
    levels = np.empty((picture.height, picture.width), np.uint16)
    for top, band in _bands(picture):
        sixteen_bit = band if kept else np.rint((band.astype(np.float64) - low) * factor)
        if transparent is not None:
            sixteen_bit = np.where(band == transparent, 0, sixteen_bit)
        levels[top : top + len(band)] = MAX_16_BIT - sixteen_bit if white_is_zero else sixteen_bit
    return Image.fromarray(levels)


def _range(picture: Image.Image) -> tuple[float, float]:
    """Give the lowest and the highest level; refuse a picture with levels that are not finite."""
    lows, highs = zip(*((band.min(), band.max()) for _, band in _bands(picture)), strict=True)
    low, high = float(np.min(lows)), float(np.max(highs))
    if not (np.isfinite(low) and np.isfinite(high)):
        raise Refusal("NOT_FINITE", "This picture has levels that are not numbers; export it as 16-bit PNG or TIFF.")
    return low, high


def _bands(picture: Image.Image) -> Iterator[tuple[int, np.ndarray]]:
    """Give the levels of a one-channel `picture` from top to bottom, each band with its first row."""
    if picture.mode not in ("I;16", "I", "F"):
        yield 0, np.asarray(picture)  # Pillow can't crop big-endian levels
        return
    bits, kinds = (_tiff_tag(picture, tag, ()) for tag in (TiffImagePlugin.BITSPERSAMPLE, TiffImagePlugin.SAMPLEFORMAT))
    # Pillow has no unsigned 32-bit mode and hands the bits over as signed.
    unsigned = picture.mode == "I" and bits == (32,) and kinds in ((), (1,))
    for top in range(0, picture.height, BAND_ROWS):
        band = np.asarray(picture.crop((0, top, picture.width, min(top + BAND_ROWS, picture.height))))
        yield top, band.view(np.uint32) if unsigned else band


def _upright(grey: Image.Image, picture: Image.Image) -> Image.Image:
    """Turn `grey` as the metadata of the `picture` it was made from demands; unreadable metadata demands nothing."""
    for key in [key for key, value in picture.info.items() if _is_long(value)]:
        del picture.info[key]
    try:
        orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        logger.info("Ignored metadata that can't be decoded", exc_info=True)
        return grey
    return grey.transpose(UPRIGHT[orientation]) if orientation in UPRIGHT else grey


def _is_long(value: Any) -> bool:
    """Tell whether metadata is longer than any that says how to turn a picture; Pillow makes objects of its numbers."""
    return isinstance(value, str | bytes) and len(value) > MOST_EXIF


def _png(grey: Image.Image) -> bytes:
    buffer, text = io.BytesIO(), PngImagePlugin.PngInfo()
    for key, value in grey.info.items():
        text.add_text(str(key), value)
    grey.save(buffer, "PNG", compress_level=PNG_COMPRESS_LEVEL, pnginfo=text)
    return buffer.getvalue()


def _thumbnail(grey: Image.Image) -> bytes:
    scale = min(1.0, THUMBNAIL_SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    buffer = io.BytesIO()
    eight_bit(grey, (width, height)).save(buffer, "JPEG", quality=THUMBNAIL_QUALITY)
    return buffer.getvalue()
