"""Figures of merit with 95 % intervals, from probabilities of PNEUMONIA and labels."""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix

# Guo et al. 2017, "On calibration of modern neural networks": 15 bins of equal width.
BINS = 15

# Of a two-sided 95 % interval under the normal distribution.
Z = 1.959964

Interval = dict[str, float | None]
UNDEFINED: Interval = {"value": None, "low": None, "high": None}


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
    f1, auc, auprc, log_loss, brier and ece. The bootstrap draws whole `groups` (patients) where they are given, else
    single pictures. A figure that the labels leave undefined, such as the AUC of one label alone, is None in all
    three places. "confusion" and "n" are counts. Everything can be written as JSON.
    Raises ValueError for empty or impossible input.
    """
    probabilities, labels = checked(probabilities, labels)
    counts = confusion(probabilities, labels, threshold)
    sampled = _measures(probabilities, labels, threshold, _weights(len(labels), groups, draws=draws, seed=seed))
    return {
        **_proportions(counts),
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


def proportion(successes: int, total: int) -> Interval:
    """Give successes / total with Wilson's score interval (Wilson 1927); of nothing it is undefined."""
    if total == 0:
        return dict(UNDEFINED)
    share = successes / total
    middle = (share + Z**2 / (2 * total)) / (1 + Z**2 / total)
    half = Z / (1 + Z**2 / total) * (share * (1 - share) / total + Z**2 / (4 * total**2)) ** 0.5
    # Rounding must not put 0 of n or n of n outside of their own interval.
    return {"value": share, "low": min(share, max(0.0, middle - half)), "high": max(share, min(1.0, middle + half))}


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> dict[str, float | None]:
    """Give PPV and NPV at a stated `prevalence` (each 0..1) by Bayes' rule; None where nobody gets that answer."""
    found, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    cleared, alarmed = specificity * (1 - prevalence), (1 - specificity) * (1 - prevalence)
    return {
        "ppv": found / (found + alarmed) if found + alarmed else None,
        "npv": cleared / (cleared + missed) if cleared + missed else None,
    }


def reliability_bins(probabilities: ArrayLike, labels: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give (mean probability, share of PNEUMONIA, pictures) of each non-empty bin of the reliability plot."""
    p, y = checked(probabilities, labels)
    share, mean = calibration_curve(y, p, n_bins=BINS)
    counts = np.bincount(_bins(p), minlength=BINS)
    return mean, share, counts[counts > 0]


def _proportions(counts: dict[str, int]) -> dict[str, Interval]:
    tn, fp, fn, tp = counts.values()
    return {
        "accuracy": proportion(tp + tn, tp + tn + fp + fn),
        "recall": proportion(tp, tp + fn),
        "precision": proportion(tp, tp + fp),
        "specificity": proportion(tn, tn + fp),
        "npv": proportion(tn, tn + fn),
    }


def _weights(n: int, groups: Sequence[Hashable] | None, *, draws: int, seed: int) -> np.ndarray:
    """Give (1 + draws, n): how often each picture counts; all once in row 0, as drawn with replacement below."""
    if groups is not None and len(groups) != n:
        raise ValueError(f"expected one group for each of {n} pictures, got {len(groups)}")
    index = {group: i for i, group in enumerate(dict.fromkeys(groups))} if groups is not None else {}
    member = np.array([index[group] for group in groups]) if groups is not None else np.arange(n)
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
