"""Pictures with odd modes, odd metadata and odd structure, none of them large."""

import random
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from diagnosis.tests.given_files import png_chunk
from diagnosis.tests.hostile.files import ANSWER, HostileFile, grey_tiff, small_png, tiff
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, encoded

SIZE = (200, 160)
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP")
SHARES = (0.01, 0.05, 0.2, 0.5, 0.8, 0.99)


def files() -> Iterator[HostileFile]:
    """Give each of them."""
    yield HostileFile("nothing", "EMPTY", lambda: b"")
    yield HostileFile("zero bytes", "NOT_A_PICTURE", lambda: bytes(10_000))
    yield HostileFile("noise", "NOT_A_PICTURE", lambda: random.Random(3).randbytes(10_000))
    yield HostileFile("text", "NOT_A_PICTURE", lambda: b"Dear doctor", "letter.jpg")
    yield from _truncated()
    yield from _foreign()
    yield from _modes()
    yield from _animated()
    yield from _metadata()
    yield from _structure()


def _truncated() -> Iterator[HostileFile]:
    for file_format in FORMATS:
        whole = encoded(chest_like(*SIZE), file_format)
        for share in SHARES:
            cut = whole[: int(len(whole) * share)]
            yield HostileFile(f"{file_format} cut at {share}", "DAMAGED", lambda cut=cut: cut, "cut.jpg")


def _foreign() -> Iterator[HostileFile]:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>'
    yield HostileFile("SVG as PNG", "UNSUPPORTED_FORMAT", lambda: svg)
    yield HostileFile("SVG as SVG", "UNSUPPORTED_FORMAT", lambda: svg, "a.svg")
    yield HostileFile("HTML as PNG", "UNSUPPORTED_FORMAT", lambda: b"<html><script>alert(1)</script></html>")
    yield HostileFile(
        "PDF as PNG", "UNSUPPORTED_FORMAT", lambda: b"%PDF-1.7\n1 0 obj\n<< /JavaScript (app.alert(1)) >>"
    )
    yield HostileFile("PostScript as PNG", "NOT_A_PICTURE", lambda: b"%!PS-Adobe-3.0\n(%pipe%id) (w) file\n")
    yield HostileFile(
        "ImageMagick script", "NOT_A_PICTURE", lambda: b"push graphic-context\nimage over 0,0 0,0 '|id'\n"
    )
    yield HostileFile("program", "NOT_A_PICTURE", lambda: b"\x7fELF" + bytes(500), "a.png")
    yield HostileFile("GIF as PNG", "UNSUPPORTED_FORMAT", lambda: encoded(chest_like(*SIZE), "GIF"))
    yield HostileFile("JPEG 2000 as PNG", "NOT_A_PICTURE", lambda: encoded(chest_like(*SIZE), "JPEG2000"))
    for file_format in FORMATS:
        yield HostileFile(
            f"{file_format} by another name", ANSWER, lambda f=file_format: encoded(chest_like(*SIZE), f), "a.html"
        )


