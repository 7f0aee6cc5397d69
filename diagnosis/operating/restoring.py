"""A folder that `backup` wrote → an empty database and the files that its rows name."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from itertools import islice
from pathlib import Path

from django.core.files.base import File
from django.core.files.storage import default_storage
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from diagnosis.operating import dumps
from diagnosis.operating.backup import AT_ONCE, FILES, FORMAT, MANIFEST, SUMS, BackupError, Manifest, sha256_of
from diagnosis.operating.stored import stored_files

# Lines of SHA256SUMS.
FILES_AT_ONCE = 1000

NO_BACKUP = "{} is no complete backup: {}."


def restore(folder: Path, *, say: Callable[[str], None]) -> list[str]:
    """Restore into an empty database; give a sentence for each file that is missing afterwards, with its scan.

    Nothing is overwritten, neither a row nor a file. Raises BackupError or DumpError before anything is restored,
    StorageAway in the midst of the files: then empty the database and begin anew.
    """
    manifest = read_manifest(folder)
    dump = folder / dumps.name_of_dump()
    if manifest.database != connection.vendor:
        raise BackupError(f"This is a backup of {manifest.database}; the site's database is {connection.vendor}.")
    if not dumps.is_empty():
        raise BackupError("The database is not empty, and a restore overwrites nothing: make a new, empty one.")
    sums = _sums(folder)
    name, sha256 = next(sums, ("", ""))
    if name != dump.name or not dump.is_file() or sha256_of(dump) != sha256:
        raise BackupError(f"{dump} is missing or damaged: it is not what was written.")
    say("The database …")
    dumps.load(dump)
    spoiled: dict[str, str] = {}
    done = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while some := list(islice(sums, FILES_AT_ONCE)):
            for (name, _), fault in zip(some, pool.map(lambda line: _put(folder, *line), some), strict=True):
                if fault:
                    spoiled[name.removeprefix(f"{FILES}/")] = fault
            done += len(some)
            say(f"{done} of {manifest.files} files …")
    return list(_missing(spoiled))


def read_manifest(folder: Path) -> Manifest:
    """Give what the backup says of itself. Raises BackupError where it can't be restored by this software."""
    try:
        told = json.loads((folder / MANIFEST).read_text())
        manifest = Manifest(**{field.name: told[field.name] for field in fields(Manifest)})
    except FileNotFoundError as error:
        raise BackupError(NO_BACKUP.format(folder, f"it has no {MANIFEST}, which is written last")) from error
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(NO_BACKUP.format(folder, f"{MANIFEST} can't be read")) from error
    if manifest.format != FORMAT or ("diagnosis", manifest.migration) not in MigrationLoader(None).disk_migrations:
        raise BackupError(f"A newer version of this software made it ({manifest.migration}); restore it with that one.")
    sums = folder / SUMS
    if not sums.is_file() or sha256_of(sums) != manifest.sums:
        raise BackupError(NO_BACKUP.format(folder, f"{SUMS} is missing or damaged"))
    return manifest


def _sums(folder: Path) -> Iterator[tuple[str, str]]:
    """Give name and sha256 of the dump, and then of each file."""
    with (folder / SUMS).open() as lines:
        for line in lines:
            sha256, _, name = line.rstrip("\n").partition("  ")
            yield name, sha256


def _put(folder: Path, name: str, sha256: str) -> str:
    """Put a file of the backup into the storage; give what is wrong with it, "" for nothing."""
    path, stored_as = folder / name, name.removeprefix(f"{FILES}/")
    if not path.is_file():
        return "is missing in the backup"
    if sha256_of(path) != sha256:
        return "is damaged in the backup"
    with suppress(FileNotFoundError), default_storage.open(stored_as) as there, path.open("rb") as file:
        return "" if there.read() == file.read() else "was not restored: another file of this name is there"
    with path.open("rb") as file:
        default_storage.save(stored_as, File(file))
    return ""


def _missing(spoiled: dict[str, str]) -> Iterator[str]:
    for page in stored_files():
        for file in page:
            fault = spoiled.get(file.name)
            if not fault and not file.storage.exists(file.name):
                fault = "is missing: it was not in the backup"
            if fault:
                yield f"Scan {file.scan_id}: its {file.column}, {file.name}, {fault}"
