"""ZIP archives that unfold, nest, overlap, lie or climb out of their folder."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from diagnosis.tests.archive_files import zipped
from diagnosis.tests.hostile.files import ANSWER, HostileFile
from diagnosis.tests.pictures import chest_like, encoded


def files() -> Iterator[HostileFile]:
    """Give each of them."""
    picture = encoded(chest_like(200, 160), "PNG")
    for kind, outcome, make in (
        ("bomb", "ARCHIVE_BOMB", lambda: zipped({"a.png": bytes(50 * 2**20)})),
        ("within a ZIP", "NESTED_ARCHIVE", lambda: zipped({"b.zip": zipped({"a.png": picture})})),
        ("with a bomb within a ZIP", "NESTED_ARCHIVE", lambda: zipped({"b.zip": zipped({"a.png": bytes(50 * 2**20)})})),
        ("whose entries overlap", "ARCHIVE_TOO_LARGE", lambda: overlapping(90, 20 * 2**20)),
        ("of 400,000 entries", "TOO_MANY_FILES", lambda: _directory(400_000)),
        ("of nothing", "ARCHIVE_EMPTY", lambda: zipped({})),
        ("cut short", "DAMAGED", lambda: zipped({"a.png": picture})[:300]),
        ("that climbs out of its folder", ANSWER, lambda: zipped({"../../../../tmp/climbed.png": picture})),
        ("with an absolute path", ANSWER, lambda: zipped({"/etc/cron.d/a.png": picture})),
        ("with a script as name", ANSWER, lambda: zipped({"<script>alert(1)</script>.png": picture})),
        ("with a name without end", ANSWER, lambda: zipped({"a" * 60_000 + ".png": picture})),
        ("with a link", "NOT_A_PICTURE", _link),
    ):
        is_bomb = "bomb" in kind or outcome.startswith(("TOO_", "ARCHIVE_TOO"))
        yield HostileFile(f"ZIP {kind}", outcome, make, "file.zip", is_bomb)


def overlapping(entries: int, size: int) -> bytes:
    """Give an archive whose `entries` all hold the same `size` zero bytes, packed once."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    content = bytes(size)
    packed = packer.compress(content) + packer.flush()
    lengths = struct.pack("<LLL", zlib.crc32(content), len(packed), size)
    local = b"PK\x03\x04" + struct.pack("<HHHHH", 20, 0, 8, 0, 0) + lengths + struct.pack("<HH", 1, 0) + b"a"
    rows = b"".join(
        b"PK\x01\x02"
        + struct.pack("<HHHHHH", 20, 20, 0, 8, 0, 0)
        + lengths
        + struct.pack("<HHHHHLL", 1, 0, 0, 0, 0, 0, 0)
        + b"a"
        for _ in range(entries)
    )
    return local + packed + rows + _end(entries, len(rows), len(local) + len(packed))


def _directory(entries: int) -> bytes:
    row = b"PK\x01\x02" + struct.pack("<HHHHHHLLLHHHHHLL", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    return b"PK\x03\x04" + bytes(26) + row * entries + _end(65_535, len(row) * entries, 30)


def _end(entries: int, size: int, start: int) -> bytes:
    return b"PK\x05\x06" + struct.pack("<HHHHLLH", 0, 0, entries, entries, size, start, 0)


def _link() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo("a.png")
        entry.external_attr = 0o120777 << 16
        archive.writestr(entry, "/etc/passwd")
    return buffer.getvalue()
