"""reprocess_scans as a share of the bare engine: in one process, through the queue with one worker and with two.

Every way answers the same pictures, as scans of an owner of its own, in turns.
"""

import io
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, NamedTuple

from bench.checkpoints import LENIENT_NOTE, lenient_copy
from bench.engines.interleaving import convert, running
from bench.measure import memory, say
from bench.pictures import USUAL_SIZE, jpegs
from bench.report import Report
from bench.site import Site, full_site, work_folder
from diagnosis.tests.servers import wait_for

WAYS = {
    "inline": "reprocess_scans --inline",
    "one_worker": "reprocess_scans, one worker",
    "two_workers": "reprocess_scans, two workers",
}
ALONE = {
    "engine": "the engine alone, on inputs that are ready, a picture a call",
    "engine_stream": "the engine alone, on a stream of inputs that are ready",
}
SINGLY = {"singly": "one worker, a message for each scan, as for those of people"}
WARM_UP = 20
LONGEST_SECONDS = 600

# From so many scans on one turn is enough, and takes long.
MANY = 2000

# So many are enough where each takes a message of its own.
SOME = 200

# What happens to each scan, one after the other here; in a batch the network works beside the rest.
STAGES = {
    "ask": "asking for the answers",
    "claim": "claiming them",
    "read": "reading and decoding the stored inputs",
    "network": "the network, and what follows from its outputs",
    "record": "drawing and storing the heatmaps, recording the answers",
}

# Beyond that many, scans share their files in turn: what is looked at then is memory over a long run.
DISTINCT = 500


def measure(report: Report) -> None:
    """Answer all scans in each turn, each way; then their answers are forgotten.

    Loading the model is no part of it, and neither are the first answers of a worker: it compiles the graph for a
    batch with its first one.
    """
    scans = 8 if report.options.quick else report.options.scans
    turns = 1 if scans > MANY else report.options.rounds(5)
    report.note(f"{scans} scans each way and turn, {USUAL_SIZE[0]} × {USUAL_SIZE[1]} px as uploaded, drawn.")
    if scans > DISTINCT:
        report.note(f"They share {DISTINCT} pictures.")
    report.note(
        "The engine is compared as it answers people, a picture a call on all cores; and, which asks more of a batch, "
        "on a stream of inputs, of which it reads one on each core at once. A batch has it read so, on the same cores "
        "as the database and all the rest."
    )
    report.note(LENIENT_NOTE)
    with ExitStack() as stack:
        folder = stack.enter_context(work_folder())
        checkpoint = lenient_copy(folder / "checkpoint").folder
        convert(report, checkpoint=checkpoint, folder=folder)
        site = stack.enter_context(full_site(folder, checkpoint=checkpoint))
        seed(scans, WAYS)
        engines = stack.enter_context(
            running(["served", "served_stream"], report, checkpoint=checkpoint, folder=folder)
        )
        rates: dict[str, list[float]] = {name: [] for name in (*ALONE, *WAYS, "singly")}
        weights: dict[str, list[Weights]] = {name: [] for name in WAYS}
        spent: dict[str, list[float]] = {name: [] for name in STAGES}
        # Loads the model into this process, and has everything else work once.
        weights["inline"].append(answer(site, "inline", min(scans, WARM_UP))[1])
        forget("inline")
        alone = min(scans, MANY)
        for turn in range(turns):
            if "served" in engines:
                rates["engine"].append(1000 * alone / sum(engines["served"].milliseconds() for _ in range(alone)))
            if "served_stream" in engines:
                rates["engine_stream"].append(1000 * alone / engines["served_stream"].milliseconds(alone))
            for way in WAYS:
                seconds, weight = answer(site, way, scans)
                rates[way].append(scans / seconds)
                weights[way].append(weight)
                forget(way)
            rates["singly"].append(singly(site, "one_worker", min(scans, SOME)))
            forget("one_worker")
            for stage, seconds in stages("inline", min(scans, DISTINCT)).items():
                spent[stage].append(1000 * seconds / min(scans, DISTINCT))
            forget("inline")
            say(f"  turn {turn + 1} of {turns}")
    tell(report, rates, spent, weights)


def tell(
    report: Report,
    rates: dict[str, list[float]],
    spent: dict[str, list[float]],
    weights: dict[str, list["Weights"]],
) -> None:
    """Hand in what was measured in all turns."""
    for name, values in rates.items():
        report.add(name, f"{(ALONE | WAYS | SINGLY)[name]}: scans", "a second", values)
    for stage, values in spent.items():
        report.add(f"stage.{stage}", f"a scan in this process, nothing beside it: {STAGES[stage]}", "ms", values)
    # A worker is another process in each turn; the command's own process is the same from the first to the last.
    for moment, place in (("start", 0), ("end", -1)):
        what = f"{WAYS['inline']}: RSS of its process {'after the first scans' if place == 0 else 'at the end'}"
        report.add(f"inline.rss_{moment}", what, "MiB", [weights["inline"][place].end["rss"]])
    for way in ("one_worker", "two_workers"):
        what = f"{WAYS[way]}: PSS of all processes of a worker"
        if way == "one_worker":  # of two workers one may have taken both of the first messages
            start = [weight.start["pss"] for weight in weights[way]]
            report.add(f"{way}.pss_start", f"{what} after its first message", "MiB", start)
        report.add(f"{way}.pss", f"{what} at the end", "MiB", [weight.end["pss"] for weight in weights[way]])


