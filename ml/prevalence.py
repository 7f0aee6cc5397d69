"""What an answer is worth where pneumonia is rare: standard library only, for training, reports and pages alike."""

from collections.abc import Mapping
from math import inf, sqrt

# The share of pneumonia among those X-rayed differs from place to place; the data set's own is far above any of them.
PREVALENCES = (0.05, 0.10, 0.30)

# {"value", "low", "high"}, each 0..1; the last two None where no interval is known.
Share = Mapping[str, float | None]
UNKNOWN: dict[str, float | None] = {"value": None, "low": None, "high": None}


def predictive_values(sensitivity: Share, specificity: Share, prevalence: float) -> dict[str, dict[str, float | None]]:
    """Give "ppv" and "npv" at a stated `prevalence` (between 0 and 1) by Bayes' rule, each a share with its interval.

    All of it is None where nobody gets that answer. Sensitivity and specificity come from different patients, so the
    interval of wrong answers for each right one follows from theirs (MOVER: Donner and Zou 2012, "Closed-form
    confidence intervals for functions of the normal mean and standard deviation"); the prevalence is taken as known.
    """
    odds = prevalence / (1 - prevalence)
    return {
        "ppv": _worth(_others(specificity), sensitivity, odds),
        "npv": _worth(_others(sensitivity), specificity, 1 / odds),
    }


def _others(share: Share) -> Share:
    low, high = share.get("high"), share.get("low")
    return {
        "value": None if share["value"] is None else 1 - share["value"],
        "low": None if low is None else 1 - low,
        "high": None if high is None else 1 - high,
    }


def _worth(wrong: Share, right: Share, odds: float) -> dict[str, float | None]:
    """Give the share of right answers of one kind; `odds` people can get it rightly for each who can wrongly."""
    w, w_low, w_high = (wrong.get(key) for key in UNKNOWN)
    r, r_low, r_high = (right.get(key) for key in UNKNOWN)
    if w is None or r is None or not w + r:
        return UNKNOWN
    value = odds * r / (odds * r + w)
    if w_low is None or w_high is None or r_low is None or r_high is None:
        return UNKNOWN | {"value": value}
    least = _end(w, w_low, r, r_high, -1) if 2 * r > r_high else 0.0
    most = _end(w, w_high, r, r_low, 1) if r_low else inf
    return {"value": value, "low": odds / (odds + most), "high": odds / (odds + least)}


def _end(w: float, w_end: float, r: float, r_end: float, sign: int) -> float:
    """Give one end of the interval of w / r, from the ends of their own that lead there."""
    inner = (w * r) ** 2 - w_end * r_end * (2 * w - w_end) * (2 * r - r_end)
    return (w * r + sign * sqrt(max(0.0, inner))) / (r_end * (2 * r - r_end))
