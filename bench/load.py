"""Many people at once: `python -m bench.load [--people N] [--seconds S] [--flood S] [--soak]`.

Each uploads, waits for the answer as the page does, and uploads the next. Then, for a while, the worker stands still
and nobody waits any more, until the site says 429. At the end everything that was accepted has to be answered. --soak:
half an hour, without that.

Writes load.json, which keeps the last load and the last soak, and LOAD.md. Exits with 1 when something broke.
"""

import argparse
import contextlib
import itertools
import json
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil

from bench.checkpoints import LENIENT_NOTE, lenient_copy
from bench.machine import machine
from bench.measure import memory, say
from bench.person import Person
from bench.pictures import jpegs
from bench.report import PROJECT, reason
from bench.site import Site, full_site, work_folder

SOAK_SECONDS = 1800
# Drawn before the clock starts: drawing costs more than reading.
PICTURES = 60
# Beside those who wait for their answer so many more may wait: a flood reaches it within seconds, they never do.
WAITING_BESIDE_THEM = 5
SAMPLE_SECONDS = 2.0
DRAIN_SECONDS = 900
# Until every process has done each thing once.
WARM_UP = 0.2


@dataclass
class Watched:
    """What the people saw."""

    uploads: list[float] = field(default_factory=list)  # ms until the page of the scan is there
    answers: list[float] = field(default_factory=list)  # ms until it shows the answer
    states: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    throttled: int = 0
    without_retry_after: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def upload(self, person: Person, picture: bytes) -> str:
        """Let a person upload; give the page that this leads to, "" where there is none."""
        began = time.perf_counter()
        try:
            shown = person.upload(picture)
        except (httpx.HTTPError, RuntimeError) as error:
            with self.lock:
                if isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 429:
                    self.throttled += 1
                    self.without_retry_after += "Retry-After" not in error.response.headers
                else:
                    self.errors[reason(error)[:100]] += 1
            # As a person would who is asked to wait; not as long, so that it is asked again and again.
            time.sleep(1)
            return ""
        with self.lock:
            self.accepted += 1
            self.uploads.append((time.perf_counter() - began) * 1000)
        return shown

    def upload_and_wait(self, person: Person, picture: bytes) -> None:
        """Let a person upload and wait for the answer."""
        began = time.perf_counter()
        shown = self.upload(person, picture)
        if not shown:
            return
        try:
            state = person.until_answered(shown)
        except (httpx.HTTPError, RuntimeError, TimeoutError) as error:
            with self.lock:
                self.errors[reason(error)[:100]] += 1
            return
        with self.lock:
            self.answers.append((time.perf_counter() - began) * 1000)
            self.states[state] += 1

    def as_json(self) -> dict[str, Any]:
        """Give the figures."""
        return {
            "accepted": self.accepted,
            "answered_while_watched": dict(self.states),
            "throttled_429": self.throttled,
            "of_them_without_retry_after": self.without_retry_after,
            "errors": dict(self.errors),
            "upload_ms": percentiles(self.uploads),
            "answer_ms": percentiles(self.answers),
        }


def percentiles(values: list[float]) -> dict[str, float]:
    """Give p50, p95, p99 and the largest of `values`; nothing of nothing."""
    if not values:
        return {}
    found = np.percentile(values, (50, 95, 99))
    return dict(
        zip(("p50", "p95", "p99", "max"), [*(round(float(one)) for one in found), round(max(values))], strict=True)
    )


def slope(samples: list[tuple[float, float]]) -> float:
    """Give by how much (MiB an hour) memory grows over samples of (seconds, MiB), the warm-up left out."""
    steady = np.array(samples[int(WARM_UP * len(samples)) :])
    return float(np.polyfit(steady[:, 0], steady[:, 1], 1)[0]) * 3600 if len(steady) > 1 else 0.0


class Memory:
    """The memory of some processes with their children, sampled beside what is done: PSS in MiB."""

    def __init__(self, pids: dict[str, int]) -> None:
        self.samples: dict[str, list[tuple[float, float]]] = {name: [] for name in pids}
        self._pids = pids
        self._end = threading.Event()

    @contextlib.contextmanager
    def sampled(self) -> Iterator[None]:
        """Sample in the block."""
        thread = threading.Thread(target=self._sample)
        thread.start()
        try:
            yield
        finally:
            self._end.set()
            thread.join()

    def _sample(self) -> None:
        began = time.monotonic()
        while not self._end.wait(SAMPLE_SECONDS):
            for name, pid in self._pids.items():
                self.samples[name].append((time.monotonic() - began, memory(pid)["pss"]))

    def as_json(self) -> dict[str, Any]:
        """Give the figures: after the warm-up, at the end, the largest, and the slope."""
        return {
            name: {
                "steady_mib": round(samples[int(WARM_UP * len(samples))][1]),
                "end_mib": round(samples[-1][1]),
                "max_mib": round(max(value for _, value in samples)),
                "slope_mib_an_hour": round(slope(samples), 1),
            }
            for name, samples in self.samples.items()
            if samples
        }


