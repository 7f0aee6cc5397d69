"""What intake makes of a file that it accepts: the levels, the orientation, the thumbnail, what it notes."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from diagnosis.intake import clean
from diagnosis.tests.given_files import (
    LIMITS,
    ORIENTATION,
    cleaned,
    levels,
    opened,
    tiff,
    tolerating_odd_metadata,
)
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, colourful, encoded
from ml.preprocess import eight_bit
from ml.quality import QualityIssue

# What is accepted


@pytest.mark.parametrize(
    ("mode", "file_format"),
    [
        *[("L", file_format) for file_format in ("JPEG", "PNG", "TIFF", "BMP")],
        *[("RGB", file_format) for file_format in ("PNG", "TIFF", "BMP")],
        *[("RGBA", file_format) for file_format in ("PNG", "TIFF", "BMP")],
        *[("LA", file_format) for file_format in ("PNG", "TIFF")],
        *[("P", file_format) for file_format in ("PNG", "TIFF", "BMP")],
        *[("PA", "TIFF"), ("LAB", "TIFF")],
        *[("CMYK", file_format) for file_format in ("JPEG", "TIFF")],
        *[("YCbCr", file_format) for file_format in ("JPEG", "TIFF")],
        *[("RGB", "JPEG"), ("RGB", "WEBP"), ("RGBA", "WEBP"), ("L", "WEBP")],
    ],
)
def test_every_mode_of_every_format_keeps_the_grey_levels(mode, file_format):
    original = chest_like()
    source = original.convert("RGB").convert("RGBA") if mode in ("LAB", "PA") else original
    source = source.convert("P").convert("PA") if mode == "PA" else source.convert(mode)
    result = cleaned(encoded(source, file_format, **({"lossless": True} if file_format == "WEBP" else {})))
    picture = opened(result.png)
    assert (picture.mode, picture.size) == ("L", original.size) == ("L", (result.width, result.height))
    error = np.abs(np.asarray(picture, float) - np.asarray(original, float)).mean()
    lossless = file_format != "JPEG" and mode in ("L", "RGB", "RGBA", "LA")
    assert error == 0 if lossless else error < (20 if mode == "PA" else 4)


def test_black_and_white_pictures_stay_black_and_white():
    original = chest_like().point(lambda level: 255 * (level > 128)).convert("1")
    for file_format in ("PNG", "TIFF", "BMP"):
        assert np.array_equal(levels(cleaned(encoded(original, file_format))), np.asarray(original) * np.uint8(255))


@pytest.mark.parametrize("bits", [10, 12, 16])
@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bit_levels_are_kept_exactly(bits, file_format):
    original = chest_like_16_bit(bits=bits)
    result = cleaned(encoded(original, file_format))
    assert opened(result.png).mode == "I;16"
    assert np.array_equal(levels(result), np.asarray(original))


def test_big_endian_16_bit_levels_are_kept_exactly():
    array = np.asarray(chest_like_16_bit(bits=16))
    big = Image.frombytes("I;16B", array.shape[::-1], array.astype(">u2").tobytes())
    data = encoded(big, "TIFF")
    assert opened(data).mode == "I;16B"
    assert np.array_equal(levels(cleaned(data)), array)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_deep_pictures_stored_with_white_as_zero_are_turned_round(dtype):
    array = np.asarray(chest_like_16_bit(bits=16)).astype(dtype)
    sample_format = 3 if dtype is np.float32 else 1
    positive = levels(cleaned(tiff(array, photometric=1, sample_format=sample_format)))
    negative = levels(cleaned(tiff(array, photometric=0, sample_format=sample_format)))
    assert np.array_equal(negative, 65535 - positive)


def test_small_integers_keep_their_levels_and_others_are_scaled_to_16_bits():
    small = np.asarray(chest_like_16_bit(bits=14)).astype(np.int32)
    assert np.array_equal(levels(cleaned(encoded(Image.fromarray(small), "TIFF"))), small)
    signed = small - 8000
    scaled = levels(cleaned(encoded(Image.fromarray(signed), "TIFF")))
    expected = (signed - signed.min()) * (65535 / (signed.max() - signed.min()))
    assert np.abs(scaled - expected).max() <= 0.5


def test_unsigned_32_bit_levels_keep_their_order():
    array = (np.asarray(chest_like_16_bit(bits=16)).astype(np.uint32)) * 65537
    result = levels(cleaned(tiff(array)))
    assert result.min() == 0
    assert result.max() == 65535
    assert np.corrcoef(result.ravel(), array.ravel().astype(float))[0, 1] > 0.9999


@pytest.mark.parametrize("scale", [1.0, 1e-40, 1e36])
def test_floats_of_any_size_fill_16_bits(scale):
    array = (np.asarray(chest_like()).astype(np.float64) * scale).astype(np.float32)
    result = levels(cleaned(encoded(Image.fromarray(array), "TIFF")))
    assert (result.min(), result.max()) == (0, 65535)


@pytest.mark.parametrize("picture", [Image.new("L", (80, 80), 7), Image.fromarray(np.full((80, 80), 3.5, np.float32))])
def test_a_picture_of_one_level_is_accepted(picture):
    result = cleaned(encoded(picture, "TIFF"))
    assert len(np.unique(levels(result))) == 1


def test_what_is_transparent_becomes_black():
    rgba = chest_like().convert("RGBA")
    rgba.paste((255, 255, 255, 0), (0, 0, 100, 100))
    rgba.paste((200, 200, 200, 128), (100, 0, 200, 100))
    result = levels(cleaned(encoded(rgba, "PNG")))
    assert (result[:100, :100] == 0).all()
    assert (result[:100, 100:200] == 100).all()
    assert np.array_equal(result[100:], np.asarray(chest_like())[100:])


@pytest.mark.parametrize(
    ("picture", "as_table"),
    [
        (chest_like(), False),
        (chest_like_16_bit(), False),
        (chest_like().convert("P"), False),
        (chest_like().convert("P"), True),
    ],
)
def test_a_transparent_level_of_a_png_becomes_black(picture, as_table):
    level = int(np.asarray(picture)[5, 5])
    table = bytes(0 if index == level else 255 for index in range(256))
    result = levels(cleaned(encoded(picture, "PNG", transparency=table if as_table else level)))
    mask = np.asarray(picture) == level
    assert (result[mask] == 0).all()
    assert result[~mask].mean() > 50


def test_an_alpha_channel_that_hides_everything_is_an_empty_leftover():
    rgba = chest_like().convert("RGBA")
    rgba.putalpha(0)
    data = encoded(rgba, "PNG")
    assert opened(data).mode == "RGBA"
    assert np.array_equal(levels(cleaned(data)), np.asarray(chest_like()))


def test_the_format_is_decided_by_content():
    file = io.BytesIO(encoded(chest_like(), "PNG"))
    file.name = "chest.jpg"
    file.read(10)
    assert clean(file, limits=LIMITS).width == 320


def test_the_sha256_is_that_of_the_given_bytes():
    data = encoded(chest_like())
    assert cleaned(data).sha256 == hashlib.sha256(data).hexdigest()


def test_the_same_bytes_give_the_same_picture():
    data = encoded(chest_like_16_bit(), "TIFF")
    first, second = cleaned(data), cleaned(data)
    assert first == second
    assert first.png == second.png


# Orientation


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_in_the_metadata_is_applied_once(file_format, orientation):
    stored = chest_like(128, 96)
    stored.paste(255, (0, 0, 40, 20))
    turned = [None, None, 0, 3, 1, 5, 4, 6, 2][orientation]
    expected = stored if turned is None else stored.transpose(Image.Transpose(turned))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    result = cleaned(encoded(stored, file_format, exif=exif, quality=95))
    assert (result.width, result.height) == expected.size
    error = np.abs(levels(result).astype(float) - np.asarray(expected, float)).mean()
    assert error < 3
    assert opened(result.thumbnail).size == expected.size


def test_a_16_bit_picture_is_turned_too():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    original = chest_like_16_bit(128, 96)
    result = levels(cleaned(encoded(original, "PNG", exif=exif)))
    assert np.array_equal(result, np.rot90(np.asarray(original), -1))


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0rubbish",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\x01\0\0\0\x63\0\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04six\0",
    ],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
@tolerating_odd_metadata
def test_malformed_metadata_neither_crashes_nor_refuses(exif, file_format):
    result = cleaned(encoded(chest_like(), file_format, exif=exif))
    assert (result.width, result.height) == (320, 260)


# The thumbnail


@pytest.mark.parametrize(
    ("size", "expected"), [((800, 400), (256, 128)), ((400, 800), (128, 256)), ((100, 80), (100, 80))]
)
def test_the_longest_side_of_the_thumbnail_is_256_at_most(size, expected):
    thumbnail = opened(cleaned(encoded(chest_like(*size), "PNG")).thumbnail)
    assert (thumbnail.format, thumbnail.mode, thumbnail.size) == ("JPEG", "L", expected)


def test_a_very_long_picture_still_has_a_thumbnail():
    thumbnail = opened(cleaned(encoded(Image.new("L", (12_000, 64), 9), "PNG")).thumbnail)
    assert thumbnail.size == (256, 1)


@pytest.mark.parametrize("picture", [chest_like(600, 500), chest_like_16_bit(600, 500, bits=12)])
def test_the_thumbnail_shows_the_levels_that_the_network_sees(picture):
    result = cleaned(encoded(picture, "PNG"))
    thumbnail = opened(result.thumbnail)
    seen = eight_bit(opened(result.png), thumbnail.size)
    assert np.abs(np.asarray(thumbnail, float) - np.asarray(seen, float)).mean() < 3
    assert np.asarray(thumbnail).std() > 30


# What only the given file tells


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_a_picture_in_colour_is_noted_as_one(file_format):
    assert cleaned(encoded(colourful(), file_format)).is_colour


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_grey_picture_is_not_in_colour_whatever_its_mode(mode):
    assert not cleaned(encoded(chest_like(300, 260).convert(mode), "PNG")).is_colour


def test_a_deep_picture_is_not_in_colour():
    assert not cleaned(encoded(chest_like_16_bit(), "PNG")).is_colour


def test_what_is_poor_in_a_picture_is_noted_and_does_not_refuse_it():
    flat = Image.new("L", (100, 90), 128)

    assert cleaned(encoded(flat, "PNG")).quality_issues == [QualityIssue.TOO_SMALL, QualityIssue.LOW_CONTRAST]
    assert cleaned(encoded(chest_like(), "PNG")).quality_issues == []
