"""What a part hands in."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import say, summary

ADDRESS = re.compile(r"\b(?:file|https?)://[^\s'\"]+")

PROJECT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Options:
    """How much is measured. `quick` only shows that everything works: few rounds, small tables."""

    quick: bool = False
    scans: int = 500

    def rounds(self, usual: int, quick: int = 2) -> int:
        """Give the number of rounds."""
        return quick if self.quick else usual


@dataclass
class Report:
    """Figures under names that ratios.py knows, each with a sentence for people; notes; what failed, and why."""

    options: Options = field(default_factory=Options)
    figures: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, what: str, unit: str, values: Sequence[float]) -> None:
        """Record a figure by all of its values; none at all are no figure."""
        if values:
            self.figures[name] = {"what": what, "unit": unit, **summary(values)}
            say(f"  {what}: {self.figures[name]['median']:g} {unit}")

    def note(self, sentence: str) -> None:
        """Record what has to be known to read the figures."""
        self.notes.append(sentence)
        say(f"  {sentence}")

    def fail(self, name: str, error: BaseException | str) -> None:
        """Record that something could not be measured."""
        self.failures[name] = reason(error)
        say(f"  {name} failed: {self.failures[name]}")

    def as_json(self) -> dict[str, Any]:
        """Give it as results.json holds it."""
        return {"figures": self.figures, "notes": self.notes, "failures": self.failures}


def reason(error: BaseException | str) -> str:
    """Say in a line why something failed, without the places of this machine: the results are for everybody."""
    text = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    for place, name in ((str(PROJECT), "."), (tempfile.gettempdir(), "tmp"), (str(Path.home()), "~")):
        text = text.replace(place, name)
    words = " ".join(ADDRESS.sub("URL", text).split())
    return words if len(words) <= 400 else f"{words[:200]} … {words[-200:]}"
