"""Which of strangers' bytes are refused, and with which sentence."""

import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, UnidentifiedImageError

from diagnosis.intake import Limits, Refusal, clean
from diagnosis.tests.given_files import (
    LIMITS,
    cleaned,
    opened,
    png_chunk,
    refusal,
    telling_exif,
    telling_png,
    tiff,
    tolerating_odd_metadata,
)
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, encoded


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "EMPTY", "empty"),
        (b"Dear doctor, see attached.", "NOT_A_PICTURE", "not a picture"),
        (b"\0" * 4096, "NOT_A_PICTURE", "not a picture"),
        (b"<!DOCTYPE html><html><body>log in</body></html>", "UNSUPPORTED_FORMAT", "web page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "UNSUPPORTED_FORMAT", "SVG"),
        (b"%PDF-1.7\n%\xe2\xe3\xcf\xd3", "UNSUPPORTED_FORMAT", "PDF"),
        (b"PK\x03\x04" + b"\0" * 60, "UNSUPPORTED_FORMAT", "unpack"),
        (b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL", "NO_PIXELS", "DICOM"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "UNSUPPORTED_FORMAT", "convert it to JPEG"),
        (b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "UNSUPPORTED_FORMAT", "convert it to JPEG"),
        (encoded(chest_like(), "GIF"), "UNSUPPORTED_FORMAT", "GIF"),
        (encoded(chest_like(), "JPEG2000"), "NOT_A_PICTURE", "not a picture"),
        (b"\xff\xd8\xff\xe0", "DAMAGED", "damaged"),
        (b"\x89PNG\r\n\x1a\n", "DAMAGED", "damaged"),
        (b"II*\0", "DAMAGED", "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "DAMAGED", "damaged"),
    ],
)
def test_what_is_no_accepted_picture_is_refused_with_advice(data, code, words):
    refused = refusal(data)
    assert refused.code == code
    assert words in str(refused)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.9])
@tolerating_odd_metadata
def test_a_truncated_file_is_refused(file_format, share):
    data = encoded(chest_like(), file_format)
    assert refusal(data[: int(len(data) * share)]).code == "DAMAGED"
    assert ImageFile.LOAD_TRUNCATED_IMAGES is False


def test_a_file_one_byte_over_the_limit_is_refused_and_never_read_whole():
    class Endless(io.BytesIO):
        def read(self, size=-1):
            assert 0 <= size <= LIMITS.max_bytes + 1
            return b"x" * size

    with pytest.raises(Refusal) as caught:
        clean(Endless(), limits=LIMITS)
    assert caught.value.code == "TOO_LARGE"
    assert "5 MB" in str(caught.value)

    data = encoded(chest_like())
    exact = Limits(max_bytes=len(data), max_pixels=10**6, min_side=64)
    assert cleaned(data, exact)
    assert refusal(data + b"\0", exact).code == "TOO_LARGE"


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_too_many_pixels_are_refused_before_they_are_decoded(file_format, monkeypatch):
    data = encoded(chest_like(1001, 1000), file_format)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    refused = refusal(data)
    assert refused.code == "TOO_MANY_PIXELS"
    assert "1,001 × 1,000" in str(refused)


@pytest.mark.parametrize("side", [10_000, 60_000])
def test_a_header_that_claims_a_bomb_is_refused_by_number_of_pixels(side):
    header = struct.pack(">LLBBBBB", side, side, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + png_chunk(b"IDAT", zlib.compress(b""))
        + png_chunk(b"IEND", b"")
    )
    before = Image.MAX_IMAGE_PIXELS
    assert refusal(bomb).code == "TOO_MANY_PIXELS"
    assert before == Image.MAX_IMAGE_PIXELS


def test_a_tiff_with_huge_tiles_is_refused():
    array = np.asarray(chest_like())
    assert cleaned(tiff(array, tile_width=320, tile_height=260, tile_offset=8)).width == 320
    assert refusal(tiff(array, tile_width=16_000, tile_height=16_000, tile_offset=8)).code == "TOO_MANY_PIXELS"


def test_a_webp_may_have_fewer_pixels_because_its_decoder_needs_more_memory():
    assert cleaned(encoded(chest_like(1000, 690), "WEBP")).width == 1000
    refused = refusal(encoded(chest_like(1000, 710), "WEBP"))
    assert refused.code == "TOO_MANY_PIXELS"
    assert "0.7 million" in str(refused)


