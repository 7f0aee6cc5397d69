"""The audit of shortcuts: what simple statistics of a picture tell about its label, and whether the network follows.

In the public data set normals were larger, sharper pictures of another shape before they were squashed. A rule on
fifteen statistics finds most labels without looking at a lung; a network that does the same is worth nothing in
another hospital. So the pictures on which the rule is wrong are measured apart from the others.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ml.metrics import proportion

STATISTICS = (
    "mean",
    "deviation",
    *(f"percentile {p}" for p in (1, 10, 25, 50, 75, 90, 99)),
    "dark share",
    "bright share",
    "horizontal gradient",
    "vertical gradient",
    "side borders",
    "top and bottom borders",
)

# A twentieth of the side on each edge.
BORDER_SHARE = 0.05
DARK, BRIGHT = 30, 225  # grey levels
FOLDS = 5


def statistics(picture: Image.Image) -> np.ndarray:
    """Give the STATISTICS of an 8-bit grayscale picture as (15,) float64; levels and gradients in grey levels."""
    levels = np.asarray(picture, np.float64)
    rows, columns = (max(1, round(BORDER_SHARE * side)) for side in levels.shape)
    return np.array(
        [
            levels.mean(),
            levels.std(),
            *np.percentile(levels, (1, 10, 25, 50, 75, 90, 99)),
            (levels < DARK).mean(),
            (levels > BRIGHT).mean(),
            np.abs(np.diff(levels, axis=1)).mean(),
            np.abs(np.diff(levels, axis=0)).mean(),
            np.concatenate([levels[:, :columns], levels[:, -columns:]], axis=1).mean(),
            np.concatenate([levels[:rows], levels[-rows:]]).mean(),
        ]
    )


def statistics_rule():
    """Make the unfitted rule: gradient-boosted trees from (n, 15) STATISTICS to a label."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(max_iter=150, learning_rate=0.1, random_state=0)


def cross_validated(found: np.ndarray, labels: np.ndarray, patients: Sequence[str]) -> np.ndarray:
    """Give (n,) P(PNEUMONIA) by the rule, for each picture from the FOLDS - 1 folds that its patient is not in."""
    from sklearn.model_selection import GroupKFold, cross_val_predict

    return cross_val_predict(
        statistics_rule(), found, labels, groups=patients, cv=GroupKFold(FOLDS), method="predict_proba"
    )[:, 1]


def audit(
    rule: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, threshold: float, patients: Sequence[str]
) -> dict[str, Any]:
    """Set the network's (n,) probabilities against the (n,) probabilities of the statistics `rule`.

    "correlation" is Spearman's between the two within each label, averaged over both labels: all labels together, two
    good classifiers correlate whatever they look at. "rule_right" and "rule_wrong" are the network's accuracy on the
    pictures that the rule gets right (at 0.5) and wrong, with the network's AUC among them (None of one label alone).
    """
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    right = (rule >= 0.5) == (labels == 1)
    correct = (probabilities >= threshold) == (labels == 1)
    within = [spearmanr(rule[labels == label], probabilities[labels == label]).statistic for label in (0, 1)]
    parts = {
        name: {
            "n": int(part.sum()),
            "auc": float(roc_auc_score(labels[part], probabilities[part])) if len(set(labels[part])) == 2 else None,
            "patients": len({patient for patient, inside in zip(patients, part, strict=True) if inside}),
            "accuracy": proportion(int(correct[part].sum()), int(part.sum())),
            "recall": proportion(int((correct & part & (labels == 1)).sum()), int((part & (labels == 1)).sum())),
            "specificity": proportion(int((correct & part & (labels == 0)).sum()), int((part & (labels == 0)).sum())),
        }
        for name, part in (("rule_right", right), ("rule_wrong", ~right))
    }
    return {
        "statistics_auc": float(roc_auc_score(labels, rule)),
        "correlation": float(np.mean(within)),
        **parts,
    }
