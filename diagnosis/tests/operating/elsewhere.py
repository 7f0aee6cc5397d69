"""Another place to restore a backup to: an empty database of the same server, and a folder for files."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
from django.db import connection

from diagnosis.tests.servers import PROJECT


class Elsewhere:
    """Another database of the same server and another folder for files, empty."""

    def __init__(self, folder: Path) -> None:
        self.media = folder / "media"
        self.name = "restored"
        database = connection.settings_dict | {"NAME": self.name}
        self.environment = os.environ | {
            "DATABASE_URL": "postgres://{USER}:{PASSWORD}@{HOST}:{PORT}/{NAME}".format(**database),
            "MEDIA_ROOT": str(self.media),
            "VAR_DIR": str(folder),
        }

    def empty(self) -> None:
        """Make the database anew."""
        execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
        execute(f"CREATE DATABASE {self.name}")

    def manage(self, *arguments: str | Path) -> subprocess.CompletedProcess:
        """Run a command there."""
        return subprocess.run(
            [sys.executable, "manage.py", *map(str, arguments)],
            cwd=PROJECT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
        )


def execute(statement: str) -> None:
    """Run a statement on the server, outside of every transaction."""
    parameters = connection.get_connection_params() | {"dbname": "postgres"}
    with closing(psycopg2.connect(**parameters)) as server:
        server.autocommit = True
        server.cursor().execute(statement)


def rows(database: str) -> dict[str, list[str]]:
    """Give every row of every table, as text."""
    with closing(psycopg2.connect(**connection.get_connection_params() | {"dbname": database})) as there:
        cursor = there.cursor()
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")
        tables = [name for (name,) in cursor.fetchall()]
        found = {}
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" AS t ORDER BY 1')
            found[table] = [text for (text,) in cursor.fetchall()]
        return found
