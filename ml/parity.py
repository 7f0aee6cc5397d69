"""How far the answers of a graph lie from those of the network that it was made of."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score

from ml.stress import Choice, Passes

# What a graph has to keep to, on the held-out pictures as they are: as shares of them, and as a probability.
MOST_FLIPS = 0.005
MOST_AUC_LOSS = 0.001
MOST_CHANGE = 0.05


@dataclass(frozen=True)
class Parity:
    """Two engines' answers to the same `n` pictures."""

    n: int
    flips: int  # other labels
    auc_loss: float  # negative: the graph ranks better
    largest_change: float  # of a probability
    usual_change: float  # of a probability, on average

    @property
    def keeps_answers(self) -> bool:
        """Tell whether the graph may serve in the network's place."""
        return (
            self.flips <= MOST_FLIPS * self.n and self.auc_loss <= MOST_AUC_LOSS and self.largest_change <= MOST_CHANGE
        )

    def as_json(self) -> dict[str, Any]:
        """Give the fields for the metadata."""
        return asdict(self)


def compare(found: Passes, reference: Passes, labels: np.ndarray, *, by: Choice, reference_by: Choice) -> Parity:
    """Compare a graph's passes with the reference's, of the same pictures under the same shifts.

    Each is judged at its own operating point, as a version would be that the engine serves.
    """
    p, expected = by.calibration.probability(found.logits), reference_by.calibration.probability(reference.logits)
    truth = labels[found.index]
    return Parity(
        n=len(truth),
        flips=int(np.count_nonzero((p >= by.threshold) != (expected >= reference_by.threshold))),
        auc_loss=float(roc_auc_score(truth, expected) - roc_auc_score(truth, p)),
        largest_change=float(np.abs(p - expected).max()),
        usual_change=float(np.abs(p - expected).mean()),
    )