def test_a_compressed_text_bomb_in_a_png_is_refused():
    png = encoded(chest_like(), "PNG")
    bomb = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"x" * 5_000_000))
    assert refusal(png[:33] + bomb + png[33:]).code == "DAMAGED"


def test_a_picture_too_small_is_refused_with_its_size():
    refused = refusal(encoded(chest_like(400, 63), "PNG"))
    assert refused.code == "TOO_SMALL"
    assert "400 × 63" in str(refused)
    assert "64" in str(refused)
    assert cleaned(encoded(chest_like(400, 64), "PNG")).height == 64


@pytest.mark.parametrize("file_format", ["TIFF", "WEBP", "PNG"])
def test_several_pages_or_frames_are_refused(file_format):
    data = encoded(chest_like(), file_format, save_all=True, append_images=[chest_like(seed=1)])
    assert refusal(data).code == "SEVERAL_PAGES"


def test_levels_that_are_no_numbers_are_refused():
    for value in (np.nan, np.inf, -np.inf):
        array = np.ones((600, 100), np.float32)
        array[590, 3] = value
        assert refusal(encoded(Image.fromarray(array), "TIFF")).code == "NOT_FINITE"


# Hostile bytes


@tolerating_odd_metadata
def test_mutated_files_give_a_clean_picture_or_a_refusal():
    rng = random.Random(20)
    small = chest_like(96, 80)
    seeds = [
        encoded(small, "JPEG", exif=telling_exif()),
        encoded(small, "JPEG", progressive=True),
        encoded(small.convert("CMYK"), "JPEG"),
        encoded(small.convert("P"), "PNG", transparency=3),
        encoded(small, "PNG", exif=telling_exif()),
        encoded(chest_like_16_bit(96, 80), "PNG", transparency=900),
        encoded(small, "WEBP", exif=telling_exif()),
        encoded(small.convert("RGBA"), "WEBP", lossless=True),
        encoded(small, "TIFF", exif=telling_exif().tobytes()),
        encoded(small.convert("LAB"), "TIFF", compression="tiff_lzw"),
        encoded(Image.fromarray(np.asarray(small, np.float32)), "TIFF", compression="tiff_deflate"),
        encoded(small.convert("RGB"), "TIFF", compression="jpeg"),
        encoded(small.convert("P"), "BMP"),
        encoded(small.convert("RGBA"), "BMP"),
    ]
    outcomes = set()
    for round_ in range(700):
        data = bytearray(seeds[round_ % len(seeds)])
        for _ in range(rng.choice((1, 3, 20))):
            # Most of the danger sits in headers, and TIFF keeps its own at the end.
            where = rng.choice((rng.randrange(min(200, len(data))), rng.randrange(len(data)), -rng.randrange(1, 200)))
            data[where] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        try:
            result = cleaned(bytes(data))
            outcomes.add("CLEAN")
            assert opened(result.png).size == (result.width, result.height)
        except Refusal as refused:
            outcomes.add(refused.code)
    assert outcomes >= {"CLEAN", "DAMAGED", "TOO_MANY_PIXELS"}


@pytest.mark.parametrize(
    "error",
    [
        *[OSError, SyntaxError, ValueError, struct.error, zlib.error, EOFError, IndexError, KeyError, MemoryError],
        *[OverflowError, TypeError, AttributeError, AssertionError, ZeroDivisionError, RecursionError, UserWarning],
        *[Image.DecompressionBombError, Image.DecompressionBombWarning, UnidentifiedImageError],
    ],
)
@pytest.mark.parametrize("step", ["load", "convert"])
def test_whatever_pillow_raises_is_a_refusal(error, step, monkeypatch):
    def fail(self, *arguments):
        raise error("internal detail")

    data = encoded(chest_like())
    monkeypatch.setattr(ImageFile.ImageFile if step == "load" else Image.Image, step, fail)
    refused = refusal(data)
    assert "internal detail" not in str(refused)


def test_warning_filters_of_the_process_are_left_alone():
    before = list(warnings.filters)
    cleaned(telling_png())
    refusal(b"II*\0")
    assert warnings.filters == before


def test_limits_come_from_the_settings(settings):
    settings.INTAKE_MAX_BYTES, settings.INTAKE_MAX_PIXELS, settings.INTAKE_MIN_SIDE = 3, 2, 1
    assert Limits.from_settings() == Limits(max_bytes=3, max_pixels=2, min_side=1)
