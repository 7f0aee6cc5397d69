"""The pictures and answers of the last days beside the model's reference → what it says, in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any, NamedTuple, Self

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from diagnosis.dashboard.rows import DayFigures, first_of
from diagnosis.graphs import Graph, Series
from diagnosis.models import ModelVersion
from diagnosis.numbers import written
from ml.drift import LEAST, MEASURES, PROBABILITY, STATISTICS, Comparison, Counts, Level, added, compare, read_reference

# The days that are compared, today among them: what changed last week shows, and few pictures a day are enough.
DAYS = 30

# Bars of a graph: the fine bins of a histogram are joined.
BARS = 16


class Words(NamedTuple):
    """How a measure is named and its values are shown, and what is said where it went down or up."""

    name: Any
    unit: Any
    down: Any
    up: Any
    factor: int = 1


_LEVEL, _STEP = gettext_lazy("grey level, 0 to 255"), gettext_lazy("grey levels")
_SHARE = gettext_lazy("per cent of the picture")

WORDS: dict[str, Words] = {
    PROBABILITY: Words(
        gettext_lazy("Probability of pneumonia"),
        gettext_lazy("per cent"),
        gettext_lazy("The model finds pneumonia less likely than it did then"),
        gettext_lazy("The model finds pneumonia more likely than it did then"),
        100,
    ),
    "brightness": Words(
        gettext_lazy("Brightness"), _LEVEL, gettext_lazy("They are darker"), gettext_lazy("They are brighter")
    ),
    "contrast": Words(
        gettext_lazy("Contrast"),
        _STEP,
        gettext_lazy("They have less contrast"),
        gettext_lazy("They have more contrast"),
    ),
    "darkest": Words(
        gettext_lazy("Dark parts"),
        _LEVEL,
        gettext_lazy("Their dark parts are darker"),
        gettext_lazy("Their dark parts are brighter"),
    ),
    "brightest": Words(
        gettext_lazy("Bright parts"),
        _LEVEL,
        gettext_lazy("Their bright parts are darker"),
        gettext_lazy("Their bright parts are brighter"),
    ),
    "dark_share": Words(
        gettext_lazy("Nearly black"),
        _SHARE,
        gettext_lazy("Less of them is nearly black"),
        gettext_lazy("More of them is nearly black"),
        100,
    ),
    "bright_share": Words(
        gettext_lazy("Nearly white"),
        _SHARE,
        gettext_lazy("Less of them is nearly white"),
        gettext_lazy("More of them is nearly white"),
        100,
    ),
    "sharpness_across": Words(
        gettext_lazy("Sharpness from side to side"),
        _STEP,
        gettext_lazy("They are blurrier from side to side"),
        gettext_lazy("They are sharper, or noisier, from side to side"),
    ),
    "sharpness_down": Words(
        gettext_lazy("Sharpness from top to bottom"),
        _STEP,
        gettext_lazy("They are blurrier from top to bottom"),
        gettext_lazy("They are sharper, or noisier, from top to bottom"),
    ),
}

LEVELS: dict[Level, Any] = {
    Level.UNKNOWN: gettext_lazy("not enough"),
    Level.NONE: gettext_lazy("no change"),
    Level.SLIGHT: gettext_lazy("some change"),
    Level.STRONG: gettext_lazy("much change"),
}


@dataclass(frozen=True)
class Finding:
    """One measure of the last days beside the reference."""

    measure: str
    recent: Counts
    reference: Counts

    @cached_property
    def compared(self) -> Comparison:
        """Give the comparison."""
        return compare(self.measure, self.recent, self.reference)

    @property
    def words(self) -> Words:
        """Give the words for the measure."""
        return WORDS[self.measure]

    @property
    def is_changed(self) -> bool:
        """Tell whether there is something to say."""
        return self.compared.level >= Level.SLIGHT

    @property
    def level(self) -> str:
        """Name the level."""
        return str(LEVELS[self.compared.level])

    @property
    def sentence(self) -> str:
        """Say which way it went; where the mean stayed within a bin of the reference's, only the spread is another."""
        low, high, bins = MEASURES[self.measure]
        way = self.compared.mean - self.compared.reference_mean
        if abs(way) < (high - low) / bins / 2:
            return _("%(name)s is spread in another way") % {"name": self.words.name}
        return str(self.words.up if way > 0 else self.words.down)

    @property
    def mean(self) -> str:
        """Write the mean of the last days; a dash where nothing was measured."""
        return written(self.words.factor * self.compared.mean, ".1f") if self.compared.n else "–"

    @property
    def reference_mean(self) -> str:
        """Write the mean of the reference."""
        return written(self.words.factor * self.compared.reference_mean, ".1f")

    @property
    def index(self) -> str:
        """Write the population stability index; a dash where too few were measured."""
        return written(self.compared.psi, ".2f") if self.compared.level else "–"

    @property
    def graph(self) -> Graph:
        """Draw both histograms, each in per cent of its own pictures."""
        shown = _shown(self.recent, self.reference)
        step = math.ceil((shown.stop - shown.start) / BARS)
        starts = range(shown.start, shown.stop, step)
        edges = MEASURES[self.measure].edges * self.words.factor
        ends = [min(start + step, shown.stop) for start in starts]
        return Graph(
            slug=f"drift-{self.measure.replace('_', '-')}",
            title=str(self.words.name),
            description=_("Of how many pictures in a hundred it is so, in the last %(days)s days and in the reference.")
            % {"days": DAYS},
            x_title=str(self.words.unit),
            y_title=_("Per cent of the pictures"),
            labels=[f"{edges[start]:.3g}–{edges[end]:.3g}" for start, end in zip(starts, ends, strict=True)],
            series=[
                Series(_("Reference"), _percentages(self.reference, starts, ends), "track"),
                Series(_("Last %(days)s days") % {"days": DAYS}, _percentages(self.recent, starts, ends), "accent"),
            ],
            unit="\N{NO-BREAK SPACE}%",
            digits=1,
        )


