"""Small files that cost much: by pixels, by what they unpack to, or by pieces without number."""

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from diagnosis.tests.given_files import png_chunk
from diagnosis.tests.hostile.files import ANSWER, HostileFile, grey_tiff, png, small_png, tiff
from diagnosis.tests.pictures import encoded

SIDE = 5656  # 31,990,336 pixels: just within INTAKE_MAX_PIXELS
FAR = 20_000
NUMBERS = np.arange(1, 6_000_001, dtype="<u4").tobytes()  # Python keeps small ones ready, so that they cost nothing


def files() -> Iterator[HostileFile]:
    """Give each of them."""
    yield from _too_many_pixels()
    yield from _as_many_as_allowed()
    yield from _pieces()


def _too_many_pixels() -> Iterator[HostileFile]:
    yield HostileFile("PNG bomb", "TOO_MANY_PIXELS", lambda: png(FAR, bytes(10**8)))
    yield HostileFile("JPEG 2000 bomb", "NOT_A_PICTURE", _jpeg_2000)
    for file_format, options in (
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("GIF", {}),
        ("JPEG", {}),
    ):
        outcome = "UNSUPPORTED_FORMAT" if file_format == "GIF" else "TOO_MANY_PIXELS"
        yield HostileFile(
            f"{file_format} bomb",
            outcome,
            lambda f=file_format, o=options: encoded(Image.new("L", (9000, 9000)), f, **o),
        )
    yield HostileFile(
        "TIFF with a tile of 4 billion pixels",
        "TOO_MANY_PIXELS",
        lambda: tiff(
            {tag: entry for tag, entry in grey_tiff(100).items() if tag not in (273, 278, 279)}
            | {322: (4, 1, 65_536), 323: (4, 1, 65_536), 324: (4, 1, 8), 325: (4, 1, 10_000)},
            bytes(10_000),
        ),
    )


def _jpeg_2000() -> bytes:
    """Give JPEG 2000 that claims 65535 × 65535 pixels."""
    whole = encoded(Image.new("L", (200, 200)), "JPEG2000")
    place = whole.index(b"\xff\x51") + 6
    return whole[:place] + struct.pack(">LL", 65_535, 65_535) + whole[place + 8 :]


def _as_many_as_allowed() -> Iterator[HostileFile]:
    """These are answered, and are the largest that are."""
    rows = SIDE * 8 + 1
    yield HostileFile("largest PNG of 16-bit RGBA", ANSWER, lambda: png(SIDE, bytes(rows * SIDE), bits=16, colours=6))
    for mode, file_format, options in (
        ("RGB", "JPEG", {"progressive": True, "subsampling": 0}),
        ("CMYK", "JPEG", {"progressive": True}),
        ("I", "TIFF", {"compression": "tiff_adobe_deflate"}),
        ("LAB", "TIFF", {"compression": "tiff_lzw"}),
        ("1", "TIFF", {"compression": "group4"}),
    ):
        yield HostileFile(
            f"largest {file_format} of {mode}",
            ANSWER,
            lambda m=mode, f=file_format, o=options: encoded(Image.new(m, (SIDE, SIDE)), f, **o),
        )
    yield HostileFile("largest JPEG of noise", ANSWER, _noise)
    yield HostileFile(
        "largest WebP", ANSWER, lambda: encoded(Image.new("RGBA", (4732, 4732), (3, 4, 5, 6)), "WEBP", lossless=True)
    )


def _noise() -> bytes:
    """Give a progressive JPEG whose every coefficient costs something."""
    levels = np.random.default_rng(1).integers(0, 30, (SIDE, SIDE, 4), np.uint8)
    return encoded(Image.frombytes("CMYK", (SIDE, SIDE), levels.tobytes()), "JPEG", progressive=True, quality=30)


