"""From a clone to the first answer, as the README says: git clone, make run, sign up, upload, read.

The package index's files are in pip's cache: the first clone, which fills it, is not counted.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.measure import say
from bench.person import Person
from bench.pictures import jpegs
from bench.report import PROJECT, Report
from bench.site import base_python, stop, work_folder
from diagnosis.tests.servers import free_port

READY_SECONDS = 1800
WHAT = {
    "clone": "git clone",
    "installed": "make run: the environment and its packages",
    "ready": "make run: database, static files, model, until it says that it is ready",
    "answered": "signing up, uploading, the answer on the page",
    "all": "all of it",
}


class Moments(NamedTuple):
    """Seconds from the beginning until each step was done."""

    clone: float
    installed: float
    ready: float
    answered: float


def measure(report: Report) -> None:
    """Begin anew in an empty folder each time."""
    report.note(
        "pip's cache is warm: the first clone, which fills it, is not counted. The clone is of this repository."
    )
    report.note("The first picture is a drawn one, which the model may refuse: that is an answer too.")
    found: dict[str, list[float]] = {name: [] for name in WHAT}
    rounds = report.options.rounds(3, quick=1)
    for turn in range(rounds + (not report.options.quick)):
        with work_folder() as folder:
            moments = from_clone_to_answer(folder)
        say(f"  {moments.answered:.0f} s")
        if report.options.quick or turn:
            steps = zip(("clone", "installed", "ready", "answered"), (0.0, *moments), moments, strict=False)
            for name, before, after in steps:
                found[name].append(after - before)
            found["all"].append(moments.answered)
    for name, values in found.items():
        report.add(name, WHAT[name], "s", values)


def from_clone_to_answer(folder: Path) -> Moments:
    """Do what the README says in `folder`."""
    picture = next(jpegs(0))
    clone = folder / "clone"
    began = time.monotonic()

    def elapsed() -> float:
        return time.monotonic() - began

    # As from another host: a plain path would share the files.
    subprocess.run(["git", "clone", "--quiet", f"file://{PROJECT}", str(clone)], check=True)
    cloned = elapsed()
    with made_to_run(clone, folder / "make.log") as (url, installed_at):
        ready = elapsed()
        with Person(url, "visitor") as visitor:
            visitor.upload_and_wait(picture)
        return Moments(cloned, installed_at - began, ready, elapsed())


@contextmanager
def made_to_run(clone: Path, log: Path) -> Iterator[tuple[str, float]]:
    """Run `make run`; when the site is ready, give its address, and when the packages were installed (monotonic)."""
    # `make bench` leaves these to its children.
    of_this_make = {"VIRTUAL_ENV", "MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in of_this_make}
    command = ["make", "run", f"PORT={free_port()}", f"PYTHON={base_python()}"]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=clone, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    began = time.monotonic()
    installed = 0.0
    try:
        while not (address := re.search(r"The site is ready:\s+(\S+)", log.read_text())):
            if not installed and list((clone / ".venv").glob("installed*")):
                installed = time.monotonic()
            if process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                raise RuntimeError(f"make run did not come up: {log.read_text()[-600:]}")
            time.sleep(0.05)
        yield address[1], installed or time.monotonic()
        process.send_signal(signal.SIGINT)
    finally:
        stop(process)
