"""Strangers' bytes: what is refused, with which sentence, and what is left of what is accepted."""

import hashlib
import io
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile, PngImagePlugin, UnidentifiedImageError

from diagnosis.intake import CleanPicture, Limits, Refusal, clean
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, encoded
from ml.preprocess import eight_bit

LIMITS = Limits(max_bytes=5 * 2**20, max_pixels=1_000_000, min_side=64)
ORIENTATION = 0x0112

# Pillow warns about odd metadata and then goes on, as it does in production.
tolerating_odd_metadata = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")


def cleaned(data: bytes, limits: Limits = LIMITS) -> CleanPicture:
    return clean(io.BytesIO(data), limits=limits)


def refusal(data: bytes, limits: Limits = LIMITS) -> Refusal:
    with pytest.raises(Refusal) as caught:
        cleaned(data, limits)
    assert str(caught.value).endswith(".")
    return caught.value


def levels(result: CleanPicture) -> np.ndarray:
    return np.asarray(opened(result.png))


def opened(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def tiff(levels: np.ndarray, **tags: int) -> bytes:
    """Give a raw TIFF with the bits of `levels` and with `tags`, also such as Pillow itself would not write."""
    height, width = levels.shape
    numbers = {"photometric": 262, "sample_format": 339, "tile_width": 322, "tile_height": 323, "tile_offset": 324}
    entries = {256: width, 257: height, 258: levels.itemsize * 8, 259: 1, 262: 1, 277: 1, 278: height, 339: 1}
    if "tile_width" not in tags:
        entries |= {273: 8, 279: levels.nbytes}
    entries |= {numbers[name]: value for name, value in tags.items()}
    pixels = levels.astype(levels.dtype.newbyteorder("<")).tobytes()
    directory = b"".join(struct.pack("<HHLL", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"".join(
        [b"II*\0", struct.pack("<L", 8 + len(pixels)), pixels, struct.pack("<H", len(entries)), directory, bytes(4)]
    )


def png_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + name + content + struct.pack(">L", zlib.crc32(name + content))


# What is refused


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
        (b"\0" * 128 + b"DICM" + b"\x02\0\0\0UL", "UNSUPPORTED_FORMAT", "DICOM"),
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
    assert cleaned(data) == cleaned(data)


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


# What is left behind

SECRETS = [b"Alice", b"GPS-SECRET", b"ICC-SECRET", b"XMP-SECRET", b"<script>", b"PK\x03\x04"]


def telling_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F] = "Alice"
    exif[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0), 29: "GPS-SECRET"}
    return exif


def telling_png() -> bytes:
    text = PngImagePlugin.PngInfo()
    text.add_text("Patient", "Alice <script>")
    text.add_text("Comment", "Alice", zip=True)
    text.add_itxt("XML:com.adobe.xmp", "XMP-SECRET")
    return encoded(chest_like(), "PNG", pnginfo=text, exif=telling_exif(), icc_profile=b"ICC-SECRET" * 20, dpi=(71, 71))


@pytest.mark.parametrize(
    "data",
    [
        telling_png(),
        encoded(
            chest_like(),
            "JPEG",
            exif=telling_exif(),
            comment=b"Alice",
            icc_profile=b"ICC-SECRET" * 20,
            xmp=b"XMP-SECRET",
            dpi=(71, 71),
        ),
        encoded(chest_like(), "WEBP", exif=telling_exif(), xmp=b"XMP-SECRET", icc_profile=b"ICC-SECRET" * 20),
        encoded(chest_like(), "TIFF", exif=telling_exif().tobytes(), icc_profile=b"ICC-SECRET" * 20),
        encoded(chest_like_16_bit(), "TIFF", tiffinfo={270: "Alice"}, icc_profile=b"ICC-SECRET" * 20),
        encoded(chest_like(), "JPEG") + b"PK\x03\x04 Alice <script>",
        encoded(chest_like(), "PNG") + b"<script>Alice</script>",
        encoded(chest_like(), "BMP") + b"<script>Alice</script>",
    ],
    ids=["png", "jpeg", "webp", "tiff", "tiff16", "jpeg+zip", "png+html", "bmp+html"],
)
def test_only_pixels_survive(data):
    assert any(secret in data for secret in SECRETS), "this file gives nothing away, so the test proves nothing"
    result = cleaned(data)
    for stored in (result.png, result.thumbnail):
        assert not [secret for secret in SECRETS if secret in stored]
        picture = opened(stored)
        assert not dict(picture.getexif())
        assert set(picture.info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
    names, rest = set(), result.png[8:]
    while rest:
        length = struct.unpack(">L", rest[:4])[0]
        names.add(rest[4:8])
        rest = rest[12 + length :]
    assert names == {b"IHDR", b"IDAT", b"IEND"}


def test_a_phone_picture_with_a_preview_behind_it_gives_its_first_picture():
    data = encoded(chest_like(), "MPO", save_all=True, append_images=[Image.new("L", (320, 260))])
    result = cleaned(data)
    assert np.abs(levels(result).astype(float) - np.asarray(chest_like(), float)).mean() < 4


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