def _pieces() -> Iterator[HostileFile]:
    scans = "JPEG with 3,000 scans"
    yield HostileFile(scans, "TOO_INTRICATE", lambda: progressive_jpeg(SIDE, more=3000), "a.jpg")
    yield HostileFile("JPEG with 100,000 scans", "TOO_INTRICATE", lambda: progressive_jpeg(64, more=100_000), "a.jpg")
    jpeg = progressive_jpeg(100, more=0)
    for kind, pieces in (
        ("empty segments", b"\xff\xfe\0\2" * 6_000_000),
        ("bytes between its segments", b"x" * 24_000_000),
        ("bytes to fill up", b"\xff" * 24_000_000),
        ("starts", b"\xff\xd8" * 12_000_000),
    ):
        yield HostileFile(
            f"JPEG with millions of {kind}", "TOO_INTRICATE", lambda p=pieces: jpeg[:20] + p + jpeg[20:], "a.jpg"
        )
    for kind, chunk in (("texts", png_chunk(b"tEXt", b"a\0")), ("unknown chunks", png_chunk(b"vpAg", b""))):
        yield HostileFile(
            f"PNG with a million {kind}", "TOO_INTRICATE", lambda chunk=chunk: small_png(before=chunk * 10**6)
        )
    yield HostileFile(
        "PNG with a million pieces behind its pixels",
        "TOO_INTRICATE",
        lambda: small_png(after=png_chunk(b"IDAT", b"") * 10**6),
    )
    for name in (b"iCCP", b"zTXt"):
        bomb = png_chunk(name, b"a\0\0" + zlib.compress(bytes(3 * 10**8), 9))
        yield HostileFile(f"PNG with {name.decode()} of 300 MB", "DAMAGED", lambda bomb=bomb: small_png(before=bomb))
    strips, few = 3_000_000, 10_000
    offsets = bytes(few) + struct.pack("<L", 8) * strips
    yield HostileFile(
        "TIFF with millions of strips",
        "TOO_INTRICATE",
        lambda: tiff(grey_tiff(100, t273=(4, strips, 8 + few), t278=(4, 1, 1), t279=(4, strips, 8 + few)), offsets),
    )
    for reader, packed in (("Pillow", 1), ("libtiff", 8)):
        yield HostileFile(
            f"TIFF with 200 entries that share 20 MB, read by {reader}",
            "DAMAGED",
            lambda packed=packed: tiff(
                grey_tiff(100, t259=(3, 1, packed)) | {40_000 + n: (7, 20_000_000, 8) for n in range(200)},
                zlib.compress(bytes(10_000)) + bytes(20_000_100),
            ),
        )
    yield HostileFile("TIFF with tiles that reach far out of it", "TOO_MANY_PIXELS", _tall_tiles)
    for kind, compression, strip in (
        ("empty blocks", 8, b"\x78\x9c" + b"\0\0\0\xff\xff" * 200_000 + zlib.compress(bytes(64))[2:]),
        ("pauses", 32773, b"\x80" * 1_000_000 + b"\xc1\0"),
    ):
        yield HostileFile(
            f"TIFF whose strips share one of {kind}",
            "DAMAGED",
            lambda compression=compression, strip=strip: shared_strip(compression, strip),
        )
    yield from _metadata()
    yield HostileFile("TIFF of JPEG with 90 scans", "DAMAGED", _tiff_of_scans)
    yield HostileFile("JPEG with arithmetic coding", "UNSUPPORTED_COMPRESSION", _arithmetic_jpeg, "a.jpg")
    yield HostileFile("BMP of run lengths", "UNSUPPORTED_COMPRESSION", _run_lengths, "a.bmp")


