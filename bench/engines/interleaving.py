"""Start engines side by side and time them in turns."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from bench.engines.process import EngineFailed, EngineProcess
from bench.report import PROJECT, Report

FILES = ("whole.h5", "network.onnx", "fp32.xml", "int8.xml")


def convert(report: Report, *, checkpoint: Path, folder: Path, files: Iterable[str] = ()) -> None:
    """Make inputs, and of FILES those that are wanted, in a process of its own; what fails is recorded."""
    command = [sys.executable, "-m", "bench.engines.conversions", str(checkpoint), str(folder), *files]
    with (folder / "conversions.log").open("w") as log:
        made = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    told = [line.removeprefix("bench ") for line in made.stdout.splitlines() if line.startswith("bench ")]
    if not told:
        raise RuntimeError(f"The conversions ended with: {(folder / 'conversions.log').read_text()[-400:]}")
    found = json.loads(told[-1])
    for note in found["notes"]:
        report.note(note)
    for name, why in found["failures"].items():
        report.fail(name, why)


@contextlib.contextmanager
def running(
    names: Iterable[str], report: Report, *, checkpoint: Path, folder: Path
) -> Iterator[dict[str, EngineProcess]]:
    """Run the engines that can; why another one can't is recorded."""
    with contextlib.ExitStack() as stack:
        found = {}
        for name in names:
            try:
                engine = EngineProcess(name, checkpoint=checkpoint, folder=folder, log=folder / f"{name}.log")
            except EngineFailed as error:
                report.fail(name, str(error))
            else:
                found[name] = stack.enter_context(engine)
        yield found
