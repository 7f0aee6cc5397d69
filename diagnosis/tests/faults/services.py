"""A PostgreSQL and a Redis that a test may stop, start again where they were, and hold."""

import contextlib
import os
import shlex
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from diagnosis.tests import servers


class PostgreSQL(contextlib.ExitStack):
    """A cluster of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__()
        self.directory = directory

    def __enter__(self) -> "PostgreSQL":
        super().__enter__()
        # What it said was committed has to be there after a crash, as in production.
        self.url = servers.start_postgresql(self.directory, self, servers.FORGETFUL | {"synchronous_commit": "on"})
        # A restarted one is no child of ours.
        self.callback(self._pg_ctl, "stop", "--mode", "immediate", check=False)
        return self

    def restart(self) -> None:
        """Stop it as a crash does, and start it where it was; returns when it answers."""
        self._pg_ctl("restart", "--mode", "immediate", *self._log())

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let it be stopped during the block."""
        options = shlex.split((self.directory / "data" / "postmaster.opts").read_text())[1:]
        self._pg_ctl("stop", "--mode", "fast")
        try:
            yield
        finally:
            self._pg_ctl("start", *self._log(), "-o", shlex.join(options))

    def _log(self) -> tuple[str, str]:
        # Another file than at the first start: that one belongs to who runs the tests.
        return "--log", str(self.directory / "data" / "again.log")

    def _pg_ctl(self, *arguments: str, check: bool = True) -> None:
        program = servers.postgresql_programs() / "pg_ctl"
        owner = self.directory.stat()
        user = {} if os.geteuid() else {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []}
        command = [program, *arguments, "--wait", "-D", self.directory / "data"]
        subprocess.run(command, check=check, cwd=self.directory, stdout=subprocess.DEVNULL, **user)


class Redis:
    """A Redis of its own that stores nothing: each start is an empty one."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __enter__(self) -> "Redis":
        self._running = contextlib.ExitStack()
        self.url = servers.start_redis(self.directory, self._running)
        return self

    def __exit__(self, *_error: object) -> None:
        self._running.close()

    def client(self) -> redis.Redis:
        """Give a client."""
        return redis.Redis.from_url(self.url)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let it be stopped during the block; afterwards it is there again, and empty."""
        self._running.close()
        try:
            yield
        finally:
            servers.start_redis(self.directory, self._running, url=self.url)

    @contextmanager
    def stopped_still(self) -> Iterator[None]:
        """Let it take connections and answer nothing during the block."""
        with self.client() as client:
            pid = client.info("server")["process_id"]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
