"""Repeat, interleave, summarise; and how much memory a process holds."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil

MIB = 2**20


def say(sentence: str) -> None:
    """Tell the person at the terminal; the results have files of their own."""
    print(sentence, file=sys.stderr, flush=True)


def summary(values: Sequence[float]) -> dict[str, float | int]:
    """Give median, min, max and n of at least one value."""
    return {
        "median": round(statistics.median(values), 4),
        "min": round(min(values), 4),
        "max": round(max(values), 4),
        "n": len(values),
    }


def milliseconds(action: Callable[[], Any]) -> float:
    """Do it once and give how long it took."""
    began = time.perf_counter()
    action()
    return (time.perf_counter() - began) * 1000


def interleaved(
    subjects: Mapping[str, Callable[[], float]], *, rounds: int, failed: Callable[[str, Exception], None]
) -> dict[str, list[float]]:
    """Let each subject measure itself once a round, A B C A B C …; give the values of those that came through.

    So a machine that slows down meanwhile slows all of them down. One that raises is handed to `failed` and left out
    from then on, with its values.
    """
    values: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(rounds):
        for name in list(values):
            try:
                values[name].append(subjects[name]())
            except Exception as error:  # noqa: BLE001 - one of many is lost, not all of them
                failed(name, error)
                del values[name]
        if (turn + 1) % max(1, rounds // 4) == 0:
            say(f"  round {turn + 1} of {rounds}")
    return {name: found for name, found in values.items() if found}


def memory(pid: int, *, with_children: bool = True) -> dict[str, float]:
    """Give what the process and all that it started hold now, in MiB.

    "pss" counts pages that several processes share once, in parts; "rss", the sum over the processes, counts them each
    time. Where the system tells no PSS, it is the memory that is the process's own.
    """
    process = psutil.Process(pid)
    processes = [process, *(process.children(recursive=True) if with_children else [])]
    found = [one.memory_full_info() for one in processes]
    return {
        "pss": sum(getattr(info, "pss", info.uss) for info in found) / MIB,
        "rss": sum(info.rss for info in found) / MIB,
    }
