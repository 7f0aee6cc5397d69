"""The figures that can be compared between machines, each made of raw figures of one run."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

Parts = Mapping[str, Any]

A_THIRD = 1 / 3


class Goal(NamedTuple):
    """What is wanted of a ratio: at least so much, at most so much, or both."""

    least: float | None = None
    most: float | None = None

    def __str__(self) -> str:
        if self.least is not None and self.least == self.most:
            return _written(self.least)
        ends = (("≥", self.least), ("≤", self.most))
        return ", ".join(f"{sign} {_written(end)}" for sign, end in ends if end is not None)

    def is_missed_by(self, value: float) -> bool:
        """Tell whether `value` falls short of it."""
        return (self.least is not None and value < self.least) or (self.most is not None and value > self.most)


class Ratio(NamedTuple):
    """What it says, what is wanted of it, and how it comes from the parts; KeyError: something was not measured."""

    what: str
    goal: Goal
    of: Callable[[Parts], float]


def _written(number: float) -> str:
    return "⅓" if number == A_THIRD else f"{number:g}"


def median(parts: Parts, part: str, name: str) -> float:
    """Give the median of a figure. Raises KeyError where it was not measured."""
    return parts[part]["figures"][name]["median"]


def quotient(over: tuple[str, str], under: tuple[str, str]) -> Callable[[Parts], float]:
    """Divide two medians."""
    return lambda parts: median(parts, *over) / median(parts, *under)


def difference(more: tuple[str, str], less: tuple[str, str]) -> Callable[[Parts], float]:
    """Subtract two medians."""
    return lambda parts: median(parts, *more) - median(parts, *less)


def worst_page(parts: Parts) -> float:
    """Give the largest quotient, over the pages that show as much, of the time with a million and with a thousand."""
    figures = parts["pages"]["figures"]
    pages = {name.rsplit(".", 1)[0] for name in figures if name.endswith(".1000")}
    found = [
        figures[f"{page}.1000000"]["median"] / figures[f"{page}.1000"]["median"]
        for page in pages
        if shows_as_much(figures, page)
    ]
    if not found:
        raise KeyError("pages")
    return max(found)


def shows_as_much(figures: Mapping[str, Any], page: str) -> bool:
    """Tell whether the page of a million predictions shows about as much as that of a thousand."""
    sizes = [figures[f"{page}.{rows}.size"]["median"] for rows in (1000, 1_000_000) if f"{page}.{rows}.size" in figures]
    return not sizes or max(sizes) < 1.25 * min(sizes)


def worst_dashboard(parts: Parts) -> float:
    """Give the same for the dashboard, over what it shows."""
    figures = parts["dashboard"]["figures"]
    return max(figures[f"{page}.1000000"]["median"] / figures[f"{page}.1000"]["median"] for page in ("month", "year"))


def more_queries(parts: Parts) -> float:
    """Give the largest difference, over the pages, of the numbers of queries."""
    figures = parts["pages"]["figures"]
    pages = {name.removesuffix(".1000.queries") for name in figures if name.endswith(".1000.queries")}
    counts = [[figures[f"{page}.{rows}.queries"]["median"] for rows in (1000, 1_000_000)] for page in pages]
    if not counts:
        raise KeyError("pages")
    return max(abs(many - few) for few, many in counts)


RATIOS: dict[str, Ratio] = {
    "engine_vs_predict": Ratio(
        "The site's engine is so many times faster than keras model.predict",
        Goal(least=5.5),
        quotient(("engines", "keras_predict.1"), ("engines", "served.1")),
    ),
    "heatmap_and_refusal_ms": Ratio(
        "Heatmaps and the features for the refusal add, in ms",
        Goal(),
        difference(("engines", "served.1"), ("engines", "served_alone.1")),
    ),
    "cold_start_vs_tensorflow": Ratio(
        "A worker answers so many times sooner after its start than a process with TensorFlow and the whole .h5",
        Goal(least=5),
        quotient(("cold_start", "tensorflow"), ("cold_start", "worker")),
    ),
    "memory_vs_tensorflow": Ratio(
        "A worker, all its processes, holds this share of that process's memory (PSS: shared pages counted once)",
        Goal(most=A_THIRD),
        quotient(("cold_start", "worker.pss"), ("cold_start", "tensorflow.pss")),
    ),
    "memory_vs_tensorflow_rss": Ratio(
        "The same by RSS, which counts what the worker's two processes share twice",
        Goal(),
        quotient(("cold_start", "worker.rss"), ("cold_start", "tensorflow.rss")),
    ),
    "upload_minus_engine_ms": Ratio(
        "From the upload until the answer is there, beyond the engine's own time, in ms",
        Goal(most=150),
        difference(("uploads", "one.eager"), ("uploads", "engine")),
    ),
    "upload_as_shown_minus_engine_ms": Ratio(
        "From the upload until the page shows the answer, beyond the engine's own time, in ms",
        Goal(),
        difference(("uploads", "one.as_shown"), ("uploads", "engine")),
    ),
    "eight_users_vs_engine": Ratio(
        "Answers a second with eight users at once, as a share of the engine's",
        Goal(),
        quotient(("uploads", "eight.rate"), ("uploads", "engine.rate")),
    ),
    "beside_a_batch_vs_alone": Ratio(
        "From the upload until the answer is there takes so many times longer while a batch keeps the only worker busy",
        Goal(),
        quotient(("beside_a_batch", "beside"), ("beside_a_batch", "alone")),
    ),
    "reprocess_vs_engine": Ratio(
        "reprocess_scans in one process, as a share of the bare engine's rate, a picture a call",
        Goal(least=0.92),
        quotient(("reprocessing", "inline"), ("reprocessing", "engine")),
    ),
    "reprocess_vs_engine_stream": Ratio(
        "The same, as a share of its rate on a stream of ready inputs, of which it reads several at once",
        Goal(),
        quotient(("reprocessing", "inline"), ("reprocessing", "engine_stream")),
    ),
    "reprocess_queue_vs_engine": Ratio(
        "reprocess_scans through the queue with one worker, as a share of the bare engine's rate, a picture a call",
        Goal(least=0.92),
        quotient(("reprocessing", "one_worker"), ("reprocessing", "engine")),
    ),
    "reprocess_queue_vs_engine_stream": Ratio(
        "The same, as a share of its rate on a stream of ready inputs",
        Goal(),
        quotient(("reprocessing", "one_worker"), ("reprocessing", "engine_stream")),
    ),
    "two_workers_vs_one": Ratio(
        "Two workers on this machine, in sum, beside one",
        Goal(least=1),
        quotient(("reprocessing", "two_workers"), ("reprocessing", "one_worker")),
    ),
    "reprocess_memory_end_vs_start": Ratio(
        "Memory of reprocess_scans --inline at the end beside that after its first scans",
        Goal(0.95, 1.05),
        quotient(("reprocessing", "inline.rss_end"), ("reprocessing", "inline.rss_start")),
    ),
    "worker_memory_end_vs_start": Ratio(
        "Memory of a worker at the end of a batch beside that after its first message",
        Goal(0.95, 1.05),
        quotient(("reprocessing", "one_worker.pss"), ("reprocessing", "one_worker.pss_start")),
    ),
    "pages_million_vs_thousand": Ratio(
        "The page that suffers most takes so many times longer with a million predictions than with a thousand",
        Goal(most=1.5),
        worst_page,
    ),
    "pages_million_more_queries": Ratio(
        "Queries that a page needs more, or less, with a million predictions", Goal(0, 0), more_queries
    ),
    "dashboard_million_vs_thousand": Ratio(
        "The dashboard takes so many times longer with a million predictions than with a thousand",
        Goal(most=1.5),
        worst_dashboard,
    ),
    "dicom_vs_jpeg": Ratio(
        "Taking in a DICOM file of 10 MB takes so many times longer than a large JPEG",
        Goal(),
        quotient(("dicom", "uncompressed"), ("intake", "clean")),
    ),
}


def ratios(parts: Parts) -> dict[str, float | None]:
    """Give all of them; None where a figure is missing."""
    found: dict[str, float | None] = {}
    for name, ratio in RATIOS.items():
        try:
            found[name] = round(ratio.of(parts), 4)
        except (KeyError, ZeroDivisionError):
            found[name] = None
    return found
