"""Figures of merit with 95 % intervals, from probabilities of PNEUMONIA and labels."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_auc_score, roc_curve

from ml.intervals import UNDEFINED, Interval, proportion
from ml.prevalence import PREVALENCES, predictive_values

# Guo et al. 2017, "On calibration of modern neural networks": 15 bins of equal width.
BINS = 15

# A curve that is stored: enough points for a plot of any size on a page.
CURVE_POINTS = 60

# A curve to be thinned: one point is dropped at a time, so thousands are too slow and say nothing more.
CURVE_DRAFT = 4000

CAUSES = ("bacteria", "virus")


def summarise(
    probabilities: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    *,
    groups: Sequence[Hashable] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> dict:
    """Measure (n,) probabilities of PNEUMONIA, 0..1, against (n,) labels 0/1; at or above `threshold` is PNEUMONIA.

    Each figure is {"value", "low", "high"} with its 95 % interval: Wilson's for proportions, a seeded bootstrap for
    f1, auc, auprc, log_loss, brier and ece. Where `groups` (patients) are given, the bootstrap draws whole groups and
    Wilson's interval takes the effective number of pictures, see `effective_size`. A figure that the labels leave
    undefined, such as the AUC of one label alone, is None in all three places. "confusion" and "n" are counts.
    Everything can be written as JSON.
    Raises ValueError for empty or impossible input.
    """
    probabilities, labels = checked(probabilities, labels)
    counts = confusion(probabilities, labels, threshold)
    sampled = _measures(probabilities, labels, threshold, _weights(len(labels), groups, draws=draws, seed=seed))
    return {
        **_proportions(probabilities >= threshold, labels, groups),
        **{name: _spread(values) for name, values in sampled.items()},
        "confusion": counts,
        "n": len(labels),
    }


def checked(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Give both as arrays, (n,) float64 and (n,) int; raises ValueError for what can't be measured."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    if p.ndim != 1 or p.shape != y.shape or p.size == 0:
        raise ValueError(f"expected as many probabilities as labels and at least one, got {p.shape} and {y.shape}")
    if not np.isin(y, (0, 1)).all():
        raise ValueError("labels have to be 0 (NORMAL) or 1 (PNEUMONIA)")
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError("probabilities have to be within 0..1")
    return p, y.astype(int)


def confusion(probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> dict[str, int]:
    """Count the four outcomes; the names say what was answered and whether it is true."""
    matrix = confusion_matrix(labels, probabilities >= threshold, labels=[0, 1])
    names = ("true_normal", "false_pneumonia", "false_normal", "true_pneumonia")
    return dict(zip(names, matrix.ravel().tolist(), strict=True))


def share_of(hits: ArrayLike, *, groups: Sequence[Hashable] | None = None) -> Interval:
    """Give the share of True among (n,) `hits`, as {"value", "low", "high", "n"}; intervals by `groups` if given."""
    found = np.asarray(hits, bool)
    effective = None if groups is None else effective_size(found, groups)
    return {**proportion(int(found.sum()), found.size, effective=effective), "n": found.size}


def effective_size(hits: ArrayLike, groups: Sequence[Hashable]) -> float:
    """Give how many independent pictures (n,) `hits` are worth, when those of a group (a patient) resemble each other.

    n divided by the design effect of Kish 1965, "Survey sampling", never more than n; for Wilson's interval as in
    Franco et al. 2019, "Comparative study of confidence intervals for proportions in complex sample surveys". Where
    all hits are alike the design effect can't be seen, and each group counts once.
    """
    found = np.asarray(hits, float)
    n, member = found.size, _numbered(groups)
    if n == 0:
        return 0.0
    share, count = found.mean(), int(member.max()) + 1
    if share in (0.0, 1.0) or count == 1:
        return float(count)
    surplus = np.bincount(member, found - share)
    variance = (surplus**2).sum() * count / (count - 1) / n**2
    return float(min(n, share * (1 - share) / variance)) if variance else float(n)


def at_prevalences(summary: dict) -> list[dict[str, Any]]:
    """Give {"prevalence", "ppv", "npv"} of a summary where pneumonia is as rare as PREVALENCES say; both as intervals.

    Nothing where one label is absent: recall or specificity is undefined then.
    """
    recall, specificity = summary["recall"], summary["specificity"]
    if recall["value"] is None or specificity["value"] is None:
        return []
    return [{"prevalence": share, **predictive_values(recall, specificity, share)} for share in PREVALENCES]


def reliability_bins(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give (mean probability, share of PNEUMONIA, pictures) of each non-empty bin of the reliability plot."""
    p, y = checked(probabilities, labels)
    share, mean = calibration_curve(y, p, n_bins=BINS)
    counts = np.bincount(_bins(p), minlength=BINS)
    return mean, share, counts[counts > 0]


