"""The process that decodes DICOM and TIFF files: `python -m diagnosis.decoding.child`, started by reader.Reader.

Nothing of a file can leave it but what it answers on its standard output: it may not write a file, what libraries log,
warn of or print goes nowhere, and no memory of it is dumped when it dies. Decoders written in C meet the bytes of
strangers here, so a crash, an endless loop or a bomb costs this process and that one file.

A request is a header, REQUEST, and the file. An answer is a header, ANSWER, a JSON object and the raw levels.
"""

import json
import logging
import math
import os
import resource
import struct
import warnings
from dataclasses import asdict
from typing import Any, BinaryIO

from diagnosis.decoding.kinds import is_dicom

REQUEST = struct.Struct("<QQQQ")  # bytes of the file, most pixels, least side, seconds of computing
ANSWER = struct.Struct("<QQ")  # bytes of the JSON object, bytes of the levels

# The libraries and the file, and for each pixel what the hungriest decoder takes.
BASE_MEMORY = 1536 * 2**20
BYTES_A_PIXEL = 40


def main() -> None:
    """Answer requests until the standard input ends."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    for kind in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(kind, (0, 0))
    while header := requests.read(REQUEST.size):
        size, max_pixels, min_side, seconds = REQUEST.unpack(header)
        data = requests.read(size)
        _load(data)  # before the clock starts
        _limit(max_pixels, seconds)
        answer, levels = _answer(data, max_pixels=max_pixels, min_side=min_side)
        _send(answers, answer, levels)


def _load(data: bytes) -> None:
    """Load what reading `data` needs; for a TIFF that is less."""
    if is_dicom(data):
        import diagnosis.dicom.file
    else:
        import diagnosis.decoding.pictures  # noqa: F401


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


def read(data: bytes, *, max_pixels: int, min_side: int) -> tuple[dict[str, Any], memoryview]:
    """Give what is kept of the file as a JSON object, and its levels; raises Refusal and whatever parsers raise."""
    import numpy as np

    from diagnosis.decoding import pictures
    from ml.quality import is_colour

    most = {"max_pixels": max_pixels, "min_side": min_side}
    if is_dicom(data):
        from diagnosis.dicom.file import picture_of

        picture, for_display, facts = picture_of(data, **most)
        grey, has_colours = pictures.grey_levels(picture), is_colour(picture)
        told = {"for_display": for_display, "facts": asdict(facts)}
    else:
        grey, has_colours = pictures.grey_of(data, **most)
        told = {"for_display": False, "facts": None}
    answer = {"mode": grey.mode, "size": grey.size, "is_colour": has_colours, **told}
    return answer, np.ascontiguousarray(np.asarray(grey)).data.cast("B")


def _send(answers: BinaryIO, answer: dict[str, Any], levels: bytes | memoryview) -> None:
    text = json.dumps(answer).encode()
    answers.write(ANSWER.pack(len(text), len(levels)) + text)
    answers.write(levels)
    answers.flush()


if __name__ == "__main__":
    main()
