"""Database and files → one folder, while the site runs.

First the database as it is at one moment, then the files that its rows name: no file changes once a row names it, so
that each row of the dump finds its own. What is erased in between is missing afterwards, as it should be.

    manifest.json    what it is; written last, so that a folder without one is no backup
    SHA256SUMS       of the dump and of every file, as `sha256sum --check` reads it
    database.dump    or database.sqlite3
    files/           under the names that the rows know
"""

import hashlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.utils import timezone

from diagnosis.operating import dumps
from diagnosis.operating.stored import Stored, still_named, stored_files

FORMAT = 1
MANIFEST, SUMS, FILES = "manifest.json", "SHA256SUMS", "files"

# A bucket answers many at once; a disk does no harm by it.
AT_ONCE = 8
CHUNK = 1024 * 1024  # bytes


class BackupError(Exception):
    """There can be no backup here, or none can be restored; the text says why."""


@dataclass
class Manifest:
    """What a backup says of itself."""

    database: str  # postgresql or sqlite
    migration: str  # the last one of ours that the database has
    sums: str = ""  # sha256 of SHA256SUMS
    files: int = 0
    bytes: int = 0
    missing: list[str] = field(default_factory=list)  # files that were missing already
    made_at: str = field(default_factory=lambda: timezone.now().isoformat(timespec="seconds"))
    format: int = FORMAT


def back_up(folder: Path, *, say: Callable[[str], None]) -> Manifest:
    """Write a backup into `folder`, which is made, or is empty. Raises BackupError, DumpError or StorageAway."""
    if folder.exists() and any(folder.iterdir()):
        raise BackupError(f"{folder} is not empty; a backup gets a folder of its own.")
    # Pictures of patients and hashes of passwords: for nobody else of this host.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    manifest = Manifest(connection.vendor, last_migration())
    with (folder / SUMS).open("w") as sums:
        dump = folder / dumps.name_of_dump()
        say("The database …")
        dumps.dump(dump)
        sums.write(sum_line(sha256_of(dump), dump.name))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for page in stored_files():
                copied = dict(zip(page, pool.map(lambda file: _copied(file, folder), page), strict=True))
                absent = [file for file, sha256 in copied.items() if sha256 is None]
                for file in still_named(absent):
                    manifest.missing.append(file.name)
                    say(f"Missing already: the {file.column} of scan {file.scan_id}, {file.name}")
                for file, sha256 in copied.items():
                    if sha256:
                        manifest.files += 1
                        manifest.bytes += (folder / FILES / file.name).stat().st_size
                        sums.write(sum_line(sha256, f"{FILES}/{file.name}"))
                say(f"{manifest.files} files …")
    manifest.sums = sha256_of(folder / SUMS)
    # What the manifest stands for has reached the disk before it.
    os.sync()
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    part.replace(folder / MANIFEST)
    return manifest


def last_migration() -> str:
    """Give the newest migration of ours that the database has."""
    names = [name for app, name in MigrationRecorder(connection).applied_migrations() if app == "diagnosis"]
    if not names:
        raise BackupError("The database has no tables of this site; run manage.py migrate.")
    return max(names)


def sum_line(sha256: str, name: str) -> str:
    """Give a line of SHA256SUMS."""
    return f"{sha256}  {name}\n"


def sha256_of(path: Path) -> str:
    """Give the sum of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _copied(file: Stored, folder: Path) -> str | None:
    """Copy one file; give its sha256, None where it is not there."""
    target = folder / FILES / file.name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with file.storage.open(file.name) as source, target.open("wb") as copy:
            return copied(source, copy)
    except FileNotFoundError:
        target.unlink(missing_ok=True)
        return None


def copied(source: Any, target: IO[bytes]) -> str:
    """Copy bytes; give their sha256."""
    digest = hashlib.sha256()
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
    return digest.hexdigest()
