"""A ZIP archive → the files in it, one after the other, within limits and without a look at where it would put them.

Nothing is unpacked to disk, and a name in it is used for one thing only: to pass over what operating systems add.
"""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from diagnosis.refusals import Refusal

# The starts of ZIP, gzip, bzip2, xz, 7z and RAR: no archive within an archive is opened.
ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07")
SYSTEM_FILES = ("thumbs.db", "desktop.ini")

# A picture that is black all over may shrink more than this; below a megabyte that does no harm.
MOST_RATIO = 200
HARMLESS = 2**20

ENCRYPTED = 0x1

# Folders and what is passed over are entries too.
MOST_ENTRIES = 10_000


@dataclass(frozen=True)
class Budget:
    """What archives may unpack to: bytes of one file, files, bytes of all of them."""

    max_bytes: int
    max_files: int
    max_total: int


def is_zip(file: BinaryIO) -> bool:
    """Tell whether `file` is a ZIP archive by its first bytes."""
    file.seek(0)
    return file.read(4) in ARCHIVES[:2]


class Archive:
    """A ZIP archive that keeps to its `budget` by what it announces; its `members` prove whether it tells the truth.

    Raises Refusal when all of it is refused: damaged, encrypted, empty, too many files, too large.
    """

    def __init__(self, file: BinaryIO, *, budget: Budget) -> None:
        self.budget = budget
        file.seek(0)
        # Counted before zipfile makes an object of each.
        if file.read().count(b"PK\x01\x02") > MOST_ENTRIES + budget.max_files:
            raise self._too_many()
        try:
            self._zip = zipfile.ZipFile(file)
            self._entries = [entry for entry in self._zip.infolist() if not _is_passed_over(entry)]
        except Exception as error:  # zipfile fails with many kinds, and their texts hold names
            raise _damaged_archive() from error
        self._check()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def unpacked(self) -> int:
        """Give the bytes that all files in it will have by their own announcement; no more of one is ever read."""
        return sum(entry.file_size for entry in self._entries)

    def _check(self) -> None:
        if not self._entries:
            raise Refusal("ARCHIVE_EMPTY", "This archive holds no file; put the X-rays into it and upload it again.")
        if any(entry.flag_bits & ENCRYPTED for entry in self._entries):
            raise Refusal("ARCHIVE_ENCRYPTED", "This archive is locked with a password; make one without.")
        if len(self._entries) > self.budget.max_files:
            raise self._too_many(len(self._entries))
        if self.unpacked > self.budget.max_total:
            raise Refusal(
                "ARCHIVE_TOO_LARGE",
                "This archive unpacks to more than %(most)s MB; divide it.",
                most=self.budget.max_total // 2**20,
            )

    def _too_many(self, number: int | None = None) -> Refusal:
        most = self.budget.max_files
        if number is None:
            return Refusal(
                "TOO_MANY_FILES",
                "This archive holds far too many files, and at most %(most)s are accepted at once; divide it.",
                most=most,
            )
        return Refusal(
            "TOO_MANY_FILES",
            "This archive holds %(number)s files and at most %(most)s are accepted at once; divide it.",
            number=number,
            most=most,
        )

    def members(self) -> Iterator[io.BytesIO | Refusal]:
        """Give the files in the order of the archive's own list; in place of one that is refused the reason."""
        for entry in self._entries:
            try:
                yield self._opened(entry)
            except Refusal as refusal:
                yield refusal

    def _opened(self, entry: zipfile.ZipInfo) -> io.BytesIO:
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Refusal(
                "ARCHIVE_COMPRESSION", "This file is packed in a way that is not read; make an ordinary ZIP archive."
            )
        if entry.file_size > HARMLESS and entry.file_size > MOST_RATIO * max(1, entry.compress_size):
            raise Refusal(
                "ARCHIVE_BOMB", "This file would unpack to far more than its archive holds; upload it by itself."
            )
        try:
            with self._zip.open(entry) as member:
                # One byte more than is accepted, for intake to refuse; an entry that lies about its size ends there.
                data = member.read(self.budget.max_bytes + 1)
        except (
            zipfile.BadZipFile,
            zlib.error,
            OSError,
            EOFError,
            ValueError,
            RuntimeError,
        ) as error:
            raise Refusal("DAMAGED", "This file is damaged within its archive; make the archive again.") from error
        if data.startswith(ARCHIVES):
            raise Refusal("NESTED_ARCHIVE", "This is an archive within an archive; unpack it and upload its files.")
        return io.BytesIO(data)


def _is_passed_over(entry: zipfile.ZipInfo) -> bool:
    *folders, name = entry.filename.split("/")
    return entry.is_dir() or "__MACOSX" in folders or name.startswith(".") or name.lower() in SYSTEM_FILES


def _damaged_archive() -> Refusal:
    return Refusal("DAMAGED", "This archive is damaged or cut short; make it again and upload that.")
