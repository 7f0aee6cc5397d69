"""What a checkpoint tells of itself, as tables. Its metadata is JSON of some other day: any part may be missing."""

from collections.abc import Iterator
from typing import Any

# In the order of the columns; names as ml.metrics writes them.
TITLES = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "recall": "Recall",
    "specificity": "Specificity",
    "precision": "Precision",
    "npv": "NPV",
    "f1": "F1",
    "auprc": "AUPRC",
    "log_loss": "Log loss",
    "brier": "Brier",
    "ece": "ECE",
}


def metric_columns(metrics: Any) -> list[str]:
    """Title the columns of `metric_rows`."""
    return [TITLES[name] for name in _names(metrics)]


def metric_rows(metrics: Any) -> list[dict[str, Any]]:
    """Give one row for each shift: its "shift", "n" (None where unknown), and "cells" of (value, interval) texts."""
    return [
        {
            "shift": "as they are" if shift == "none" else shift,
            "n": figures.get("n"),
            "cells": [_cell(figures.get(name)) for name in _names(metrics)],
        }
        for shift, figures in _held_out(metrics).items()
    ]


def details(told: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Walk through nested JSON; give each leaf as (its path in words, its text)."""
    if isinstance(told, dict):
        for key, value in told.items():
            yield from details(value, (*path, str(key).replace("_", " ")))
    elif told is not None:
        yield " · ".join(path), ", ".join(map(str, told)) if isinstance(told, list) else str(told)


def _held_out(metrics: Any) -> dict[str, dict[str, Any]]:
    held_out = metrics.get("held_out") if isinstance(metrics, dict) else None
    if not isinstance(held_out, dict):
        return {}
    return {shift: figures for shift, figures in held_out.items() if isinstance(figures, dict)}


def _names(metrics: Any) -> list[str]:
    return [name for name in TITLES if any(name in figures for figures in _held_out(metrics).values())]


def _cell(figure: Any) -> tuple[str, str]:
    if not isinstance(figure, dict):
        return _number(figure), ""
    low, high = _number(figure.get("low")), _number(figure.get("high"))
    return _number(figure.get("value")), "" if "-" in (low, high) else f"{low}–{high}"


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "-"