def _metadata() -> Iterator[HostileFile]:
    """Give files of little else than what is told of a picture, which Pillow copies, unpacks or makes objects of."""
    jpeg = progressive_jpeg(100, more=0)
    exif = jpeg_segment(0xE1, b"Exif\0\0" + bytes(2500))
    yield HostileFile(
        "JPEG with 9,000 pieces of EXIF", "TOO_INTRICATE", lambda: jpeg[:2] + exif * 9000 + jpeg[2:], "a.jpg"
    )
    blocks = jpeg_segment(0xED, b"Photoshop 3.0\0" + b"8BIM\3\xe8\0\0\0\0\0\0" * 5400)
    yield HostileFile(
        "JPEG with 2 million blocks of Photoshop", ANSWER, lambda: jpeg[:2] + blocks * 390 + jpeg[2:], "a.jpg"
    )
    profile = png_chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(2**20), 9))
    yield HostileFile("PNG with 20,000 colour profiles", "TOO_INTRICATE", lambda: small_png(before=profile * 20_000))
    for kind, size, code in (("numbers", 4, 4), ("fractions", 8, 5)):
        entry = (code, len(NUMBERS) // size)
        yield HostileFile(f"PNG whose EXIF is 24 MB of {kind}", ANSWER, lambda entry=entry: _exif_in_png(*entry))
        yield HostileFile(
            f"TIFF whose orientation is 24 MB of {kind}",
            "TOO_INTRICATE",
            lambda entry=entry: tiff(grey_tiff(100) | {0x112: (*entry, 10_008)}, bytes(10_000) + NUMBERS),
        )
    text = b"Raw profile type exif\0\n\n\n"
    yield HostileFile(
        "PNG whose EXIF is 24 MB of text",
        ANSWER,
        lambda: small_png(before=png_chunk(b"tEXt", text + b"00\n" * 8_000_000)),
    )


def _exif_in_png(code: int, count: int) -> bytes:
    """Give a PNG whose orientation is all NUMBERS."""
    exif = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHLLL", 0x112, code, count, 26, 0) + NUMBERS
    return small_png(before=png_chunk(b"eXIf", exif))


def jpeg_segment(marker: int, content: bytes) -> bytes:
    """Give a segment of a JPEG."""
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _arithmetic_jpeg() -> bytes:
    """Give a progressive JPEG of some hundred bytes, whose decoder makes decisions of nothing, 30 times over."""
    parts = bytes([1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0])
    start = jpeg_segment(0xDB, b"\0" + b"\1" * 64) + jpeg_segment(0xCA, struct.pack(">BHHB", 8, SIDE, SIDE, 3) + parts)
    scans = jpeg_segment(0xDA, b"\3\1\0\2\0\3\0\0\0\r") + bytes(10)
    for n in range(29):
        low = 13 - n // 3
        high = 0 if n < 3 else low + 1
        scans += jpeg_segment(0xDA, bytes([1, n % 3 + 1, 0, 1, 63, high << 4 | low])) + bytes(10)
    return b"\xff\xd8" + start + scans + b"\xff\xd9"


def _tall_tiles() -> bytes:
    """Give a TIFF of 32 million pixels in columns of tiles, each of as many pixels, nearly all below the picture."""
    tall, columns = 1_999_984, -(-SIDE // 16)
    packed = zlib.compress(bytes(16 * tall), 9)
    packed += bytes(-len(packed) % 4)
    start = 8 + columns * len(packed)
    offsets = struct.pack(f"<{columns}L", *(8 + n * len(packed) for n in range(columns)))
    entries = {tag: entry for tag, entry in grey_tiff(SIDE, t259=(3, 1, 8)).items() if tag not in (273, 278, 279)}
    entries |= {322: (4, 1, 16), 323: (4, 1, tall), 324: (4, columns, start), 325: (4, columns, start + len(offsets))}
    return tiff(entries, packed * columns + offsets + struct.pack("<L", len(packed)) * columns)


def progressive_jpeg(side: int, *, more: int) -> bytes:
    """Give a progressive JPEG of one grey that repeats its last scan `more` times."""
    whole = encoded(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    return whole[:-2] + whole[whole.rfind(b"\xff\xda") : -2] * more + whole[-2:]


def _tiff_of_scans() -> bytes:
    side = 4096
    jpeg = progressive_jpeg(side, more=90)
    return tiff(grey_tiff(side, t259=(3, 1, 7), t279=(4, 1, len(jpeg))), jpeg)


def _run_lengths() -> bytes:
    runs = np.full(12_000_000, 1, np.uint16).tobytes()
    palette = bytes(1024)
    header = struct.pack("<LllHHLLllLL", 40, SIDE, SIDE, 1, 8, 1, len(runs), 0, 0, 256, 0)
    start = 14 + len(header) + len(palette)
    return b"BM" + struct.pack("<LHHL", start + len(runs), 0, 0, start) + header + palette + runs


def shared_strip(compression: int, strip: bytes, *, rows: int = 65_000) -> bytes:
    """Give a TIFF of `rows` rows of 64 pixels, each decoded from all of `strip` anew."""
    strip += bytes(-len(strip) % 4)
    offsets, sizes = struct.pack("<L", 8) * rows, struct.pack("<L", len(strip)) * rows
    place = 8 + len(strip)
    entries = grey_tiff(
        64,
        t257=(4, 1, rows),
        t259=(4, 1, compression),
        t273=(4, rows, place),
        t278=(4, 1, 1),
        t279=(4, rows, place + len(offsets)),
    )
    return tiff(entries, strip + offsets + sizes)
