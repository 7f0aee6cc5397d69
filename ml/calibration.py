"""From the network's logits to a probability that means what it says, and the operating point on it."""

from dataclasses import dataclass

import numpy as np


class CalibrationError(ValueError):
    """The logits can't be turned into probabilities; the text says why."""


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(d / temperature + bias), d = logit(PNEUMONIA) - logit(NORMAL)."""

    temperature: float
    bias: float

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """Turn (n, 2) logits into (n,) calibrated probabilities of PNEUMONIA, 0..1."""
        scaled = (logits[:, 1] - logits[:, 0]) / self.temperature + self.bias
        return 0.5 * (1.0 + np.tanh(scaled / 2.0))  # the sigmoid, without its overflow


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit temperature and bias to (n, 2) logits and (n,) labels 0/1 by maximum likelihood.

    Platt 1999, "Probabilistic outputs for support vector machines"; without the bias it is the temperature scaling
    of Guo et al. 2017, "On calibration of modern neural networks". As in Platt's paper a label counts as certain only
    up to one unseen picture of the other kind, which keeps the fit finite where few pictures are told apart without
    error. Raises CalibrationError when the logits don't rank PNEUMONIA above NORMAL at all.
    """
    # Here, because a worker only applies a calibration.
    from sklearn.linear_model import LogisticRegression

    difference = (logits[:, 1] - logits[:, 0]).astype(np.float64).reshape(-1, 1)
    ill, well = np.count_nonzero(labels == 1), np.count_nonzero(labels == 0)
    target = np.where(labels == 1, (ill + 1) / (ill + 2), 1 / (well + 2))
    # scikit-learn wants labels: each picture counts as ill with the weight of its target, and as well with the rest.
    fitted = LogisticRegression(C=np.inf).fit(
        np.concatenate([difference, difference]),
        np.repeat([1, 0], len(target)),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    slope = float(fitted.coef_[0, 0])
    if slope <= 0:
        raise CalibrationError("The logits rank NORMAL above PNEUMONIA: there is nothing to calibrate.")
    return Calibration(temperature=1.0 / slope, bias=float(fitted.intercept_[0]))


def operating_point(probabilities: np.ndarray, labels: np.ndarray, *, sensitivity: float) -> float:
    """Give the highest threshold at which at least `sensitivity` (0..1) of the pneumonias are at or above it."""
    pneumonias = np.sort(probabilities[labels == 1])[::-1]
    needed = int(np.ceil(sensitivity * len(pneumonias)))
    return float(pneumonias[needed - 1])


def uncertain_band(
    probabilities: np.ndarray, labels: np.ndarray, *, threshold: float, share: float
) -> tuple[float, float]:
    """Give (low, high) around `threshold`: no more than `share` (0..1) of the pneumonias lie below low, nor of the
    normals above high. An answer within is called uncertain.
    """
    low = operating_point(probabilities, labels, sensitivity=1 - share)
    normals = np.sort(probabilities[labels == 0])
    high = float(normals[int(np.ceil((1 - share) * len(normals))) - 1])
    return min(low, threshold), max(high, threshold)
