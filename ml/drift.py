"""How far pictures and answers of today are from those that a model was measured on; NumPy only.

A reference is a histogram of each of MEASURES over held-out patients; the checkpoint carries it. The same histograms
over other pictures, added up from any number of days, are set beside it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

DARK, BRIGHT = 30, 225  # grey levels


class Scale(NamedTuple):
    """Equal bins from `low` to `high`; what lies beyond an end counts in the bin at that end."""

    low: float
    high: float
    bins: int

    @property
    def edges(self) -> np.ndarray:
        """Give the (bins + 1,) edges."""
        return np.linspace(self.low, self.high, self.bins + 1)


PROBABILITY = "probability"

# What is kept of each picture, in this order, in grey levels 0..255 or as shares 0..1.
STATISTICS: dict[str, Scale] = {
    "brightness": Scale(0, 255, 51),  # mean
    "contrast": Scale(0, 128, 64),  # standard deviation
    "darkest": Scale(0, 255, 51),  # 5th percentile
    "brightest": Scale(0, 255, 51),  # 95th percentile
    "dark_share": Scale(0, 1, 50),  # of pixels below DARK
    "bright_share": Scale(0, 1, 50),  # of pixels above BRIGHT
    "sharpness_across": Scale(0, 32, 64),  # mean step between neighbours in a row
    "sharpness_down": Scale(0, 32, 64),  # the same in a column
}
MEASURES: dict[str, Scale] = {PROBABILITY: Scale(0, 1, 50), **STATISTICS}

# Histogram of one measure: (bins,) counts.
Counts = Sequence[int]

# With fewer pictures on either side nothing is said.
LEAST = 100

# The usual readings of the index: below the first nothing has changed, from the second on much has (Siddiqi, Credit
# Risk Scorecards, 2006).
SLIGHT, STRONG = 0.1, 0.25

# A tenth of the reference in each group, as the index is mostly computed.
GROUP_SHARE = 0.1

# How many standard deviations away chance alone would have to reach: one time in a thousand.
CHANCE = 3.0902


class Level(IntEnum):
    """What a comparison says."""

    UNKNOWN = 0  # too few pictures
    NONE = 1
    SLIGHT = 2
    STRONG = 3


class Comparison(NamedTuple):
    """One measure of `n` pictures beside the reference's `reference_n`; means in the measure's own unit."""

    level: Level
    psi: float
    mean: float
    reference_mean: float
    n: int
    reference_n: int


def statistics(picture: Image.Image) -> list[float]:
    """Give the STATISTICS of an 8-bit grayscale picture in canonical form (ml.preprocess), rounded for storage."""
    levels = np.asarray(picture)
    counts = np.array(picture.histogram())
    shares, values = counts / counts.sum(), np.arange(256)
    mean = shares @ values
    so_far = np.cumsum(shares)
    found = (
        mean,
        math.sqrt(max(0.0, shares @ (values - mean) ** 2)),
        np.searchsorted(so_far, 0.05),
        np.searchsorted(so_far, 0.95),
        so_far[DARK - 1],
        shares[BRIGHT + 1 :].sum(),
        _mean_step(levels[:, 1:], levels[:, :-1]),
        _mean_step(levels[1:], levels[:-1]),
    )
    return [round(float(value), 4) for value in found]


def _mean_step(levels: np.ndarray, neighbours: np.ndarray) -> float:
    # Of bytes, whose difference may be below 0.
    return (np.maximum(levels, neighbours) - np.minimum(levels, neighbours)).mean()


def histogram(measure: str, values: Iterable[float]) -> list[int]:
    """Count `values` of `measure` in its bins."""
    scale = MEASURES[measure]
    inside = np.clip(np.fromiter(values, np.float64), scale.low, scale.high)
    return np.histogram(inside, scale.edges)[0].tolist()


def added(histograms: Iterable[Counts], bins: int) -> list[int]:
    """Add histograms of so many bins; one of another length, of another day's software, is passed over."""
    total = np.zeros(bins, np.int64)
    for counts in histograms:
        if len(counts) == bins:
            total += np.asarray(counts, np.int64)
    return total.tolist()


