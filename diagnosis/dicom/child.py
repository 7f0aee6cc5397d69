"""The process that reads DICOM files: `python -m diagnosis.dicom.child`, started by reader.DicomReader.

Nothing of a file can leave it but what it answers on its standard output: it may not write a file, what libraries log,
warn of or print goes nowhere, and no memory of it is dumped when it dies. Decoders written in C meet the bytes of
strangers here, so a crash, an endless loop or a bomb costs this process and that one file.

A request is a header, REQUEST, and the file. An answer is a header, ANSWER, a JSON object and the raw levels.
"""

import io
import json
import logging
import math
import os
import resource
import struct
import warnings
import zlib
from dataclasses import asdict
from typing import Any, BinaryIO

REQUEST = struct.Struct("<QQQQ")  # bytes of the file, most pixels, least side, seconds of computing
ANSWER = struct.Struct("<QQ")  # bytes of the JSON object, bytes of the levels

# The libraries and the file, and for each pixel what the hungriest decoder takes.
BASE_MEMORY = 1536 * 2**20
BYTES_A_PIXEL = 40

PIXEL_DATA = (b"\xe0\x7f\x10\0", b"\x7f\xe0\0\x10")

# No picture needs more elements around it than this once it is unpacked.
MOST_AROUND = 8 * 2**20


def main() -> None:
    """Answer requests until the standard input ends."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    _load()
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))
    while header := requests.read(REQUEST.size):
        size, max_pixels, min_side, seconds = REQUEST.unpack(header)
        _limit(max_pixels, seconds)
        answer, levels = _answer(requests.read(size), max_pixels=max_pixels, min_side=min_side)
        _send(answers, answer, levels)


def _load() -> None:
    """Load what reading needs, and see to it that pydicom neither warns nor judges."""
    from pydicom import config

    from diagnosis.dicom import pixels  # noqa: F401

    config.settings.reading_validation_mode = config.IGNORE


def _limit(max_pixels: int, seconds: int) -> None:
    memory = BASE_MEMORY + BYTES_A_PIXEL * max_pixels
    resource.setrlimit(resource.RLIMIT_AS, (memory, resource.RLIM_INFINITY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime) + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))


def _answer(data: bytes, *, max_pixels: int, min_side: int) -> tuple[dict[str, Any], bytes | memoryview]:
    """Read one file; whatever goes wrong is an answer too."""
    from diagnosis.refusals import Refusal, damaged

    try:
        return read(data, max_pixels=max_pixels, min_side=min_side)
    except Refusal as refusal:
        return _refused(refusal)
    except Exception:  # noqa: BLE001  # hostile bytes raise nearly every built-in exception, with their text in it
        return _refused(damaged())


def _refused(refusal: Any) -> tuple[dict[str, Any], bytes]:
    return {"refusal": [refusal.code, refusal.sentence, refusal.values]}, b""


def read(data: bytes, *, max_pixels: int, min_side: int) -> tuple[dict[str, Any], bytes | memoryview]:
    """Give what is kept of the file as a JSON object, and its levels; raises Refusal and whatever parsers raise."""
    import numpy as np

    from diagnosis.dicom.facts import facts_of
    from diagnosis.dicom.pixels import levels_of

    dataset, syntax = parsed(data, max_unpacked=3 * max_pixels + MOST_AROUND)
    facts = facts_of(dataset)
    levels = levels_of(dataset, syntax, max_pixels=max_pixels, min_side=min_side)
    del dataset  # holds the pixels a second time
    height, width = levels.array.shape[:2]
    mode = "RGB" if levels.array.ndim == 3 else {1: "L", 2: "I;16"}[levels.array.itemsize]
    answer = {"facts": asdict(facts), "mode": mode, "size": [width, height], "for_display": levels.for_display}
    return answer, np.ascontiguousarray(levels.array).data.cast("B")


def parsed(data: bytes, *, max_unpacked: int) -> tuple[Any, Any]:
    """Give the wanted elements of a file with or without preamble, and its transfer syntax.

    pydicom would unpack a deflated file whole, however large it becomes, so that is done here.
    """
    from pydicom import dcmread
    from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian
    from pydicom.uid import ExplicitVRLittleEndian as ExplicitLittle
    from pydicom.uid import ImplicitVRLittleEndian as ImplicitLittle

    from diagnosis.dicom.facts import WANTED
    from diagnosis.refusals import damaged

    if data.startswith(b"DICM"):
        data = bytes(128) + data
    syntax, start = _announced_syntax(data)
    if syntax == DeflatedExplicitVRLittleEndian:
        data, syntax = _inflated(data[start:], max_unpacked), ExplicitLittle
    dataset = dcmread(io.BytesIO(data), force=True, specific_tags=list(WANTED))
    if "PixelData" not in dataset and any(tag in data for tag in PIXEL_DATA):
        raise damaged()  # cut short within compressed pixels, which pydicom then passes over
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = ImplicitLittle if implicit else ExplicitLittle if little else ExplicitVRBigEndian
    return dataset, UID(syntax)


def _announced_syntax(data: bytes) -> tuple[str, int]:
    """Give the transfer syntax that the file meta information names, "" for none, and where the data set starts."""
    from pydicom.filereader import _read_file_meta_info, read_preamble

    file = io.BytesIO(data)
    read_preamble(file, force=True)
    meta = _read_file_meta_info(file)
    return str(meta.get("TransferSyntaxUID", "") or ""), file.tell()


def _inflated(data: bytes, max_unpacked: int) -> bytes:
    from diagnosis.refusals import damaged, too_many_pixels

    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    unpacked = inflater.decompress(data, max_unpacked)
    if inflater.unconsumed_tail:
        raise too_many_pixels(
            "This DICOM file unpacks to far more than is accepted; scale it down and upload it again."
        )
    if not inflater.eof:
        raise damaged()
    return unpacked


def _send(answers: BinaryIO, answer: dict[str, Any], levels: bytes | memoryview) -> None:
    text = json.dumps(answer).encode()
    answers.write(ANSWER.pack(len(text), len(levels)) + text)
    answers.write(levels)
    answers.flush()


if __name__ == "__main__":
    main()