def curves(probabilities: ArrayLike, labels: ArrayLike) -> dict[str, list[list[float]]]:
    """Give what is needed to draw the curves, each of at most CURVE_POINTS points rounded to 4 digits, fit for JSON.

    "roc": [[false positive rate, true positive rate], ...] from [0, 0] to [1, 1];
    "precision_recall": [[recall, precision], ...], recall rising from 0 to 1;
    "reliability": [[mean probability, share of PNEUMONIA, n], ...], one for each non-empty bin.
    The first two are left out where one label is absent. Raises ValueError as `summarise` does.
    """
    p, y = checked(probabilities, labels)
    mean, share, counts = reliability_bins(p, y)
    bins = [
        [round(m, 4), round(s, 4), n] for m, s, n in zip(mean.tolist(), share.tolist(), counts.tolist(), strict=True)
    ]
    if len(np.unique(y)) == 1:
        return {"reliability": bins}
    false_alarms, found, _ = roc_curve(y, p)
    precision, recall, _ = precision_recall_curve(y, p)
    return {
        "roc": thinned(np.column_stack([false_alarms, found])),
        "precision_recall": thinned(np.column_stack([recall, precision])[::-1]),
        "reliability": bins,
    }


def thinned(points: np.ndarray) -> list[list[float]]:
    """Keep at most CURVE_POINTS of the (n, 2) `points` of a line: both ends, and the corners that matter most.

    The point whose triangle with its neighbours has the least area goes first: Visvalingam & Whyatt 1993, "Line
    generalisation by repeated elimination of points".
    """
    if len(points) > CURVE_DRAFT:
        points = points[np.linspace(0, len(points) - 1, CURVE_DRAFT).astype(int)]
    while len(points) > CURVE_POINTS:
        to_next, to_far = points[1:-1] - points[:-2], points[2:] - points[:-2]
        areas = np.abs(to_next[:, 0] * to_far[:, 1] - to_next[:, 1] * to_far[:, 0])
        points = np.delete(points, 1 + int(areas.argmin()), axis=0)
    return np.round(points, 4).tolist()


def recall_by_cause(
    probabilities: ArrayLike,
    causes: Sequence[str | None],
    threshold: float,
    *,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, Interval]:
    """Give the recall at `threshold` for each of CAUSES that occurs, as {"value", "low", "high", "n"}.

    `causes` holds one of CAUSES or None (a normal picture, or an unknown cause) for each of (n,) `probabilities`.
    """
    found, of = np.asarray(probabilities) >= threshold, np.array([cause or "" for cause in causes])
    return {cause: share_of(found[of == cause], groups=_of(groups, of == cause)) for cause in CAUSES if cause in of}


def uncertain_summary(
    probabilities: ArrayLike,
    labels: ArrayLike,
    threshold: float,
    band: tuple[float, float],
    *,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, Interval]:
    """Tell what calling probabilities within `band` (low, high; both ends belong to it) uncertain buys.

    "share" of the pictures that are uncertain, "accuracy_outside" and "accuracy_inside" of the answers at `threshold`;
    each {"value", "low", "high", "n"}, undefined where there is no such picture. Raises ValueError as `summarise` does.
    """
    p, y = checked(probabilities, labels)
    uncertain, right = (band[0] <= p) & (p <= band[1]), (p >= threshold) == y
    return {
        "share": share_of(uncertain, groups=groups),
        "accuracy_outside": share_of(right[~uncertain], groups=_of(groups, ~uncertain)),
        "accuracy_inside": share_of(right[uncertain], groups=_of(groups, uncertain)),
    }


def robustness_point(probabilities: ArrayLike, labels: ArrayLike, threshold: float, *, severity: float) -> dict:
    """Give one point of a robustness curve: {"severity", "n", "auc", "recall", "specificity"}, plain numbers.

    A figure that the labels leave undefined is None. Raises ValueError as `summarise` does.
    """
    p, y = checked(probabilities, labels)
    both = len(np.unique(y)) == 2
    return {
        "severity": severity,
        "n": len(y),
        "auc": float(roc_auc_score(y, p)) if both else None,
        "recall": share_of(p[y == 1] >= threshold)["value"],
        "specificity": share_of(p[y == 0] < threshold)["value"],
    }


