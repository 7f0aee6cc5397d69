"""The audit of shortcuts: what simple statistics of a picture tell about its label, and whether the network follows.

In the public data set normals were larger, sharper pictures of another shape before they were squashed. A rule on
fifteen statistics finds most labels without looking at a lung; a network that does the same is worth nothing in
another hospital. So the pictures on which the rule is wrong are measured apart from the others.

    python -m ml.shortcuts --data data/chest_xray/train

tells how well the rule does on the pictures as they are, and on what each augmentation makes of them: the nearer to an
AUC of 0.5, the less of that road is left to a network.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image

from ml.augmentation import AUGMENTATIONS
from ml.dataset import DatasetError, drop_duplicates, load_canonical, read_folder
from ml.drift import BRIGHT, DARK
from ml.metrics import share_of
from ml.preprocess import CANONICAL_SIZE, squash

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
    rule: np.ndarray, probabilities: np.ndarray, labels: np.ndarray, threshold: float, patients: ArrayLike
) -> dict[str, Any]:
    """Set the network's (n,) probabilities against the (n,) probabilities of the statistics `rule`.

    "correlation" is Spearman's between the two within each label, averaged over both labels: all labels together, two
    good classifiers correlate whatever they look at; None where either is constant. "rule_right" and "rule_wrong" are
    the network's accuracy on the pictures that the rule gets right (at 0.5) and wrong, with the network's AUC among
    them (None of one label alone); intervals by `patients`, (n,).
    """
    from sklearn.metrics import roc_auc_score

    patients = np.asarray(patients)
    right = (rule >= 0.5) == (labels == 1)
    correct = (probabilities >= threshold) == (labels == 1)
    within = [_rank_correlation(rule[labels == label], probabilities[labels == label]) for label in (0, 1)]
    defined = [correlation for correlation in within if correlation is not None]
    parts = {
        name: {
            "n": int(part.sum()),
            "auc": float(roc_auc_score(labels[part], probabilities[part])) if len(set(labels[part])) == 2 else None,
            "patients": len(set(patients[part])),
            **{
                figure: share_of(correct[part & among], groups=patients[part & among].tolist())
                for figure, among in (("accuracy", labels >= 0), ("recall", labels == 1), ("specificity", labels == 0))
            },
        }
        for name, part in (("rule_right", right), ("rule_wrong", ~right))
    }
    return {
        "statistics_auc": float(roc_auc_score(labels, rule)),
        "correlation": float(np.mean(defined)) if defined else None,
        **parts,
    }


def _rank_correlation(one: np.ndarray, other: np.ndarray) -> float | None:
    from scipy.stats import spearmanr

    if len(set(one)) < 2 or len(set(other)) < 2:
        return None
    return float(spearmanr(one, other).statistic)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when the data can't be used."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--size", type=int, default=CANONICAL_SIZE, help="pixels that the network sees")
    arguments = parser.parse_args(argv)
    try:
        examples = drop_duplicates(read_folder(arguments.data))
    except DatasetError as error:
        print(error, file=sys.stderr)
        return 1
    labels, patients = np.array([e.index for e in examples]), [e.patient for e in examples]
    pictures = [load_canonical(example.path) for example in examples]
    print(f"{len(examples)} pictures of {len(set(patients))} patients at {arguments.size} pixels; cross-validated AUC")
    for name, change in {"as they are": None, **AUGMENTATIONS}.items():
        changed = (
            picture if change is None else change(picture, np.random.default_rng(place))
            for place, picture in enumerate(pictures)
        )
        found = np.stack([statistics(squash(picture, arguments.size)) for picture in changed])
        print(f"{name:>12}  {_rule_auc(found, labels, patients):.3f}", flush=True)
    return 0


def _rule_auc(found: np.ndarray, labels: np.ndarray, patients: Sequence[str]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, cross_validated(found, labels, patients)))


if __name__ == "__main__":
    sys.exit(main())
