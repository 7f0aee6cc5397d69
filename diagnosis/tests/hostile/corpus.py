"""All hostile files of the tests: what each is, what comes of it, and how it is made."""

from collections.abc import Iterator
from dataclasses import replace

from diagnosis.tests.hostile import archives, bombs, dicom, pictures, polyglots
from diagnosis.tests.hostile.files import ANSWER, HostileFile

FILES: list[HostileFile] = [
    *pictures.files(),
    *polyglots.files(),
    *(replace(file, is_bomb=True) for file in bombs.files()),
    *dicom.files(),
    *archives.files(),
]

__all__ = ["ANSWER", "FILES", "small"]


def small(most_bytes: int) -> Iterator[bytes]:
    """Give those that have `most_bytes` at most, for a fuzzer to begin with."""
    for file in (file for file in FILES if not file.is_bomb):
        data = file.make()
        if len(data) <= most_bytes:
            yield data
