"""The database as one file, and back: by PostgreSQL's own programs, or by SQLite's own copy."""

import os
import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from django.db import connection
from django.db.backends.postgresql.client import DatabaseClient

# A file of each database that can be restored into that kind alone.
NAMES = {"postgresql": "database.dump", "sqlite": "database.sqlite3"}

DEBIANS_PROGRAMS = Path("/usr/lib/postgresql")


class DumpError(Exception):
    """The database can't be written to a file, or read from it; the text says what to do."""


def name_of_dump() -> str:
    """Give the name of the file."""
    return NAMES[connection.vendor]


def is_empty() -> bool:
    """Tell whether the database has no table."""
    return not connection.introspection.table_names()


def dump(path: Path) -> None:
    """Write the whole database into `path` as it is at one moment, while the site runs. Raises DumpError."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(path)) as copy:
            connection.connection.backup(copy)
        return
    _run("pg_dump", "--format=custom", f"--file={path}")


def load(path: Path) -> None:
    """Read into an empty database what `dump` has written: all of it or nothing. Raises DumpError."""
    connection.ensure_connection()
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(path)) as copy:
            copy.backup(connection.connection)
        return
    _run("pg_restore", "--exit-on-error", "--single-transaction", str(path))


def _run(name: str, *arguments: str) -> None:
    """Run a program of PostgreSQL's on the site's database; its password is in no list of processes."""
    version = cast(Any, connection).pg_version // 10_000
    program = program_for(name, version)
    arguments_to_connect, secrets = DatabaseClient.settings_to_cmd_args_env(connection.settings_dict, [])
    *where, database = arguments_to_connect[1:]
    command = [str(program), *where, f"--dbname={database}", "--no-owner", "--no-privileges", "--no-password"]
    done = subprocess.run(
        [*command, *arguments], env=os.environ | (secrets or {}), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DumpError(f"{name} ended with status {done.returncode}: {done.stderr.strip()[-2000:]}")


def program_for(name: str, version: int) -> Path:
    """Give the program of PostgreSQL's that is the oldest one for servers of this major `version`.

    An older one refuses the server, and what a newer one writes an older server may not read. Raises DumpError.
    """
    places = [folder / "bin" / name for folder in DEBIANS_PROGRAMS.glob("*")]
    if on_path := shutil.which(name):
        places.append(Path(on_path))
    versions = {place: _version(place) for place in places if os.access(place, os.X_OK)}
    fitting = [place for place, found in versions.items() if found >= version]
    if not fitting:
        there = f"only {', '.join(map(str, sorted(versions.values())))}" if versions else "none"
        raise DumpError(
            f"{name} of PostgreSQL {version} or newer is needed, and there is {there}. "
            f"Debian: apt-get install postgresql-client-{version}; the image of the web process has one."
        )
    return min(fitting, key=lambda place: versions[place])


def _version(program: Path) -> int:
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"\(PostgreSQL\) (\d+)", told)
    return int(found[1]) if found else 0
