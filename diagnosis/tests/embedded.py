"""The whole site as `make run` starts it, in a folder of its own, for tests that use it from outside."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from diagnosis.tests.servers import PROJECT, free_port

START_SECONDS = 240
STOP_SECONDS = 60
FULL_MODE_ONLY = ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY", "ALLOWED_HOSTS", "SITE_HTTPS")


class EmbeddedSite:
    """`manage.py run_embedded` as a process; `url` is where it is, `said` what it printed so far."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {name: value for name, value in os.environ.items() if name not in FULL_MODE_ONLY} | {
            "SITE_MODE": "embedded",
            "VAR_DIR": str(var),
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

    def predictions(self) -> list[tuple[str, str]]:
        """Give (scan id, state) of every prediction in its database, oldest first."""
        with closing(sqlite3.connect(f"file:{self.var / 'db.sqlite3'}?mode=ro", uri=True)) as database:
            rows = database.execute("SELECT scan_id, state FROM diagnosis_prediction ORDER BY requested_at").fetchall()
        return [(str(uuid.UUID(scan)), state) for scan, state in rows]

    @contextmanager
    def worker_held(self) -> Iterator[None]:
        """Stop the worker where it is, so that nothing is answered meanwhile; it goes on afterwards."""
        held = self.processes("celery")
        for pid in held:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in held:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

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


def wait_for(what: Callable[[], Any], seconds: float = 60, *, every: float = 0.1) -> Any:
    """Wait until `what` gives something true, and give that."""
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, f"it did not come true within {seconds} s"
        time.sleep(every)
    return found