class Weights(NamedTuple):
    """The memory of who answered, after the first scans and at the end; see bench.measure.memory."""

    start: dict[str, float]
    end: dict[str, float]


def answer(site: Site, way: str, scans: int) -> tuple[float, Weights]:
    """Let so many scans of the owner `way` be answered; give the seconds, and the memory of who answered."""
    from diagnosis import services

    with ExitStack() as stack:
        workers = {"inline": 0, "one_worker": 1, "two_workers": 2}[way]
        processes = [stack.enter_context(site.worker(f"worker{number}")) for number in range(workers)]
        if processes:
            # A message for each of them.
            reprocess(way, min(scans, workers * services.SCANS_OF_A_MESSAGE))
            forget(way)
        start = memory(processes[0]) if processes else own_memory()
        began = time.perf_counter()
        reprocess(way, scans)
        seconds = time.perf_counter() - began
        return seconds, Weights(start, memory(processes[0]) if processes else own_memory())


def singly(site: Site, owner: str, scans: int) -> float:
    """Let one worker answer so many scans of `owner` that wait with a message each; give how many a second it does."""
    from django.db.models import Max, Min

    from diagnosis import services
    from diagnosis.models import Prediction, Scan
    from diagnosis.states import State, Trigger

    version = services.active_model_version()
    assert version
    for scan in Scan.objects.filter(owner__username=owner)[:scans]:
        services.request_prediction(scan=scan, model_version=version, trigger=Trigger.UPLOAD)
    own = Prediction.objects.filter(scan__owner__username=owner)
    with site.worker("singly"):
        wait_for(lambda: not own.open().exists(), LONGEST_SECONDS, every=0.5)
    assert own.filter(state=State.SUCCEEDED).count() == scans, "failures are fast"
    times = own.aggregate(began=Min("claimed_at"), ended=Max("finished_at"))
    return scans / (times["ended"] - times["began"]).total_seconds()


def reprocess(way: str, scans: int) -> None:
    """Run the command."""
    from django.core.management import call_command

    arguments = ["--user", way, "--limit", str(scans), *(["--inline"] if way == "inline" else [])]
    call_command("reprocess_scans", *arguments, stdout=io.StringIO())


def stages(owner: str, scans: int) -> dict[str, float]:
    """Answer so many scans of `owner` stage by stage, as many at once as a batch does; give the seconds of each."""
    from diagnosis import services, stream, worker
    from diagnosis.models import Prediction, Scan
    from diagnosis.states import Trigger

    version = services.active_model_version()
    assert version
    classifier = worker.loaded_classifier(version.folder, version.sha256)
    seconds = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def timed(stage: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds[stage] += time.perf_counter() - began

    left = iter(list(Scan.objects.filter(owner__username=owner)[:scans]))
    while some := list(islice(left, stream.AT_ONCE)):
        with timed("ask"):
            asked = services.request_predictions(
                scans=some, model_version=version, trigger=Trigger.COMMAND, enqueue=False
            )
        with timed("claim"):
            claimed = Prediction.objects.claim_all(
                [prediction.pk for prediction in asked], model_version=version, task_id="stages"
            )
        with timed("read"):
            readings = [worker.read(prediction, task_id="stages") for prediction in claimed]
        found = [reading for reading in readings if reading]
        with timed("network"):
            classified = list(classifier.classify_each(reading.picture for reading in found))
        with timed("record"):
            stream.record_all(list(zip(found, classified, strict=True)), task_id="stages")
    return seconds


def forget(way: str) -> None:
    """Delete the answers of the owner `way`, so that the same scans can be answered again."""
    from diagnosis.models import Prediction

    Prediction.objects.filter(scan__owner__username=way).delete()


def own_memory() -> dict[str, float]:
    """Weigh this process alone: the servers and engines are its children."""
    return memory(os.getpid(), with_children=False)


def seed(scans: int, owners: Iterable[str], *, distinct: int = DISTINCT) -> None:
    """Give each owner so many scans, as uploads are stored, while no model is there to answer them.

    From the one after `distinct` on they share the pictures of the first.
    """
    from diagnosis import services
    from diagnosis.models import ModelVersion, Scan
    from diagnosis.tests.factories import person

    names = list(owners)
    say(f"  storing {min(scans, distinct)} pictures for each of {len(names)} owners")
    answering = services.active_model_version()
    ModelVersion.objects.update(is_active=False)
    for given in islice(jpegs(0), min(scans, distinct)):
        for name in names:
            services.submit_scan(owner=person(name), upload=io.BytesIO(given), original_name="chest.jpg")
    for name in names:
        stored = list(Scan.objects.filter(owner=person(name)))
        rows = (again(stored[number % len(stored)]) for number in range(scans - len(stored)))
        while batch := list(islice(rows, 1000)):
            Scan.objects.bulk_create(batch)
    if answering:
        services.activate_model(model_version=answering)


def again(scan: Any) -> Any:
    """Give a further scan with the picture of `scan`."""
    files = {name: getattr(scan, name).name for name in ("picture", "thumbnail")}
    same = {name: getattr(scan, name) for name in ("owner", "original_name", "width", "height")}
    return type(scan)(sha256=secrets.token_hex(32), **same, **files)