def _of(groups: Sequence[Hashable] | None, mask: np.ndarray) -> list[Hashable] | None:
    return None if groups is None else [group for group, chosen in zip(groups, mask, strict=True) if chosen]


def _numbered(groups: Sequence[Hashable]) -> np.ndarray:
    """Give each group's number, (n,) int, in the order of their first pictures."""
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))}
    return np.array([index[group] for group in groups], int)


def _proportions(called: np.ndarray, labels: np.ndarray, groups: Sequence[Hashable] | None) -> dict[str, Interval]:
    ill, right = labels == 1, called == (labels == 1)
    among = {
        "accuracy": np.ones_like(ill),
        "recall": ill,
        "precision": called,
        "specificity": ~ill,
        "npv": ~called,
    }
    shares = {name: share_of(right[mask], groups=_of(groups, mask)) for name, mask in among.items()}
    return {name: {key: share[key] for key in UNDEFINED} for name, share in shares.items()}


def _weights(n: int, groups: Sequence[Hashable] | None, *, draws: int, seed: int) -> np.ndarray:
    """Give (1 + draws, n): how often each picture counts; all once in row 0, as drawn with replacement below."""
    if groups is not None and len(groups) != n:
        raise ValueError(f"expected one group for each of {n} pictures, got {len(groups)}")
    member = np.arange(n) if groups is None else _numbered(groups)
    count = member.max() + 1
    drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
    return np.vstack([np.ones((1, n)), drawn[:, member]])


def _measures(p: np.ndarray, y: np.ndarray, threshold: float, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute each figure for every row of (draws, n) `weights` at once; NaN where a row leaves it undefined."""
    total = weights.sum(axis=1)
    tiny = np.finfo(np.float64).eps
    losses = -np.log(np.clip(np.where(y == 1, p, 1 - p), tiny, 1 - tiny))
    called = p >= threshold
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = 2 * (weights @ (called & (y == 1))) / (weights @ called + weights @ (y == 1))
        return {
            "f1": f1,
            "auc": _auc(p, y, weights),
            "auprc": _average_precision(p, y, weights),
            "log_loss": weights @ losses / total,
            "brier": weights @ (p - y) ** 2 / total,
            "ece": _ece(p, y, weights),
        }


def _at_each_level(p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum the weights of (PNEUMONIA, NORMAL) at each distinct probability, rising: twice (draws, levels)."""
    order = np.argsort(p)
    starts = np.flatnonzero(np.diff(p[order], prepend=-1.0))
    ordered = weights[:, order]
    return np.add.reduceat(ordered * y[order], starts, axis=1), np.add.reduceat(
        ordered * (1 - y[order]), starts, axis=1
    )


def _auc(p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    ill, well = _at_each_level(p, y, weights)
    below = np.cumsum(well, axis=1) - well / 2  # a tie counts one half
    return (ill * below).sum(axis=1) / (ill.sum(axis=1) * well.sum(axis=1))


def _average_precision(p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    ill, well = (level[:, ::-1] for level in _at_each_level(p, y, weights))
    found = np.cumsum(ill, axis=1)
    called = found + np.cumsum(well, axis=1)
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    # Of one label alone it would be a perfect 1, which says nothing.
    return np.where(well.any(axis=1), (ill * precision).sum(axis=1) / ill.sum(axis=1), np.nan)


def _ece(p: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Expected calibration error of P(PNEUMONIA): the mean gap between it and the share of PNEUMONIA, bin by bin."""
    gaps = (p - y)[:, np.newaxis] * np.eye(BINS)[_bins(p)]
    return np.abs(weights @ gaps).sum(axis=1) / weights.sum(axis=1)


def _bins(p: np.ndarray) -> np.ndarray:
    """Number the bins 0..BINS-1; the edges fall as scikit-learn's calibration_curve lets them fall."""
    return np.searchsorted(np.linspace(0.0, 1.0, BINS + 1)[1:-1], p)


def _spread(values: np.ndarray) -> Interval:
    """Turn row 0 (all pictures once) and the draws below it into a value with its percentile interval."""
    value, drawn = values[0], values[1:][np.isfinite(values[1:])]
    if not np.isfinite(value):
        return dict(UNDEFINED)
    low, high = np.percentile(drawn, (2.5, 97.5)) if drawn.size else (value, value)
    return {"value": float(value), "low": float(low), "high": float(high)}
