"""The stress validation: held-out patients under shifts decide what a network is worth, and its operating point.

Inside the training hospital everything is easy; a choice made on pictures as they are would be made on noise. The
protocol is in protocol.md.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ml.calibration import Calibration, fit_calibration, operating_point, uncertain_band
from ml.dataset import Example
from ml.metrics import (
    curves,
    recall_by_cause,
    robustness_point,
    summarise,
    uncertain_summary,
)
from ml.shifts import SEVERITIES, SHIFTS, shifted
from ml.shortcuts import audit, statistics, statistics_rule

# The operating point: at least this share of the held-out pneumonias is found, pictures under all SHIFTS pooled.
SENSITIVITY = 0.97

# At most this share of either label lies on the wrong side beyond the uncertain band, pooled in the same way.
UNCERTAIN_SHARE = 0.01

# One more pass through the network for each shift and severity: a quarter of the pictures draw about the same curve.
ROBUSTNESS_STEP = 4

BATCH = 16

LogitsOf = Callable[[Sequence[Image.Image]], np.ndarray]


@dataclass(frozen=True)
class HeldOut:
    """Pictures of patients that no training saw: canonical, 8-bit grayscale; `rule` is what their statistics say."""

    examples: Sequence[Example]
    pictures: Sequence[Image.Image]
    rule: np.ndarray  # (n,) P(PNEUMONIA) by ml.shortcuts' rule, fitted on the training pictures, asked without a shift

    @property
    def labels(self) -> np.ndarray:
        """The true labels, (n,) 0/1."""
        return np.array([example.index for example in self.examples])

    @property
    def patients(self) -> np.ndarray:
        """Whose picture each is, (n,) str."""
        return np.array([example.patient for example in self.examples])


def hold_out(
    examples: Sequence[Example],
    pictures: Sequence[Image.Image],
    training: Sequence[Example],
    training_pictures: Sequence[Image.Image],
) -> HeldOut:
    """Fit the rule of picture statistics to the training pictures and ask it about the held-out ones."""
    rule = statistics_rule().fit(
        np.stack([statistics(picture) for picture in training_pictures]), [example.index for example in training]
    )
    found = np.stack([statistics(picture) for picture in pictures])
    return HeldOut(examples, pictures, rule.predict_proba(found)[:, 1])


@dataclass(frozen=True)
class Passes:
    """What a network said: (m, 2) `logits` of the held-out picture numbered `index` (m,) under `shift` (m,)."""

    logits: np.ndarray
    index: np.ndarray
    shift: np.ndarray

    def of(self, shift: str) -> "Passes":
        """Keep the passes under one shift."""
        kept = self.shift == shift
        return Passes(self.logits[kept], self.index[kept], self.shift[kept])


def all_passes(count: int) -> list[tuple[int, str]]:
    """Pair each of `count` pictures with every shift."""
    return [(index, shift) for shift in SHIFTS for index in range(count)]


def some_passes(count: int, shifts_each: int) -> list[tuple[int, str]]:
    """Pair each picture with none and `shifts_each` of the shifts in turn: a stress validation at a few passes."""
    names = [shift for shift in SHIFTS if shift != "none"]
    chosen = [(index, "none") for index in range(count)]
    # A stride that shares no factor with the number of shifts, so that neighbours get others.
    return chosen + [(i, names[(i * shifts_each + k) % len(names)]) for i in range(count) for k in range(shifts_each)]


def ask(logits_of: LogitsOf, pictures: Sequence[Image.Image], pairs: Sequence[tuple[int, str]]) -> Passes:
    """Let a network read (picture, shift) `pairs`."""
    found = [
        logits_of([shifted(pictures[index], shift) for index, shift in batch]) for batch in batched_lists(pairs, BATCH)
    ]
    indices, shifts = zip(*pairs, strict=True)
    return Passes(np.concatenate(found), np.array(indices), np.array(shifts))


def batched_lists(items: Sequence, size: int) -> Iterator[Sequence]:
    """Cut `items` into slices of at most `size`."""
    return (items[start : start + size] for start in range(0, len(items), size))


@dataclass(frozen=True)
class Choice:
    """What is chosen on the stress validation and written into the checkpoint."""

    calibration: Calibration
    threshold: float
    uncertain: tuple[float, float]


def choose(passes: Passes, labels: np.ndarray) -> Choice:
    """Fit calibration, operating point and uncertain band, all passes pooled. Raises CalibrationError."""
    truth = labels[passes.index]
    calibration = fit_calibration(passes.logits, truth)
    probabilities = calibration.probability(passes.logits)
    threshold = operating_point(probabilities, truth, sensitivity=SENSITIVITY)
    band = uncertain_band(probabilities, truth, threshold=threshold, share=UNCERTAIN_SHARE)
    return Choice(calibration, threshold, band)


def measure(passes: Passes, choice: Choice, held_out: HeldOut) -> dict[str, Any]:
    """Put every figure of the passes into the metadata's form; intervals are drawn by patient."""
    threshold = choice.threshold

    def parts(found: Passes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return (
            choice.calibration.probability(found.logits),
            held_out.labels[found.index],
            held_out.patients[found.index],
        )

    def summary(found: Passes) -> dict[str, Any]:
        probabilities, labels, patients = parts(found)
        return summarise(probabilities, labels, threshold, groups=patients.tolist())

    plain = passes.of("none")
    probabilities, labels, patients = parts(plain)
    causes = [held_out.examples[index].cause for index in plain.index]
    stressed, stressed_labels, stressed_patients = parts(passes)
    return {
        "targets": {"sensitivity": SENSITIVITY, "uncertain_share": UNCERTAIN_SHARE},
        "held_out": {shift: summary(passes.of(shift)) for shift in SHIFTS if shift in passes.shift},
        "stress": summary(passes),
        "by_cause": recall_by_cause(probabilities, causes, threshold, groups=patients.tolist()),
        "curves": curves(probabilities, labels),
        "stress_curves": curves(stressed, stressed_labels),
        "uncertain": uncertain_summary(probabilities, labels, threshold, choice.uncertain, groups=patients.tolist()),
        "shortcuts": audit(held_out.rule[plain.index], probabilities, labels, threshold, patients),
        "stress_shortcuts": audit(held_out.rule[passes.index], stressed, stressed_labels, threshold, stressed_patients),
    }


def worse_auc(metrics: Mapping[str, Any]) -> float | None:
    """Give what runs are compared by: the stress AUC where the statistics' rule is right, or wrong; the worse one.

    None where neither part holds both labels.
    """
    parts = metrics["stress_shortcuts"]
    found = [parts[name]["auc"] for name in ("rule_right", "rule_wrong")]
    return min((auc for auc in found if auc is not None), default=None)


def robustness(logits_of: LogitsOf, passes: Passes, choice: Choice, held_out: HeldOut) -> dict[str, list[dict]]:
    """Draw each shift's curve over SEVERITIES; severity 1 is taken from `passes`, the others are asked for."""
    chosen = np.arange(0, len(held_out.examples), ROBUSTNESS_STEP)
    labels = held_out.labels[chosen]
    pictures = [held_out.pictures[int(index)] for index in chosen]

    def point(shift: str, severity: float) -> dict[str, Any]:
        if severity in (0.0, 1.0):
            found = passes.of(shift if severity else "none")
            logits = found.logits[np.isin(found.index, chosen)]
        else:
            changed = [shifted(picture, shift, severity) for picture in pictures]
            logits = np.concatenate([logits_of(batch) for batch in batched_lists(changed, BATCH)])
        return robustness_point(choice.calibration.probability(logits), labels, choice.threshold, severity=severity)

    return {shift: [point(shift, severity) for severity in (0.0, *SEVERITIES)] for shift in SHIFTS if shift != "none"}
