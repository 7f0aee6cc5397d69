"""Processes that belong together: start them, watch them, start again what died, stop them all.

Knows nothing of Django. Each program runs in a process group of its own, so that Ctrl-C reaches the supervisor alone
and nothing that a dead program left behind lives on. Two locked files in `folder` keep order between runs:

    supervisor.lock   held by the supervisor: a second one is refused
    children.lock     held by every process of its programs, and lists their groups: when the supervisor itself was
                      killed, the next one sees that some still live, and ends them
"""

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Self

START_SECONDS = 300  # a slow disk reads TensorFlow and the weights for minutes
STOP_SECONDS = 20  # a worker may take a second message before it hears, and each may take eight, see diagnosis.queues
STEADY_SECONDS = 60  # a program that lived for so long starts again without delay
LONGEST_DELAY = 30
LOG_TAIL = 20  # lines


class SupervisorError(Exception):
    """The programs can't run; the text says why, for the person at the terminal."""


@dataclass(frozen=True)
class Program:
    """A command and how to tell that it does its work. `before_start` runs while no process of it lives."""

    name: str
    command: Sequence[str]
    is_ready: Callable[[], bool]
    before_start: Callable[[], None] = lambda: None


@dataclass
class Child:
    """A program's present process, or the wait for its next one."""

    program: Program
    log: Path
    process: subprocess.Popen | None = None
    started_at: float = 0.0
    failures: int = 0
    start_again_at: float = field(default=0.0)


class Supervisor:
    """Use it with `with`: at the end, however it comes, no process is left.

    `say` gets each sentence for the person at the terminal; the programs' own output goes to `log_folder`.
    """

    def __init__(
        self, *, folder: Path, log_folder: Path, say: Callable[[str], None], environment: Mapping[str, str]
    ) -> None:
        self.folder = folder
        self.log_folder = log_folder
        self.say = say
        self.environment = environment
        self.stop_requested = threading.Event()
        self.children: list[Child] = []

    def __enter__(self) -> Self:
        """Take both locks, ending what a killed supervisor left. Raises SupervisorError beside a living one."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log_folder.mkdir(parents=True, exist_ok=True)
        self._own_lock = (self.folder / "supervisor.lock").open("a")
        if not _lock(self._own_lock):
            self._own_lock.close()
            raise SupervisorError(f"It runs already: another process holds {self.folder}. Stop that one first.")
        self._children_lock = (self.folder / "children.lock").open("a+")
        if not _lock(self._children_lock):
            self._end_leftovers()
        self._children_lock.truncate(0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop every program and release the locks."""
        self.stop()
        self._children_lock.close()
        self._own_lock.close()

    def start(self, programs: Sequence[Program]) -> None:
        """Start the programs and wait until all are ready, or a stop is requested.

        Raises SupervisorError, with the end of its log, when one ends or is not ready in time.
        """
        for program in programs:
            log = self.log_folder / f"{program.name}.log"
            if log.exists():
                log.replace(log.with_suffix(".log.1"))
            child = Child(program, log)
            self.children.append(child)
            self._start(child)
        waiting = list(self.children)
        deadline = time.monotonic() + START_SECONDS
        while waiting and not self.stop_requested.wait(0.2):
            for child in waiting:
                if child.process is not None and child.process.poll() is not None:
                    raise SupervisorError(
                        self._with_log(child, f"The {child.program.name} process {_ending(child.process)}")
                    )
            waiting = [child for child in waiting if not child.program.is_ready()]
            if waiting and time.monotonic() > deadline:
                late = waiting[0]
                raise SupervisorError(
                    self._with_log(late, f"The {late.program.name} process was not ready within {START_SECONDS} s")
                )

    def watch(self) -> None:
        """Start again whatever dies, until a stop is requested."""
        while not self.stop_requested.wait(0.5):
            for child in self.children:
                if child.process is not None and child.process.poll() is not None:
                    self._note_death(child, child.process)
                elif child.process is None and time.monotonic() >= child.start_again_at:
                    self._start(child)

    def stop(self) -> None:
        """Stop the programs: all of them politely, and after STOP_SECONDS by force."""
        running = [child.process for child in self.children if child.process]
        # At once: the worker begins nothing more while the web server still waits for its visitors.
        for process in running:
            process.terminate()
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            self._end_group(process)
        self.children = []
        self._note_children()

    def _start(self, child: Child) -> None:
        child.program.before_start()
        with child.log.open("ab") as log:
            child.process = subprocess.Popen(
                child.program.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                process_group=0,
                pass_fds=[self._children_lock.fileno()],
            )
        child.started_at = time.monotonic()
        self._note_children()

    def _note_death(self, child: Child, process: subprocess.Popen) -> None:
        self._end_group(process)
        lived = time.monotonic() - child.started_at
        child.failures = 0 if lived > STEADY_SECONDS else child.failures + 1
        delay = min(LONGEST_DELAY, 2**child.failures - 1)
        child.process = None
        self._note_children()
        child.start_again_at = time.monotonic() + delay
        self.say(
            f"The {child.program.name} process {_ending(process)}; it starts again in {delay} s. Its log: {child.log}"
        )

    def _note_children(self) -> None:
        """List the living groups only: the number of a dead one may be somebody else's tomorrow."""
        self._children_lock.truncate(0)
        self._children_lock.writelines(f"{child.process.pid}\n" for child in self.children if child.process)
        self._children_lock.flush()

    def _end_group(self, process: subprocess.Popen) -> None:
        """End what is left of a program's process group, and reap the program itself."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def _end_leftovers(self) -> None:
        """End the processes of a supervisor that was killed. Raises SupervisorError when they hold on."""
        self._children_lock.seek(0)
        for line in self._children_lock:
            with suppress(ValueError, ProcessLookupError, PermissionError):
                os.killpg(int(line), signal.SIGKILL)
        deadline = time.monotonic() + STOP_SECONDS
        while not _lock(self._children_lock):
            if time.monotonic() > deadline:
                raise SupervisorError(f"Processes of an earlier run still live; {self._children_lock.name} lists them.")
            time.sleep(0.1)

    def _with_log(self, child: Child, sentence: str) -> str:
        lines = child.log.read_text(errors="replace").splitlines()[-LOG_TAIL:]
        return "\n".join([f"{sentence}. The end of {child.log}:", *(f"    {line}" for line in lines)])


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _ending(process: subprocess.Popen) -> str:
    if process.returncode < 0:
        return f"was killed by {signal.Signals(-process.returncode).name}"
    return f"ended with exit status {process.returncode}"
