"""results.json → RESULTS.md, for people."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bench.ratios import RATIOS

NUMBER = "---:"

ABOUT = (
    "`make bench` wrote this file from results.json. What a part compares ran in turns; times are medians, with the "
    "smallest and the largest beside them. Another machine gives other times: the ratios travel better. "
    "[What follows for a site](../docs/scaling.md), a day and for many workers, is computed from the rates below."
)
KEPT = "Some parts are of former runs, as they say themselves."

# The same figure for tables of several sizes.
BY_ROWS = re.compile(r"(?P<name>\w+)\.(?P<rows>\d{3,})(?:\.(?P<kind>queries|size))?")


def table(found: dict[str, Any]) -> str:
    """Render everything that was measured, and what could not be, as Markdown."""
    machine = found["machine"]
    software = ", ".join(f"{name} {version}" for name, version in machine["software"].items())
    lines = [
        "# Measured",
        "",
        ABOUT,
        "",
        _where(machine),
        "",
        f"{software}.",
        "",
    ]
    if any("measured" in part for part in found["parts"].values()):
        lines += [KEPT, ""]
    if found["quick"]:
        lines += ["**A quick run: it shows that everything works, its figures mean little.**", ""]
    lines += ["## Ratios", "", *_ratios(found["ratios"]), ""]
    notes = Counter(note for part in found["parts"].values() for note in dict.fromkeys(part["notes"]))
    common = [note for note, count in notes.items() if count > 1]
    if common:
        lines += ["## What holds for several parts", "", *(f"- {note}" for note in common), ""]
    for part in found["parts"].values():
        lines += [f"## {part['title']}", "", *_part(part, leave_out=common)]
    return "\n".join(lines).rstrip() + "\n"


def _where(machine: dict[str, Any]) -> str:
    flags = ", ".join(machine["flags"]) or "no flag that matters"
    return (
        f"{machine['date']}, commit {machine['commit']}, {machine['cpu']}, {machine['cores']} cores ({flags}), "
        f"{machine['memory_gib']} GiB, {machine['system']}, load {machine['load_at_the_start']} at the start."
    )


def _ratios(ratios: dict[str, float | None]) -> list[str]:
    rows = []
    for name, value in ratios.items():
        what, goal, _ = RATIOS[name]
        is_missed = value is not None and goal.is_missed_by(value)
        rows.append((what, f"**{value:.4g}, missed**" if is_missed else _shown(value), str(goal)))
    return _rows(("", "measured", "goal"), rows)


def _part(part: dict[str, Any], *, leave_out: Sequence[str]) -> list[str]:
    lines = []
    if "measured" in part:
        lines += [f"Not of this run, but of a former one: {part['measured']}.", ""]
    if part["status"] == "failed":
        lines += [f"**Failed:** {part['reason']}", ""]
    if part["figures"]:
        shown = _by_rows if all(map(BY_ROWS.fullmatch, part["figures"])) else _figures
        lines += [*shown(part["figures"]), ""]
    lines += [f"- Not measured: {name}. {reason}" for name, reason in part["failures"].items()]
    lines += [f"- {note}" for note in part["notes"] if note not in leave_out]
    return lines if not lines or lines[-1] == "" else [*lines, ""]


def _figures(figures: Mapping[str, Any]) -> list[str]:
    """Give a row for each figure."""
    rows = [
        (figure["what"], *(_shown(figure[name]) for name in ("median", "min", "max")), figure["unit"], str(figure["n"]))
        for figure in figures.values()
    ]
    return _rows(("", "median", "min", "max", "", "n"), rows)


def _by_rows(figures: Mapping[str, Any]) -> list[str]:
    """Give a row for each page, which holds its figures for tables of all sizes."""
    sizes: set[int] = set()
    pages: dict[str, dict[str, dict[int, Any]]] = {}
    for name, figure in figures.items():
        page, rows, kind = BY_ROWS.fullmatch(name).groups(default="")  # type: ignore[union-attr]
        sizes.add(int(rows))
        pages.setdefault(page, {}).setdefault(kind, {})[int(rows)] = figure
    columns = sorted(sizes)
    kinds = [kind for kind in ("queries", "size") if any(kind in found for found in pages.values())]
    head = (
        "",
        *(f"{count:,} predictions" for count in columns),
        "n",
        *({"size": "KiB"}.get(kind, kind) for kind in kinds),
    )
    rows = []
    for found in pages.values():
        [first, *_] = found[""].values()
        rows.append(
            (
                first["what"].rpartition(", ")[0],
                *(_with_spread(found[""].get(count)) for count in columns),
                str(first["n"]),
                *(" / ".join(_median(found.get(kind, {}).get(count)) for count in columns) for kind in kinds),
            )
        )
    return _rows(head, rows)


def _with_spread(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return "–"
    return f"{_shown(figure['median'])} ({_shown(figure['min'])}–{_shown(figure['max'])}) {figure['unit']}"


def _median(figure: Mapping[str, Any] | None) -> str:
    return _shown(figure["median"] if figure else None)


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    ruler = ["---", *[NUMBER] * (len(head) - 1)]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in (head, tuple(ruler), *rows)]


def _shown(value: float | None) -> str:
    """Three digits are more than a run can be sure of."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
