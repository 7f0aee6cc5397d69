"""A JPEG, PNG, WebP, TIFF or BMP of a stranger becomes grey levels, or a refusal. No Django: the child loads it too.

- Colour becomes ITU-R 601 luma. Embedded colour profiles are not applied: the network learnt from stored levels, and
  a profile is hostile input for nothing gained.
- Transparency is laid over black, the colour of air on an X-ray. Where every pixel is transparent, the alpha channel
  is an empty leftover and is ignored.
- 16-bit grayscale keeps every level. 32-bit integers within 0..65535 keep theirs; other integers and all floats are
  scaled from minimum..maximum to 0..65535. 16-bit colour comes out of Pillow with 8 bits.
"""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

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

from diagnosis.headers import MOST_EXIF, check_repetition, check_scans
from diagnosis.refusals import Refusal, check_sides, damaged, gettext_noop, too_many_pixels
from ml.quality import is_colour

logger = logging.getLogger(__name__)

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
FAR_TOO_MANY = gettext_noop("This picture has far more pixels than are accepted; scale it down and upload it again.")
TILES_TOO_LARGE = gettext_noop(
    "This picture is stored in tiles with more pixels than are accepted; scale it down and upload it again."
)
# libtiff reads it before it decodes JPEG: passes over the pixels of a strip; usual files have one. Its default is 100.
os.environ.setdefault("LIBTIFF_JPEG_MAX_ALLOWED_SCAN_NUMBER", "16")

# Pillow decodes these in Python, a microsecond a pixel.
RUN_LENGTHS = gettext_noop("This BMP picture is stored as run lengths, which are not read here; save it as PNG.")

MAX_16_BIT = 65535

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


def grey_of(data: bytes, *, max_pixels: int, min_side: int) -> tuple[Image.Image, bool]:
    """Give the picture in `data`, upright, mode "L" or "I;16", and whether it had colours; or raise Refusal.

    At most `max_pixels` are accepted, and at least `min_side` on each side.
    """
    with _failures_refused(data):
        check_repetition(data)
        picture = Image.open(io.BytesIO(data), formats=FORMATS)
        _check_header(picture, max_pixels=max_pixels, min_side=min_side)
        if picture.format in ("JPEG", "MPO"):
            check_scans(data, pixels=picture.width * picture.height)
        picture.load()
        has_colours = is_colour(picture)
        return _upright(grey_levels(picture), picture), has_colours


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


def _check_header(picture: ImageFile.ImageFile, *, max_pixels: int, min_side: int) -> None:
    """Refuse by what the header says, before any pixel is decoded."""
    width, height = picture.size
    most = max_pixels * (WEBP_SHARE if picture.format == "WEBP" else 1)
    check_sides(picture.format or "", width, height, max_pixels=most, min_side=min_side)
    # A phone's JPEG with a preview or depth map behind it ("MPO") is one picture; the first is it.
    if picture.format != "MPO" and getattr(picture, "is_animated", False):
        raise Refusal("SEVERAL_PAGES", "This file has several pages or frames; export the X-ray as one single picture.")
    if any(tile.codec_name == "bmp_rle" for tile in picture.tile):
        raise Refusal("UNSUPPORTED_COMPRESSION", RUN_LENGTHS)
    across, down = (_tiff_tag(picture, tag, 0) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH))
    # Each tile is decoded whole, also where it reaches far out of the picture.
    tiles = -(-width // across) * -(-height // down) if across and down else 0
    if across * down > max_pixels or tiles * across * down > MOST_AROUND * max_pixels:
        raise too_many_pixels(TILES_TOO_LARGE)


def _tiff_tag(picture: Image.Image, tag: int, default: Any) -> Any:
    """Give the value of a TIFF tag, or `default` where it is absent or the picture is no TIFF."""
    return picture.tag_v2.get(tag, default) if isinstance(picture, TiffImagePlugin.TiffImageFile) else default


def grey_levels(picture: Image.Image) -> Image.Image:
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
