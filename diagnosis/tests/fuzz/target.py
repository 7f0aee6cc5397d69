"""What the fuzzer calls: one upload, taken as far as intake takes it, without a database."""

import io
import time
from contextlib import suppress

from diagnosis.archives import Archive, Budget, is_zip
from diagnosis.decoding.kinds import is_dicom, is_tiff
from diagnosis.decoding.pictures import grey_of
from diagnosis.decoding.reader import Reader
from diagnosis.dicom.file import parsed
from diagnosis.intake import Limits, clean
from diagnosis.refusals import Refusal

# Small, so that many inputs are tried: what is far too large is refused by other tests.
MOST_BYTES = 2**16
LIMITS = Limits(max_bytes=MOST_BYTES, max_pixels=2**18, min_side=16)
MOST_SECONDS = 5.0  # of computing: by the clock a busy machine would fail
BUDGET = Budget(max_bytes=MOST_BYTES, max_files=8, max_total=8 * MOST_BYTES)


def give(data: bytes, reader: Reader) -> int:
    """Give the number of clean pictures in `data`; raises whatever intake raises but a Refusal, and when it is slow."""
    began = time.process_time()
    pictures = _taken(data, reader)
    if time.process_time() - began > MOST_SECONDS:
        raise TimeoutError("This file takes too long.")
    return pictures


def _taken(data: bytes, reader: Reader) -> int:
    file = io.BytesIO(data)
    if not is_zip(file):
        return _cleaned(file, reader)
    try:
        members = list(Archive(file, budget=BUDGET).members())
    except Refusal:
        return 0
    return sum(_cleaned(member, reader) for member in members if not isinstance(member, Refusal))


def _cleaned(file: io.BytesIO, reader: Reader) -> int:
    # Only for the fuzzer to see which ways the decoders take: the reader answers from a process that it can't see.
    with suppress(Exception):
        if is_dicom(file.getvalue()):
            parsed(file.getvalue(), max_unpacked=2**20)
        elif is_tiff(file.getvalue()):
            grey_of(file.getvalue(), max_pixels=LIMITS.max_pixels, min_side=LIMITS.min_side)
    try:
        return bool(clean(file, limits=LIMITS, reader=reader).png)
    except Refusal:
        return 0
