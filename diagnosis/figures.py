"""What a checkpoint tells of itself, as words. Its metadata is JSON of some other day: any part may be missing."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.utils.translation import gettext_lazy as _

from diagnosis.numbers import written

# In the order of the tables; names as ml.metrics writes them.
TITLES = {
    "auc": _("AUROC"),
    "accuracy": _("Accuracy"),
    "recall": _("Sensitivity"),
    "specificity": _("Specificity"),
    "precision": _("Precision"),
    "npv": _("NPV"),
    "f1": _("F1"),
    "auprc": _("AUPRC"),
    "log_loss": _("Log loss"),
    "brier": _("Brier"),
    "ece": _("ECE"),
}


# Names as ml.shifts gives them.
SHIFTS = {
    "none": _("as they are"),
    "darker": _("darker"),
    "flatter": _("flatter"),
    "gamma": _("gamma"),
    "blurred": _("blurred"),
    "sharpened": _("sharpened"),
    "noisy": _("noisy"),
    "coarse": _("coarse"),
    "cropped": _("cropped"),
    "recompressed": _("recompressed"),
    "marked": _("marked"),
    "equalised": _("equalised"),
    "uneven": _("uneven"),
    "tubes": _("tubes"),
}


class Figure(NamedTuple):
    """A measured value as people read it; `interval` and `n` are "" where they are not known."""

    title: str
    value: str
    interval: str
    n: str = ""


def part(told: Any, *path: str) -> dict[str, Any]:
    """Follow `path` into nested JSON; what is absent or of another kind is an empty dict."""
    for key in path:
        told = told.get(key) if isinstance(told, dict) else None
    return told if isinstance(told, dict) else {}


def number(value: Any) -> float | None:
    """Give a JSON value as a number, None where it is none."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def figure(title: str, told: Any) -> Figure | None:
    """Read {"value", "low", "high", "n"}, or a bare number; None where nothing was measured."""
    given = told if isinstance(told, dict) else {"value": told}
    value, low, high, n = (number(given.get(name)) for name in ("value", "low", "high", "n"))
    if value is None:
        return None
    interval = "" if low is None or high is None else f"{_decimals(low)}–{_decimals(high)}"
    return Figure(title, _decimals(value), interval, "" if n is None else written(n, ",.0f"))


def _decimals(value: float) -> str:
    # A hyphen would be lost beside the dash of an interval.
    return written(value, ".3f").replace("-", "\N{MINUS SIGN}")


def figures(summary: dict[str, Any]) -> list[Figure]:
    """Give the figures of a summary of ml.metrics in the order of TITLES."""
    found = (figure(str(title), summary.get(name)) for name, title in TITLES.items())
    return [each for each in found if each]


def percentage(value: Any) -> str:
    """Write a share, 0..1, as people say it; "" where it is none."""
    given = number(value)
    return "" if given is None else f"{written(100 * given, '.4g')}\N{NO-BREAK SPACE}%"


def shift_name(shift: str) -> str:
    """Name a shift for people."""
    return str(SHIFTS.get(shift, shift))


def metric_columns(metrics: Any) -> list[str]:
    """Title the columns of `metric_rows`."""
    return [str(TITLES[name]) for name in _names(metrics)]


def metric_rows(metrics: Any) -> list[dict[str, Any]]:
    """Give one row for each shift: its "shift", "n" (None where unknown), and "cells" of (value, interval) texts."""
    return [
        {
            "shift": shift_name(shift),
            "n": summary.get("n"),
            "cells": [_cell(summary.get(name)) for name in _names(metrics)],
        }
        for shift, summary in _held_out(metrics).items()
    ]


def details(told: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Walk through nested JSON; give each leaf as (its path in words, its text)."""
    if isinstance(told, dict):
        for key, value in told.items():
            yield from details(value, (*path, str(key).replace("_", " ")))
    elif told is not None:
        yield " · ".join(path), ", ".join(map(str, told)) if isinstance(told, list) else str(told)


def _held_out(metrics: Any) -> dict[str, dict[str, Any]]:
    """Give the summaries by shift, the unchanged pictures first."""
    held_out = {shift: each for shift, each in part(metrics, "held_out").items() if isinstance(each, dict)}
    return dict(sorted(held_out.items(), key=lambda item: (item[0] != "none", item[0])))


def _names(metrics: Any) -> list[str]:
    return [name for name in TITLES if any(name in summary for summary in _held_out(metrics).values())]


def _cell(told: Any) -> tuple[str, str]:
    found = figure("", told)
    return (found.value, found.interval) if found else ("-", "")
