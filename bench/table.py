"""results.json → RESULTS.md, for people."""

from collections.abc import Sequence
from typing import Any

from bench.ratios import RATIOS

NUMBER = "---:"

ABOUT = (
    "`make bench` wrote this file from results.json. What is compared ran in turns in one run; times are medians, with "
    "the smallest and the largest beside them. Another machine gives other times: the ratios travel better."
)


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
    if found["quick"]:
        lines += ["**A quick run: it shows that everything works, its figures mean little.**", ""]
    lines += ["## Ratios", "", *_ratios(found["ratios"]), ""]
    for part in found["parts"].values():
        lines += [f"## {part['title']}", "", *_part(part)]
    return "\n".join(lines).rstrip() + "\n"


def _where(machine: dict[str, Any]) -> str:
    flags = ", ".join(machine["flags"]) or "no flag that matters"
    return (
        f"{machine['date']}, commit {machine['commit']}, {machine['cpu']}, {machine['cores']} cores ({flags}), "
        f"{machine['memory_gib']} GiB, {machine['system']}, load {machine['load_at_the_start']} at the start."
    )


def _ratios(ratios: dict[str, float | None]) -> list[str]:
    rows = [(RATIOS[name].what, _shown(value), RATIOS[name].goal) for name, value in ratios.items()]
    return _rows(("", "measured", "goal"), rows)


def _part(part: dict[str, Any]) -> list[str]:
    lines = []
    if "measured" in part:
        lines += [f"Not of this run, but of a former one: {part['measured']}.", ""]
    if part["status"] == "failed":
        lines += [f"**Failed:** {part['reason']}", ""]
    figures = [
        (figure["what"], *(_shown(figure[name]) for name in ("median", "min", "max")), figure["unit"], str(figure["n"]))
        for figure in part["figures"].values()
    ]
    if figures:
        lines += [*_rows(("", "median", "min", "max", "", "n"), figures), ""]
    lines += [f"- Not measured: {name}. {reason}" for name, reason in part["failures"].items()]
    lines += [f"- {note}" for note in part["notes"]]
    return lines if not lines or lines[-1] == "" else [*lines, ""]


def _rows(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    ruler = ["---", *[NUMBER] * (len(head) - 1)]
    return [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in (head, tuple(ruler), *rows)]


def _shown(value: float | None) -> str:
    """Three digits are more than a run can be sure of."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
