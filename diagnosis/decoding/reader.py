"""Hands DICOM and TIFF files to a child process and takes what is kept of them; no other process opens them."""

import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from PIL import Image

from diagnosis.decoding.child import ANSWER, REQUEST
from diagnosis.dicom.kept import Facts
from diagnosis.refusals import Refusal, damaged

logger = logging.getLogger(__name__)

PROJECT = Path(__file__).resolve().parents[2]

CLOCK = 3


@dataclass(frozen=True)
class Read:
    """The picture in a file, mode "L" or "I;16" and upright, and what is kept of the rest."""

    grey: Image.Image
    is_colour: bool  # before
    for_display: bool  # its 16 bits are black to white of a screen; see dicom.pixels
    facts: Facts | None  # None where it is no DICOM file


class Reader:
    """A child process that reads one file after the other; a context manager, the child starts with the first file.

    A reader is for one thread. Each file may take `seconds` of computing, and CLOCK times as long by the clock: on a
    busy machine that tells little of a file.
    """

    def __init__(self, *, seconds: int) -> None:
        self.seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def read(self, data: bytes, *, max_pixels: int, min_side: int) -> Read:
        """Give the picture in `data`, or raise Refusal, also when the child died of it or took too long."""
        child = self._running()
        with self._stopped_in_time(child) as is_over:
            try:
                requests, answers = cast(BinaryIO, child.stdin), cast(BinaryIO, child.stdout)
                requests.write(REQUEST.pack(len(data), max_pixels, min_side, self.seconds))
                requests.write(data)
                requests.flush()
                lengths = ANSWER.unpack(_exactly(answers, ANSWER.size))
                answer, levels = (_exactly(answers, length) for length in lengths)
            except (OSError, EOFError) as error:
                status = self.close()
                if is_over() or status == -signal.SIGXCPU:
                    raise _too_slow() from error
                logger.warning("The process that decodes files ended with status %s", status)
                raise damaged() from error
        return _picture(json.loads(answer), levels)

    def close(self) -> int | None:
        """End the child, if there is one, and give its status. It keeps nothing, so it may be killed at any time."""
        child, self._child = self._child, None
        if child is None:
            return None
        child.kill()
        for stream in (child.stdin, child.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        return child.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-B", "-m", "diagnosis.decoding.child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=PROJECT,
                # One thread: others would each claim address space. And no settings: it needs no secret of ours.
                env={"PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            )
        return self._child

    @contextmanager
    def _stopped_in_time(self, child: subprocess.Popen[bytes]) -> Iterator[Any]:
        over = threading.Event()

        def stop() -> None:
            over.set()
            child.kill()

        timer = threading.Timer(CLOCK * self.seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            yield over.is_set
        finally:
            timer.cancel()


def _exactly(stream: BinaryIO, size: int) -> bytearray:
    data = bytearray(size)  # read() would hold the pixels twice
    if cast(io.BufferedReader, stream).readinto(data) < size:
        raise EOFError
    return data


def _too_slow() -> Refusal:
    return Refusal(
        "TOO_SLOW", "Decoding this file took too long and was stopped; export it uncompressed and upload that."
    )


def _picture(answer: dict[str, Any], levels: bytearray) -> Read:
    if "refusal" in answer:
        code, sentence, values = answer["refusal"]
        raise Refusal(code, sentence, **values)
    facts = answer["facts"]
    return Read(
        grey=Image.frombytes(answer["mode"], tuple(answer["size"]), levels),
        is_colour=answer["is_colour"],
        for_display=answer["for_display"],
        facts=facts and Facts(**facts),
    )
