"""How many pictures a day so many workers answer, from the rates of one: writes the table in docs/scaling.md.

    python -m bench.capacity                      # from bench/results.json, which make bench wrote
    python -m bench.capacity --milliseconds 100   # from a rate of your own: of one worker, end to end, for both

A worker is one worker process with the cores of the machine that was measured. Workers share nothing but the database,
the broker and the storage, so that rates add up until one of these is full; the other columns say how near that is.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

PROJECT = Path(__file__).resolve().parent.parent
RESULTS = PROJECT / "bench" / "results.json"
PAGE = PROJECT / "docs" / "scaling.md"
MARKED = re.compile(r"(<!-- python -m bench\.capacity writes this -->\n).*(<!-- up to here -->)", re.DOTALL)

WORKERS = (1, 4, 64)

# A batch keeps workers busy but for the ends of its turns; people must find one free most of the time, and come by day.
BATCH_SHARE, PEOPLE_SHARE, PEOPLE_HOURS = 0.95, 0.7, 10

# What one answered upload costs; docs/scaling.md tells how each was measured.
INTAKE_SECONDS = 0.058  # of a processor
STATEMENTS = 33
REDIS_COMMANDS = 10
IDLE_REDIS_COMMANDS = 1.5  # a second, for each worker
DATABASE_BYTES = 1580
SCAN_BYTES = 808 * 1024

DAY = 24 * 3600

COLUMNS = (
    "workers",
    "a batch, pictures a day",
    "people, pictures a day",
    "people, pictures a second at most",
    "cores for their intake",
    "SQL statements a second",
    "Redis commands a second",
    "database grows a day",
    "pictures grow a day",
)


class NotMeasured(Exception):
    """There is no rate to compute from; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when there is no rate."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.capacity", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--milliseconds", type=float, metavar="MS", help="that one worker takes for a picture")
    parser.add_argument("--results", type=Path, metavar="FILE", default=RESULTS, help="bench/results.json by default")
    parser.add_argument("--page", type=Path, metavar="FILE", default=PAGE, help="docs/scaling.md by default")
    given = parser.parse_args(argv)
    try:
        if given.milliseconds is not None:
            rates, source = Rates(given.milliseconds, given.milliseconds), "given by hand, not a measurement"
        else:
            rates, source = measured(json.loads(given.results.read_text()))
        text = table(rates, source=source)
        page = given.page.read_text()
    except (NotMeasured, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    given.page.write_text(with_table(page, text))
    return 0


class Rates(NamedTuple):
    """The milliseconds that one worker takes for a picture of a batch, and for one that a person gave."""

    batch: float
    people: float


def measured(results: dict[str, Any]) -> tuple[Rates, str]:
    """Give the rates of one worker that takes its work from the queue, and where they were measured.

    Raises NotMeasured for results of a quick run, or without these figures.
    """
    if results.get("quick"):
        raise NotMeasured("The results are those of a quick run: run make bench without --quick.")
    try:
        figures, machine = results["parts"]["reprocessing"]["figures"], results["machine"]
        rates = Rates(*(1000 / figures[name]["median"] for name in ("one_worker", "singly")))
        return rates, f"{machine['cores']} cores of {machine['cpu']}, {machine['date']}"
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise NotMeasured(
            "The results have no rates of one worker: run make bench with the part reprocessing."
        ) from error


def table(rates: Rates, *, source: str) -> str:
    """Render the table, in Markdown, for workers of these rates. ValueError: one of them is not above 0."""
    for milliseconds in rates:
        if not milliseconds > 0:
            raise ValueError(f"{milliseconds} ms a picture is no rate.")
    lines = [
        f"At {rates.batch:.3g} ms for a picture of a batch and {rates.people:.3g} ms for a person's ({source}):",
        "",
        f"| {' | '.join(COLUMNS)} |",
        "| ---: " * len(COLUMNS) + "|",
    ]
    lines += [row(workers, rates) for workers in WORKERS]
    return "\n".join(lines) + "\n"


def row(workers: int, rates: Rates) -> str:
    """Render what `workers` of these rates do together; what they ask of the rest is counted for people."""
    batch_a_second, a_second = (workers * 1000 / milliseconds for milliseconds in rates)
    people = PEOPLE_SHARE * a_second * PEOPLE_HOURS * 3600
    cells = (
        str(workers),
        rounded(BATCH_SHARE * batch_a_second * DAY),
        rounded(people),
        f"{a_second:.3g}" if a_second < 100 else rounded(a_second),
        f"{a_second * INTAKE_SECONDS:.2g}" if a_second * INTAKE_SECONDS < 100 else rounded(a_second * INTAKE_SECONDS),
        rounded(a_second * STATEMENTS),
        rounded(a_second * REDIS_COMMANDS + workers * IDLE_REDIS_COMMANDS),
        size(people * DATABASE_BYTES),
        size(people * SCAN_BYTES),
    )
    return f"| {' | '.join(cells)} |"


def rounded(number: float) -> str:
    """Give a count with two digits that count, and commas."""
    digits = len(str(int(number)))
    return f"{round(number, min(0, 2 - digits)):,.0f}"


def size(count: float) -> str:
    """Give bytes in the unit that a person would say."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1000:
            return f"{count:.2g} {unit}" if count < 100 else f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.2g} TB" if count < 100 else f"{rounded(count)} TB"


def with_table(page: str, text: str) -> str:
    """Put the table between the marks of the page. Raises ValueError where they are missing."""
    if not MARKED.search(page):
        raise ValueError("The page has no marks that tell where the table goes.")
    return MARKED.sub(lambda found: f"{found[1]}{text}{found[2]}", page)


if __name__ == "__main__":
    sys.exit(main())
