"""The whole site as `make run` starts it, in a folder of its own, for tests that use it from outside."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from diagnosis.tests.servers import PROJECT, free_port, wait_for

START_SECONDS = 240
STOP_SECONDS = 60
FULL_MODE_ONLY = ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY", "ALLOWED_HOSTS", "SITE_HTTPS")


class Row(NamedTuple):
    """A prediction as the database has it; `scan` is the path of the scan's page."""

    scan: str
    state: str
    attempts: int


class EmbeddedSite:
    """`manage.py run_embedded` as a process; `url` is where it is, `said` what it printed so far."""

    def __init__(self, var: Path, *, checkpoint: Path) -> None:
        self.var = var
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {name: value for name, value in os.environ.items() if name not in FULL_MODE_ONLY} | {
            "SITE_MODE": "embedded",
            "VAR_DIR": str(var),
            "MODEL_CHECKPOINT": str(checkpoint),
        }
        self.output = var.with_suffix(".out")
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "run_embedded", "--port", str(self.port)],
                cwd=PROJECT,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_for(lambda: "The site is ready" in self.said or self.process.poll() is not None, START_SECONDS)
        assert self.process.poll() is None, self.said

    @property
    def said(self) -> str:
        """Give what it printed."""
        return self.output.read_text()

    @property
    def demo_password(self) -> str:
        """Give the password that the first start printed."""
        return re.search(r"Sign in as demo with the password (\S+)", self.said).group(1)

    def interrupt(self) -> int:
        """Press Ctrl-C and give the exit status."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(STOP_SECONDS)

    def kill(self) -> None:
        """Leave nothing behind, however the test ended."""
        if self.process and self.process.poll() is None:
            try:
                self.interrupt()
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def predictions(self, scans: list[str]) -> list[Row]:
        """Give the predictions of `scans`, named by the paths of their pages, oldest first."""
        query = "SELECT scan_id, state, attempts FROM diagnosis_prediction ORDER BY requested_at"
        with closing(sqlite3.connect(f"file:{self.var / 'db.sqlite3'}?mode=ro", uri=True)) as database:
            rows = [Row(f"/scans/{uuid.UUID(scan)}/", *values) for scan, *values in database.execute(query)]
        return [row for row in rows if row.scan in scans]

    def order_of_claims(self) -> list[str]:
        """Give the paths of the scans' pages in the order in which their predictions were begun."""
        query = "SELECT scan_id FROM diagnosis_prediction WHERE claimed_at IS NOT NULL ORDER BY claimed_at"
        with closing(sqlite3.connect(f"file:{self.var / 'db.sqlite3'}?mode=ro", uri=True)) as database:
            return [f"/scans/{uuid.UUID(scan)}/" for (scan,) in database.execute(query)]

    def signal_worker(self, number: signal.Signals) -> None:
        """Send a signal to each process of the worker."""
        for pid in self.processes("run_worker"):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    @contextmanager
    def worker_held(self) -> Iterator[None]:
        """Stop the worker where it is, so that nothing is answered meanwhile; it goes on afterwards."""
        try:
            self.signal_worker(signal.SIGSTOP)
            yield
        finally:
            self.signal_worker(signal.SIGCONT)

    def processes(self, words: str) -> list[int]:
        """Give the processes of this site whose command line holds `words`."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (folder / "environ").read_bytes()
            except OSError:
                continue  # it ended meanwhile
            if words in command and f"VAR_DIR={self.var}\0".encode() in environment:
                found.append(int(folder.name))
        return sorted(found)
