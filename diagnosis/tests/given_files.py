"""Files as strangers give them, and what intake makes of them."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from diagnosis.intake import CleanPicture, Limits, Refusal, clean
from diagnosis.tests.pictures import chest_like, encoded

LIMITS = Limits(max_bytes=5 * 2**20, max_pixels=1_000_000, min_side=64)
ORIENTATION = 0x0112

# Pillow warns about odd metadata and then goes on, as it does in production.
tolerating_odd_metadata = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")


def cleaned(data: bytes, limits: Limits = LIMITS) -> CleanPicture:
    """Give the clean picture when it is compressed, too: that may fail."""
    picture = clean(io.BytesIO(data), limits=limits)
    assert picture.png
    return picture


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