def _shown(*histograms: Counts) -> slice:
    """Leave out the bins at both ends that are empty in all of them."""
    filled = [place for place, counts in enumerate(zip(*histograms, strict=True)) if any(counts)]
    return slice(filled[0], filled[-1] + 1) if filled else slice(0, len(histograms[0]))


def _percentages(counts: Counts, starts: Sequence[int], ends: Sequence[int]) -> list[float | None]:
    n = sum(counts)
    return [100 * sum(counts[start:end]) / n if n else None for start, end in zip(starts, ends, strict=True)]


@dataclass(frozen=True)
class Drift:
    """What the last DAYS say of the active version; without `findings` it has no reference."""

    findings: Sequence[Finding]
    reference: Mapping[str, Any]

    days = DAYS
    least = LEAST

    @classmethod
    def of(cls, version: ModelVersion, *, reference: Any, today: date) -> Self:
        """Set the uploads of the last days beside the `reference` of `version`.

        What pictures look like depends on no version; the probabilities are those of this one alone.
        """
        known = read_reference(reference)
        if not known:
            return cls([], {})
        rows = DayFigures.objects.filter(day__gte=first_of(DAYS, until=today), day__lte=today, of_uploads=True)
        found = list(rows.values_list("model_version", "histograms"))
        own = [histograms for owner, histograms in found if owner == version.pk]
        every = [histograms for _owner, histograms in found]
        return cls(
            [
                Finding(name, _added(own if name == PROBABILITY else every, name), known[name])
                for name in MEASURES
                if name in known
            ],
            reference,
        )

    @property
    def statistics(self) -> list[Finding]:
        """Give what is told of the pictures."""
        return [finding for finding in self.findings if finding.measure in STATISTICS]

    @property
    def probability(self) -> Finding | None:
        """Give what is told of the probabilities."""
        return next((finding for finding in self.findings if finding.measure == PROBABILITY), None)

    @property
    def changed(self) -> list[Finding]:
        """Give what has changed in the pictures, the most changed first."""
        found = [finding for finding in self.statistics if finding.is_changed]
        return sorted(found, key=lambda finding: -finding.compared.psi)

    @property
    def level(self) -> Level:
        """Give the level of what has changed most in the pictures."""
        return max((finding.compared.level for finding in self.statistics), default=Level.UNKNOWN)

    @property
    def is_known(self) -> bool:
        """Tell whether there are pictures enough to say anything."""
        return self.level > Level.UNKNOWN

    @property
    def is_strong(self) -> bool:
        """Tell whether the pictures have changed much."""
        return self.level == Level.STRONG

    @property
    def pictures(self) -> int:
        """How many pictures of the last days were looked at."""
        return max((sum(finding.recent) for finding in self.statistics), default=0)

    @property
    def share_of_reference(self) -> int | None:
        """Give the percentage of PNEUMONIA among the reference's pictures; None where it does not tell."""
        n, pneumonias = (self.reference.get(name) for name in ("n", "pneumonias"))
        return round(100 * pneumonias / n) if isinstance(n, int) and isinstance(pneumonias, int) and n else None


def _added(rows: Sequence[Mapping[str, Counts]], measure: str) -> list[int]:
    return added((row.get(measure, ()) for row in rows), MEASURES[measure].bins)
