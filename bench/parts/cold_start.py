"""From the start of a process to its first answer, and the memory it holds then.

A worker is what production starts, `run_worker`; its first answer is that on a prediction that waits in the queue.
It and the web server run with what production installs, requirements-serve.txt, and no more: Celery loads in each
child what it finds. Beside it: a process that imports TensorFlow, loads the whole network's .h5 and predicts.
"""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.checkpoints import LENIENT_NOTE, lenient_copy
from bench.engines.interleaving import convert
from bench.measure import interleaved, memory
from bench.person import Person
from bench.pictures import jpegs
from bench.report import PROJECT, Report
from bench.site import Site, base_python, full_site, work_folder

WHAT = {
    "tensorflow": "TensorFlow and the whole .h5: start → first answer",
    "worker": "a worker (Celery, Django, the model): start → first answer",
    "classifier": "a process with ml.classifier alone: start → first answer",
    "web": "the web server: start → first page",
}
POLL_SECONDS = 0.01
PATIENCE_SECONDS = 300


def measure(report: Report) -> None:
    """Start each in turns; the first round only warms the file cache."""
    report.note("The files are in the system's cache: one round before the first was not counted.")
    report.note("PSS: pages that processes share are counted once. Worker and web are all of their processes together.")
    report.note(LENIENT_NOTE)
    report.note("Worker and web run with what requirements-serve.txt installs, and no more, as in their images.")
    report.note("The site's own modules are compiled before, as there.")
    subprocess.run(
        [sys.executable, "-m", "compileall", "-q", "manage.py", "pneumonia_site", "diagnosis", "ml"],
        cwd=PROJECT,
        check=True,
    )
    with work_folder() as folder:
        checkpoint = lenient_copy(folder / "checkpoint").folder
        convert(report, checkpoint=checkpoint, folder=folder, files=["whole.h5"])
        with full_site(folder, checkpoint=checkpoint, python=serving_python(folder / "environment")) as site:
            weights: dict[str, list[dict[str, float]]] = {name: [] for name in WHAT}
            subjects: dict[str, Callable[[], float]] = {
                "tensorflow": lambda: program(
                    ["bench/engines/tensorflow_program.py", f"{folder}/whole.h5", f"{folder}/inputs.npy"],
                    weights["tensorflow"],
                ),
                "worker": lambda: worker(site, next(pictures), weights["worker"]),
                "classifier": lambda: program(
                    ["-m", "bench.engines.classifier_program", str(checkpoint)], weights["classifier"]
                ),
                "web": lambda: web(site, next(pictures), weights["web"]),
            }
            pictures = jpegs(0)
            found = interleaved(subjects, rounds=1 + report.options.rounds(7, quick=1), failed=report.fail)
    for name, values in found.items():
        report.add(name, WHAT[name], "ms", values[1:])
        for kind in ("pss", "rss"):
            who = WHAT[name].partition(":")[0]
            report.add(f"{name}.{kind}", f"{who}: {kind.upper()}", "MiB", [one[kind] for one in weights[name][1:]])


def serving_python(environment: Path) -> str:
    """Make an environment that holds requirements-serve.txt alone; give its interpreter."""
    subprocess.run([base_python(), "-m", "venv", environment], check=True)
    python = str(environment / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "-r", PROJECT / "requirements-serve.txt"], check=True)
    return python


def program(arguments: list[str], weights: list[dict[str, float]]) -> float:
    """Run a Python program until it has answered; note its memory."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=PROJECT,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        if not any(line.startswith("bench answered") for line in process.stdout):
            raise RuntimeError("It ended without an answer.")
        took = (time.perf_counter() - began) * 1000
        weights.append(memory(process.pid))
    finally:
        process.communicate()
    return took


def worker(site: Site, picture: bytes, weights: list[dict[str, float]]) -> float:
    """Start a worker while a prediction waits, until that is answered; note the worker's memory."""
    from diagnosis import services
    from diagnosis.models import Prediction
    from diagnosis.states import State
    from diagnosis.tests.factories import person

    scan = services.submit_scan(owner=person("alice"), upload=io.BytesIO(picture), original_name="chest.jpg").scan
    began = time.perf_counter()
    with site.worker("cold", wait=False) as pid:
        while not Prediction.objects.filter(scan=scan, state=State.SUCCEEDED).exists():
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError(f"No answer after {PATIENCE_SECONDS} s: {Path(site.folder, 'cold.log').read_text()}")
            time.sleep(POLL_SECONDS)
        took = (time.perf_counter() - began) * 1000
        weights.append(memory(pid))
    return took


def web(site: Site, picture: bytes, weights: list[dict[str, float]]) -> float:
    """Start the web server until it gives its first page; note its memory after an upload."""
    from pneumonia_site.celery import app

    began = time.perf_counter()
    with site.web() as (url, pid):
        took = (time.perf_counter() - began) * 1000
        with Person(url, f"visitor{len(weights)}") as visitor:
            visitor.upload(picture)
        # No worker has to answer it first when it is timed.
        app.control.purge()
        weights.append(memory(pid))
    return took
