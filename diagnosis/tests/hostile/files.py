"""One hostile file of the corpus, and the pieces that several are made of."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from diagnosis.tests.given_files import png_chunk

ANSWER = "ANSWER"  # it holds a picture that is taken, or archives of which a file is
PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class HostileFile:
    """A file by what it is; `outcome` is ANSWER or the code of its refusal."""

    kind: str
    outcome: str
    make: Callable[[], bytes]
    file_name: str = "file.png"
    is_bomb: bool = False  # costs something only to make


def png(side: int, rows: bytes, *, before: bytes = b"", after: bytes = b"", bits: int = 8, colours: int = 0) -> bytes:
    """Give a PNG of side × side pixels with the raw `rows`, and chunks `before` and `after` them."""
    header = png_chunk(b"IHDR", struct.pack(">LLBBBBB", side, side, bits, colours, 0, 0, 0))
    return PNG + header + before + png_chunk(b"IDAT", zlib.compress(rows, 1)) + after + png_chunk(b"IEND", b"")


def small_png(*, before: bytes = b"", after: bytes = b"") -> bytes:
    """Give a grey PNG of 100 × 100 pixels with chunks `before` and `after` its pixels."""
    return png(100, bytes(101 * 100), before=before, after=after)


def tiff(entries: dict[int, tuple[int, int, int]], data: bytes = b"", next_page: int = 0) -> bytes:
    """Give a TIFF with `data` behind its header of 8 bytes and a directory of `entries`: type, count, value by tag."""
    rows = b"".join(struct.pack("<HHLL", tag, *entry) for tag, entry in sorted(entries.items()))
    start = 8 + len(data)
    return b"".join(
        [b"II*\0", struct.pack("<L", start), data, struct.pack("<H", len(entries)), rows, struct.pack("<L", next_page)]
    )


def grey_tiff(side: int, **tags: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    """Give the entries of a grey TIFF of side × side pixels at byte 8, changed by `tags`: t273=(4, 1, 8)."""
    usual = {
        256: (4, 1, side),
        257: (4, 1, side),
        258: (3, 1, 8),
        259: (3, 1, 1),
        262: (3, 1, 1),
        273: (4, 1, 8),
        277: (3, 1, 1),
        278: (4, 1, side),
        279: (4, 1, side * side),
    }
    return usual | {int(name[1:]): entry for name, entry in tags.items()}
