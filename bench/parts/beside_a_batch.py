"""From an upload to its answer while reprocess_scans keeps the only worker busy, beside the same without a batch."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from bench.checkpoints import LENIENT_NOTE, lenient_copy
from bench.measure import say
from bench.parts.reprocessing import DISTINCT, seed
from bench.parts.uploads import EAGER
from bench.person import Person
from bench.pictures import USUAL_SIZE, jpegs
from bench.report import Report
from bench.site import full_site, work_folder

OWNER = "archive"
PATIENCE_SECONDS = 1200

# So many of the batch are in the queue at a time.
AHEAD = 256


def measure(report: Report) -> None:
    """In turns: a person alone, a person beside the batch; after each turn the queue runs empty."""
    report.note(f"One worker; drawn JPEGs of {USUAL_SIZE[0]} × {USUAL_SIZE[1]} px; {AHEAD} of the batch in the queue.")
    report.note(LENIENT_NOTE)
    rounds, each = report.options.rounds(4), report.options.rounds(5, quick=1)
    alone: list[float] = []
    beside: list[float] = []
    with ExitStack() as stack:
        folder = stack.enter_context(work_folder())
        site = stack.enter_context(full_site(folder, checkpoint=lenient_copy(folder / "checkpoint").folder))
        # Where nobody passes the batch, each upload waits for all that is in the queue.
        seed((each + 2) * rounds * AHEAD, [OWNER], distinct=DISTINCT)
        url, _ = stack.enter_context(site.web())
        stack.enter_context(site.worker())
        person = stack.enter_context(Person(url, "visitor"))
        pictures = jpegs(10_000)
        person.upload_and_wait(next(pictures), every=EAGER)
        for turn in range(rounds):
            alone += [person.upload_and_wait(next(pictures), every=EAGER).milliseconds for _ in range(each)]
            with site.command("reprocess_scans", "--user", OWNER, "--ahead", str(AHEAD)) as batch:
                wait_until_open(lambda count: count > 1)
                took = [person.upload_and_wait(next(pictures), every=EAGER).milliseconds for _ in range(each)]
                if batch.poll() is not None:
                    raise RuntimeError("The batch ended before the uploads did; it needs more scans.")
            beside += took
            wait_until_open(lambda count: count == 0)
            say(f"  round {turn + 1} of {rounds}")
    report.add("alone", "one person, no batch: upload → the answer is there", "ms", alone)
    report.add("beside", "one person beside a batch: upload → the answer is there", "ms", beside)


def wait_until_open(enough: Callable[[int], bool]) -> None:
    """Wait until the number of predictions that wait or are being read is what `enough` wants."""
    from diagnosis.models import Prediction

    began = time.monotonic()
    while not enough(Prediction.objects.open().count()):
        if time.monotonic() - began > PATIENCE_SECONDS:
            raise TimeoutError("The batch neither begins nor ends.")
        time.sleep(0.2)
