"""Counts what a picture's file makes a decoder do again and again, before any decoder sees the file.

A limit on pixels does not bound that work. A few bytes are one more pass of a progressive JPEG over all pixels, one
more chunk of a PNG or one more strip of a TIFF, and each costs milliseconds or some hundred bytes: 25 MB of them would
keep a process busy for minutes. Real files stay far below these limits.
"""

import re
import struct

from diagnosis.refusals import Refusal, damaged, gettext_noop

# A pass over a pixel takes about a nanosecond; usual progressive files have 6 to 12 passes.
MOST_VISITS = 1_000_000_000
MOST_SCANS = 500

# Pillow reads each in Python, some microseconds a piece, and byte by byte what belongs to none of them. libpng makes a
# chunk of 8 KB of pixels: 3,200 for 25 MB.
MOST_CHUNKS = 50_000
MOST_SEGMENTS = 10_000

# A strip a row of the tallest picture, or small tiles.
MOST_PARTS = 65_536

# Of a directory's entry: a curve for each of three channels of 16 bits is the longest table there is. Pillow makes an
# object of each number, and one of several hundred bytes of each fraction; real entries have six of those at most.
MOST_NUMBERS = 3 * 65_536
MOST_FRACTIONS = 1_000

# Colour profiles of a PNG, each unpacked to a megabyte at most; one is allowed.
MOST_PROFILES = 16

# Bytes of EXIF data: a segment of a JPEG has 64 KB, and few files have more than one.
MOST_EXIF = 2**20

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
STRIP_OFFSETS, STRIP_SIZES, TILE_OFFSETS, TILE_SIZES = 273, 279, 324, 325
# What such numbers may be stored as, in TIFF 6.0 and BigTIFF.
WHOLE_NUMBERS = {1: "B", 3: "H", 4: "L", 6: "b", 8: "h", 9: "l", 16: "Q", 17: "q"}
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
TEXTS, FRACTIONS = {1, 2, 7}, {5, 10}

# Within JPEG data FF 00 is a byte of the picture, FF FF fills, and D0 to D7 only mark where a decoder may start again.
MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
# Those that Pillow skips by their length, before the first scan.
HAS_LENGTH = re.compile(rb"[\xc0-\xc7\xc9-\xcf\xdb-\xef\xfe]")
FIRST_WITH_LENGTH, START_OF_IMAGE, END_OF_IMAGE, START_OF_SCAN = 0xC0, 0xD8, 0xD9, 0xDA
# Frames whose bits are arithmetically coded: few bytes may be as many decisions as they like.
ARITHMETIC = re.compile(rb"[\xc9-\xcb\xcd-\xcf]")

ARITHMETIC_CODING = gettext_noop(
    "This JPEG picture is stored with arithmetic coding, which is not read here; save it anew as JPEG or PNG."
)


def check_repetition(data: bytes) -> None:
    """Refuse a file whose structure repeats itself far more often than that of a picture does."""
    if data.startswith(PNG):
        _check_chunks(data)
    elif data.startswith(JPEG):
        _check_segments(data)
    elif data[:4] in TIFF:
        _check_parts(data)


