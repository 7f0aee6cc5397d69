"""Only pixels pass intake: what else is in a file stays behind."""

import struct

import numpy as np
import pytest
from PIL import Image

from diagnosis.tests.given_files import (
    cleaned,
    levels,
    opened,
    telling_exif,
    telling_png,
)
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, encoded

SECRETS = [b"Alice", b"GPS-SECRET", b"ICC-SECRET", b"XMP-SECRET", b"<script>", b"PK\x03\x04"]


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