def _modes() -> Iterator[HostileFile]:
    for mode, file_format in (
        *[("1", "PNG"), ("1", "TIFF"), ("1", "BMP"), ("P", "PNG"), ("P", "BMP"), ("P", "TIFF"), ("LA", "PNG")],
        *[("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "JPEG"), ("LAB", "TIFF"), ("RGBA", "WEBP"), ("RGBA", "BMP")],
    ):
        yield HostileFile(
            f"{mode} {file_format}", ANSWER, lambda m=mode, f=file_format: encoded(chest_like(*SIZE).convert(m), f)
        )
    for file_format in ("PNG", "TIFF"):
        yield HostileFile(f"16-bit {file_format}", ANSWER, lambda f=file_format: encoded(chest_like_16_bit(*SIZE), f))
    for value, outcome in ((0.5, ANSWER), (1e38, ANSWER), (np.nan, "NOT_FINITE"), (np.inf, "NOT_FINITE")):
        yield HostileFile(f"float TIFF with {value}", outcome, lambda value=value: _floats(value))


def _floats(value: float) -> bytes:
    levels = np.asarray(chest_like(*SIZE), np.float32)
    levels[3, 3] = value
    return encoded(Image.fromarray(levels), "TIFF")


def _animated() -> Iterator[HostileFile]:
    for file_format, outcome in (
        ("GIF", "UNSUPPORTED_FORMAT"),
        *[(several, "SEVERAL_PAGES") for several in ("WEBP", "PNG", "TIFF")],
    ):
        frames = [chest_like(*SIZE, seed=seed) for seed in range(1, 4)]
        yield HostileFile(
            f"animated {file_format}",
            outcome,
            lambda f=file_format, frames=frames: encoded(chest_like(*SIZE), f, save_all=True, append_images=frames),
        )


def _metadata() -> Iterator[HostileFile]:
    for orientation in (*range(1, 9), 0, 9, 65_535):
        exif = Image.Exif()
        exif[0x0112] = orientation
        yield HostileFile(
            f"EXIF orientation {orientation}", ANSWER, lambda exif=exif: encoded(chest_like(*SIZE), "JPEG", exif=exif)
        )
    for kind, exif in (
        ("that is no TIFF", b"Exif\0\0garbage"),
        ("that ends in its header", b"Exif\0\0II*\0"),
        ("with a directory nowhere", b"Exif\0\0II*\0\xff\xff\xff\xff"),
        ("that leads to itself", b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLLL", 0x8769, 4, 1, 8, 8)),
        ("with an entry of 4 GB", b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLLL", 0x0112, 5, 2**29, 8, 0)),
        (
            "with a text as orientation",
            b"Exif\0\0II*\0\x08\0\0\0\x01\0" + struct.pack("<HHL4sL", 0x112, 2, 4, b"<b>", 0),
        ),
    ):
        for file_format in ("JPEG", "PNG", "WEBP"):
            yield HostileFile(
                f"EXIF {kind} in {file_format}",
                ANSWER,
                lambda f=file_format, exif=exif: encoded(chest_like(*SIZE), f, exif=exif),
            )
    for kind, profile in (("malformed", b"no profile" * 9), ("huge", random.Random(1).randbytes(900_000))):
        for file_format in ("JPEG", "PNG", "WEBP", "TIFF"):
            yield HostileFile(
                f"{kind} ICC profile in {file_format}",
                ANSWER,
                lambda f=file_format, profile=profile: encoded(chest_like(*SIZE), f, icc_profile=profile),
            )
    script = b"Comment\0<script>alert(1)</script>"
    yield HostileFile("PNG with a script as text", ANSWER, lambda: small_png(before=png_chunk(b"tEXt", script)))
    yield HostileFile(
        "PNG with 20 MB of text", ANSWER, lambda: small_png(before=png_chunk(b"tEXt", b"a\0" + bytes(20 * 10**6)))
    )


def _structure() -> Iterator[HostileFile]:
    pixels = bytes(10_000)
    directory = 8 + len(pixels)
    yield HostileFile("TIFF whose page follows itself", ANSWER, lambda: tiff(grey_tiff(100), pixels, directory))
    yield HostileFile("TIFF without pixels", "DAMAGED", lambda: tiff(grey_tiff(100, t273=(4, 1, 2**31))))
    yield HostileFile("TIFF with a directory nowhere", "DAMAGED", lambda: b"II*\0\xff\xff\xff\x7f")
    yield HostileFile(
        "BigTIFF with 2^62 entries", "NOT_A_PICTURE", lambda: b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**62)
    )
    yield HostileFile(
        "TIFF with an unknown compression", "DAMAGED", lambda: tiff(grey_tiff(100, t259=(3, 1, 999)), pixels)
    )
    yield HostileFile(
        "TIFF of no rows a strip", "DAMAGED", lambda: tiff(grey_tiff(100, t278=(4, 1, 0), t259=(3, 1, 5)), pixels)
    )
    for sides in ((0, 0), (1, 1), (2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (65_535, 65_535)):
        header = png_chunk(b"IHDR", struct.pack(">LLBBBBB", *sides, 8, 0, 0, 0, 0))
        data = b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", zlib.compress(b"")) + png_chunk(b"IEND", b"")
        outcome = "DAMAGED" if not all(sides) else "TOO_SMALL" if sides == (1, 1) else "TOO_MANY_PIXELS"
        yield HostileFile(f"PNG that claims {sides[0]} × {sides[1]} pixels", outcome, lambda data=data: data)
    whole = encoded(chest_like(*SIZE), "JPEG")
    place = whole.index(b"\xff\xc0") + 5
    yield HostileFile(
        "JPEG that claims 65535 × 65535 pixels",
        "TOO_MANY_PIXELS",
        lambda: whole[:place] + b"\xff\xff\xff\xff" + whole[place + 4 :],
        "a.jpg",
    )