def reference_of(pictures: Sequence[Image.Image], probabilities: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Describe canonical `pictures` and the answers on them, as a checkpoint keeps it.

    `probabilities` are the (n,) calibrated ones, `labels` the true ones, (n,) 0/1.
    """
    found = np.array([statistics(picture) for picture in pictures])
    columns = dict(zip(STATISTICS, found.T, strict=True))
    return {
        "n": len(pictures),
        "pneumonias": int(np.sum(labels)),
        "histograms": {name: histogram(name, {PROBABILITY: probabilities, **columns}[name]) for name in MEASURES},
    }


def read_reference(told: Any) -> dict[str, list[int]]:
    """Give the histograms of a checkpoint's reference by measure; {} where it has none that is understood here."""
    histograms = told.get("histograms") if isinstance(told, Mapping) else None
    if not isinstance(histograms, Mapping):
        return {}
    return {name: histograms[name] for name, scale in MEASURES.items() if _fits(histograms.get(name), scale)}


def _fits(counts: Any, scale: Scale) -> bool:
    whole = isinstance(counts, list) and all(type(count) is int and count >= 0 for count in counts)
    return whole and len(counts) == scale.bins


def compare(measure: str, recent: Counts, reference: Counts) -> Comparison:
    """Set the histogram `recent` of a measure beside that of the `reference`.

    A level counts only beyond what chance alone would do once in a thousand times with so many pictures.
    """
    groups = _groups(reference)
    psi = stability_index([sum(recent[part]) for part in groups], [sum(reference[part]) for part in groups])
    n, reference_n = sum(recent), sum(reference)
    if n < LEAST or reference_n < LEAST or len(groups) < 2:
        level = Level.UNKNOWN
    elif psi < max(SLIGHT, by_chance(len(groups), n, reference_n)):
        level = Level.NONE
    else:
        level = Level.STRONG if psi >= STRONG else Level.SLIGHT
    return Comparison(level, psi, mean(measure, recent), mean(measure, reference), n, reference_n)


def stability_index(recent: Counts, reference: Counts) -> float:
    """Give the population stability index Σ (p - q) · ln(p / q) of two histograms over the same groups.

    It is Jeffreys' divergence (Kullback, Information Theory and Statistics, 1959). Half a count is added to each
    group, so that an empty one costs much and not everything.
    """
    p, q = (_shares(counts) for counts in (recent, reference))
    return float(((p - q) * np.log(p / q)).sum())


def _shares(counts: Counts) -> np.ndarray:
    smoothed = np.asarray(counts, np.float64) + 0.5
    return smoothed / smoothed.sum()


def by_chance(groups: int, n: int, reference_n: int) -> float:
    """Give the index that `n` pictures of the reference's own kind reach once in a thousand times.

    Without a change index / (1/n + 1/m) follows χ² with groups - 1 degrees of freedom (Yurdakul, Statistical Properties
    of Population Stability Index, 2018); its quantile is that of Wilson and Hilferty, 1931.
    """
    degrees = groups - 1
    spread = 2 / (9 * degrees)
    return (1 / n + 1 / reference_n) * degrees * (1 - spread + CHANCE * math.sqrt(spread)) ** 3


def _groups(reference: Counts) -> list[slice]:
    """Join neighbouring bins until each group holds GROUP_SHARE of the reference; a remainder joins the last one."""
    least = GROUP_SHARE * sum(reference)
    groups: list[slice] = []
    start = held = 0
    for place, count in enumerate(reference, start=1):
        held += count
        if held >= least:
            groups.append(slice(start, place))
            start, held = place, 0
    if start < len(reference):
        # Where one bin holds nearly all, what lies beyond it is a group of its own, however small.
        if len(groups) > 1:
            start = groups.pop().start
        groups.append(slice(start, len(reference)))
    return groups


def mean(measure: str, counts: Counts) -> float:
    """Estimate the mean of what was counted, as if all lay in the middle of its bin; 0 where nothing was."""
    edges, n = MEASURES[measure].edges, sum(counts)
    return float(np.dot(counts, (edges[:-1] + edges[1:]) / 2) / n) if n else 0.0


def quantile(edges: np.ndarray, counts: Counts, share: float) -> float:
    """Estimate the value below which `share` of what was counted lies, evenly spread within a bin; 0 for nothing."""
    total = np.concatenate([[0], np.cumsum(counts)])
    if not total[-1]:
        return 0.0
    place = min(int(np.searchsorted(total, share * total[-1], side="left")), len(counts))
    place = max(place, 1)
    inside = (share * total[-1] - total[place - 1]) / counts[place - 1]
    return float(edges[place - 1] + inside * (edges[place] - edges[place - 1]))