def check_scans(codestream: bytes, *, pixels: int) -> None:
    """Refuse JPEG data that would send its decoder over all `pixels` too many times."""
    most = min(MOST_SCANS, MOST_VISITS // max(1, pixels))
    if scans_of(codestream, most=most + 1) > most:
        raise too_intricate()


def scans_of(codestream: bytes, *, most: int) -> int:
    """Count the scans of JPEG data up to its end mark, and no further than `most`.

    What a decoder may take for a marker counts as one: where it would skip back into a segment, this looks there too.
    """
    scans, place = 0, 0
    while scans < most and (marker := MARKER.search(codestream, place)):
        code, place = marker[1][0], marker.end()
        if code == END_OF_IMAGE:
            break
        scans += code == START_OF_SCAN
        if code >= FIRST_WITH_LENGTH and code != START_OF_IMAGE:
            place += int.from_bytes(codestream[place : place + 2])
    return scans


def too_intricate() -> Refusal:
    """Its parts are each harmless and far too many."""
    return Refusal(
        "TOO_INTRICATE",
        "This picture is stored in far more pieces than a picture needs; save it anew as PNG or JPEG and upload that.",
    )


def _check_chunks(data: bytes) -> None:
    place, chunks, profiles = len(PNG), 0, 0
    while place < len(data):
        profiles += data[place + 4 : place + 8] == b"iCCP"
        place += 12 + int.from_bytes(data[place : place + 4])
        chunks += 1
        if chunks > MOST_CHUNKS or profiles > MOST_PROFILES:
            raise too_intricate()


def _check_segments(data: bytes) -> None:
    """Walk the segments before the first scan as Pillow does; in C those behind it are passed in no time."""
    place = pieces = exif = 0
    while (start := data.find(b"\xff", place)) >= 0:
        pieces += 1 + start - place  # what belongs to no segment is passed over byte by byte
        code = data[start + 1 : start + 2]
        place = start + (1 if code == b"\xff" else 2)
        if code == b"\xda":
            return
        if ARITHMETIC.match(code):
            raise Refusal("UNSUPPORTED_COMPRESSION", ARITHMETIC_CODING)
        if HAS_LENGTH.match(code):
            length = int.from_bytes(data[place : place + 2])
            if data[place + 2 : place + 8] == b"Exif\0\0":
                exif += length  # Pillow copies all of it with each further segment
            place += length
        if pieces > MOST_SEGMENTS or exif > MOST_EXIF:
            raise too_intricate()
    if len(data) - place > MOST_SEGMENTS:
        raise too_intricate()


def _check_parts(data: bytes) -> None:
    """Look at the directory of the first page: how many strips or tiles it lists, and how long all is that it names."""
    order, is_big = TIFF[data[:4]], data[2:4] in (b"+\0", b"\0+")
    first, number, entry, value = ("8xQ", "Q", "HHQ8x", "Q") if is_big else ("4xL", "H", "HHL4x", "L")
    try:
        (place,) = struct.unpack_from(order + first, data)
        (entries,) = struct.unpack_from(order + number, data, place)
        place += struct.calcsize(order + number)
        size, room = struct.calcsize(order + entry), struct.calcsize(order + value)
        named = 0
        for at in range(place, min(place + entries * size, len(data) - size + 1), size):
            tag, kind, count = struct.unpack_from(order + entry, data, at)
            if tag in (STRIP_OFFSETS, TILE_OFFSETS) and count > MOST_PARTS:
                raise too_intricate()
            named += _length_of(kind, count, most=len(data))
            if named > len(data):
                raise damaged()  # entries that share their bytes: libtiff copies them for each
            if tag in (STRIP_SIZES, TILE_SIZES) and kind in WHOLE_NUMBERS:
                numbers = f"{order}{min(count, MOST_PARTS)}{WHOLE_NUMBERS[kind]}"
                there = at + size - room
                if struct.calcsize(numbers) > room:
                    (there,) = struct.unpack_from(order + value, data, there)
                # Cut off; or parts that share their bytes, which a decoder would read again for each of them.
                if sum(map(abs, struct.unpack_from(numbers, data, there))) > len(data):
                    raise damaged()
    except (struct.error, OverflowError) as error:
        raise damaged() from error


def _length_of(kind: int, count: int, *, most: int) -> int:
    """Give the bytes that an entry's values have, 0 for those that no decoder reads; refuse far too many numbers."""
    length = count * SIZES.get(kind, 0)
    if length > most:
        return 0
    if kind not in TEXTS and count > (MOST_FRACTIONS if kind in FRACTIONS else MOST_NUMBERS):
        raise too_intricate()
    return length
