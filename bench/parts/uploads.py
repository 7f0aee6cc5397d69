"""From an upload to its answer, through the real web server, PostgreSQL, Redis and one worker."""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from bench.checkpoints import LENIENT_NOTE, lenient_copy
from bench.engines.interleaving import convert, running
from bench.measure import say
from bench.person import Answered, Person
from bench.pictures import USUAL_SIZE, jpegs
from bench.report import Report
from bench.site import full_site, work_folder

USERS = 8

# How often the answer is asked for, in seconds, to learn when it was there. Asking more often would slow it down.
EAGER = 0.02
EAGER_OF_EIGHT = 0.1


def measure(report: Report) -> None:
    """In turns: one person who asks eagerly, one who waits as the page does, the bare engine, eight people at once."""
    report.note(f"Drawn JPEGs of {USUAL_SIZE[0]} × {USUAL_SIZE[1]} px, each another one; 2 web processes, one worker.")
    report.note("The people are on the same machine: with eight at once, part of the processor is theirs.")
    report.note("An answer that comes within 0.15 s of the request is shown with the page itself, so that nobody asks.")
    report.note(LENIENT_NOTE)
    rounds, each = report.options.rounds(6), report.options.rounds(5, quick=2)
    with ExitStack() as stack:
        folder = stack.enter_context(work_folder())
        checkpoint = lenient_copy(folder / "checkpoint").folder
        convert(report, checkpoint=checkpoint, folder=folder)
        site = stack.enter_context(full_site(folder, checkpoint=checkpoint))
        url, _ = stack.enter_context(site.web())
        stack.enter_context(site.worker())
        people = [stack.enter_context(Person(url, f"person{number}")) for number in range(USERS)]
        engines = stack.enter_context(running(["served"], report, checkpoint=checkpoint, folder=folder))
        pictures = jpegs(0)
        for person in people:
            person.upload_and_wait(next(pictures), every=EAGER)  # every process and thread has worked once
        found: dict[str, list[float]] = {"one.eager": [], "one.as_shown": [], "eight.eager": [], "engine": []}
        rates: list[float] = []
        states: Counter[str] = Counter()
        for turn in range(rounds):
            for name, every in (("one.eager", EAGER), ("one.as_shown", None)):
                answers = [people[0].upload_and_wait(next(pictures), every=every) for _ in range(each)]
                found[name] += [answer.milliseconds for answer in answers]
                states.update(answer.state for answer in answers)
            if "served" in engines:
                found["engine"] += [engines["served"].milliseconds() for _ in range(each)]
            answers, rate = all_at_once(people, [list(itertools.islice(pictures, each)) for _ in people])
            found["eight.eager"] += [answer.milliseconds for answer in answers]
            rates.append(rate)
            states.update(answer.state for answer in answers)
            say(f"  round {turn + 1} of {rounds}")
    report.add(
        "one.eager", f"one person: upload → the answer is there, asked every {EAGER} s", "ms", found["one.eager"]
    )
    report.add(
        "one.as_shown",
        "one person: upload → the page shows it, which asks as often as it says",
        "ms",
        found["one.as_shown"],
    )
    report.add(
        "eight.eager",
        f"eight at once: upload → the answer is there, asked every {EAGER_OF_EIGHT} s",
        "ms",
        found["eight.eager"],
    )
    report.add("eight.rate", "eight at once: answers", "a second", rates)
    report.add("engine", "the site's engine alone", "ms", found["engine"])
    report.add("engine.rate", "the site's engine alone", "a second", [1000 / took for took in found["engine"]])
    report.note(f"How they ended: {', '.join(f'{count} {state}' for state, count in states.items())}.")


def all_at_once(people: list[Person], pictures: list[list[bytes]]) -> tuple[list[Answered], float]:
    """Let each person upload the next picture as soon as the last one is answered; give all, and answers a second."""
    together = threading.Barrier(len(people))

    def uploads(person: Person, own: list[bytes]) -> Iterator[Answered]:
        together.wait()
        for picture in own:
            yield person.upload_and_wait(picture, every=EAGER_OF_EIGHT)

    began = time.perf_counter()
    with ThreadPoolExecutor(len(people)) as pool:
        found = list(pool.map(lambda pair: list(uploads(*pair)), zip(people, pictures, strict=True)))
    answers = list(itertools.chain.from_iterable(found))
    return answers, len(answers) / (time.perf_counter() - began)