def each_another(pictures: list[bytes]) -> Iterator[bytes]:
    """Give the JPEG files again and again, each time with another comment in it: no file is given twice."""
    for number, picture in zip(itertools.count(), itertools.cycle(pictures), strict=False):
        comment = f"number {number}".encode()
        yield picture[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + picture[2:]


def sessions(number: int) -> list[str]:
    """Make so many people and give the keys of their sessions: signing up is throttled, as it should be."""
    from django.contrib.auth import get_user_model
    from django.test import Client

    keys = []
    for place in range(number):
        client = Client()
        client.force_login(get_user_model().objects.create_user(f"person{place}"))
        keys.append(client.cookies["sessionid"].value)
    return keys


@contextlib.contextmanager
def standing_still(pid: int) -> Iterator[None]:
    """Stop a worker meanwhile. One that works answers faster than two web processes take pictures in."""
    first = psutil.Process(pid)
    processes = [first, *first.children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def waiting() -> int:
    """Count the predictions that have no end yet."""
    from diagnosis.models import Prediction

    return Prediction.objects.open().count()


def measured(site: Site, *, people: int, seconds: float, flood: float) -> dict[str, Any]:
    """Let so many people use the site, and give what was seen."""
    say(f"  drawing {PICTURES} pictures")
    given = each_another(list(itertools.islice(jpegs(0), PICTURES)))
    lock = threading.Lock()

    def picture() -> bytes:
        with lock:
            return next(given)

    with contextlib.ExitStack() as stack:
        url, web = stack.enter_context(site.web())
        worker = stack.enter_context(site.worker())
        crowd = [stack.enter_context(Person(url, "", session=key)) for key in sessions(people)]
        held = Memory({"web": web, "worker": worker})
        stack.enter_context(held.sampled())
        pool = stack.enter_context(ThreadPoolExecutor(people))
        say(f"  {people} people, each waiting for each answer, for {seconds:.0f} s")
        steady, began = Watched(), time.monotonic()

        def use(person: Person) -> None:
            while time.monotonic() - began < seconds:
                steady.upload_and_wait(person, picture())

        list(pool.map(use, crowd))
        found = {"people": people, "seconds": seconds, "steady": steady.as_json()}
        found["answers_a_second"] = round(len(steady.answers) / (time.monotonic() - began), 1)
        if flood:
            say(f"  the worker stands still and nobody waits, for {flood:.0f} s")
            rush, began_rush = Watched(), time.monotonic()

            def push(person: Person) -> None:
                while time.monotonic() - began_rush < flood:
                    rush.upload(person, picture())

            with standing_still(worker):
                list(pool.map(push, crowd))
            found |= {"flood_seconds": flood, "flood": rush.as_json()}
        found |= drained(steady.accepted + (rush.accepted if flood else 0))
        home = httpx.get(url, timeout=10).status_code
        found |= {"home_page_afterwards": home, "memory": held.as_json()}
    return found


def drained(accepted: int) -> dict[str, Any]:
    """Wait until nothing is open any more; tell how long it took and whether all that was accepted has one answer."""
    from django.db.models import Count

    from diagnosis.models import Prediction, Scan
    from diagnosis.states import State

    queue, began = waiting(), time.monotonic()
    while waiting() and time.monotonic() - began < DRAIN_SECONDS:
        time.sleep(0.2)
    took = time.monotonic() - began
    once = Scan.objects.annotate(n=Count("predictions")).filter(n=1, latest_prediction__state=State.SUCCEEDED).count()
    failed = dict(Counter(Prediction.objects.filter(state=State.FAILED).values_list("reason", flat=True)))
    return {
        "waiting_at_the_end": queue,
        "drained_in_seconds": round(took, 1),
        "still_open": waiting(),
        "scans": Scan.objects.count(),
        "accepted": accepted,
        "answered_once": once,
        "failed": failed,
    }


def broken(found: dict[str, Any]) -> list[str]:
    """Say what should not have been."""
    faults = [f"{name}: {found[name]['errors']}" for name in ("steady", "flood") if found.get(name, {}).get("errors")]
    if found["still_open"]:
        faults.append(f"{found['still_open']} were never answered")
    if not found["accepted"] == found["scans"] == found["answered_once"]:
        faults.append(f"accepted {found['accepted']}, kept {found['scans']}, answered once {found['answered_once']}")
    if "flood" in found and not found["flood"]["throttled_429"]:
        faults.append("the flood was never answered with 429")
    if any(found.get(name, {}).get("of_them_without_retry_after") for name in ("steady", "flood")):
        faults.append("429 without Retry-After")
    if found["home_page_afterwards"] != httpx.codes.OK:
        faults.append(f"the home page gave {found['home_page_afterwards']} afterwards")
    return faults


def table(results: dict[str, Any]) -> str:
    """Render the last load and the last soak as Markdown."""
    lines = ["# Under load", "", "`make load` wrote this file from load.json."]
    for name, found in results.items():
        where = found["machine"]
        lines += [
            "",
            f"## {name.capitalize()}",
            "",
            (
                f"{where['date']}, commit {where['commit']}, {where['cpu']}, {where['cores']} cores, "
                f"{where['memory_gib']} GiB; two web processes, one worker, PostgreSQL, Redis and the people on it."
            ),
            "",
            "| | |",
            "| --- | --- |",
            *(f"| {what} | {value} |" for what, value in rows(found)),
        ]
    return "\n".join(lines) + "\n"


def rows(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what and how much, for people."""
    steady = found["steady"]

    def of(values: dict[str, float]) -> str:
        return " / ".join(f"{values[name] / 1000:.2f}" for name in ("p50", "p95", "p99")) + " s" if values else "–"

    yield "people, each waiting for each answer", f"{found['people']} for {found['seconds']:.0f} s"
    yield "uploads accepted, answers a second", f"{steady['accepted']}, {found['answers_a_second']}"
    yield "errors; 429", f"{sum(steady['errors'].values())}; {steady['throttled_429']}"
    yield "upload → page, p50 / p95 / p99", of(steady["upload_ms"])
    yield "upload → answer on the page, p50 / p95 / p99", of(steady["answer_ms"])
    if "flood" in found:
        flood = found["flood"]
        yield (
            f"the worker stands still and nobody waits, {found['flood_seconds']:.0f} s",
            (
                f"{flood['accepted']} accepted, {flood['throttled_429']} × 429 with Retry-After, "
                f"{sum(flood['errors'].values())} errors"
            ),
        )
    yield "the queue at the end", f"{found['waiting_at_the_end']}, empty after {found['drained_in_seconds']} s"
    yield "accepted, answered exactly once", f"{found['accepted']}, {found['answered_once']}"
    for name, held in found["memory"].items():
        yield (
            f"memory of {name}",
            (
                f"{held['steady_mib']} MiB after the warm-up, {held['end_mib']} at the end, {held['max_mib']} at most; "
                f"slope {held['slope_mib_an_hour']:+} MiB an hour"
            ),
        )


def main() -> None:
    """Read the command line, measure, write."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.load", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=300.0, help="with people who wait (%(default)s)")
    parser.add_argument("--flood", type=float, default=60.0, help="seconds with people who do not (%(default)s)")
    parser.add_argument("--soak", action="store_true", help=f"{SOAK_SECONDS} s, and no flood")
    parser.add_argument("--out", type=Path, metavar="DIR", default=PROJECT / "bench", help="bench/ by default")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    seconds, flood = (SOAK_SECONDS, 0.0) if given.soak else (given.seconds, given.flood)
    where = machine()
    with work_folder() as folder:
        checkpoint = lenient_copy(folder / "checkpoint").folder
        with full_site(folder, checkpoint=checkpoint) as site:
            limit = given.people + WAITING_BESIDE_THEM
            site.environment["UPLOADS_WAITING"] = str(limit)
            found = measured(site, people=given.people, seconds=seconds, flood=flood)
    faults = broken(found)
    path = given.out / "load.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["soak" if given.soak else "load"] = {
        "machine": where,
        "uploads_waiting_limit": limit,
        "note": LENIENT_NOTE,
        **found,
        "broken": faults,
    }
    path.write_text(json.dumps(results, indent=1) + "\n")
    (given.out / "LOAD.md").write_text(table(results))
    say(table(results))
    for fault in faults:
        say(f"BROKEN: {fault}")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
