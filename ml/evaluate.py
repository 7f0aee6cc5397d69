"""Measure a checkpoint at its own operating point on a folder of labelled pictures, through the code that serves them.

    python -m ml.evaluate --data data/chest_xray/test --report report

The folder holds NORMAL/ and PNEUMONIA/ with pictures of any size. Every picture counts: exact duplicates (their number
is reported), and those that the site would refuse as no chest X-ray (their number is, and the figures without them). A
picture that can't be read has no answer and is in no figure: it is named, and the exit code is 1. What is no .jpeg,
.jpg or .png file is named and left out.

--report DIR writes report.json, report.md, the plots, and errors.png: a contact sheet of wrong answers. The sheet shows
pictures of the folder: where their licence or somebody's privacy forbids that, it must not be published. It holds the
robustness curves too, of a large folder on every fourth picture: --robustness takes all, --no-robustness none. They
tell how many labels change, also under text in the corners, the same always (training may have seen other text). With
them it tells what share of other pictures is refused, by kind: of those of ml.others, of the folder's own X-rays turned
and inverted, and of your own in the subfolders of --others DIR.

--held-out takes the folder that the checkpoint was trained on, and of it only the patients that it was not trained on.

This is the only program that reads the official test split.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from ml import report as reports
from ml.checkpoint import SHIPPED, Checkpoint, CheckpointError
from ml.dataset import DatasetError, Example, data_hash, drop_duplicates, left_out, load_canonical, read_folder
from ml.engine import ENGINES
from ml.gallery import WrongAnswer, contact_sheet
from ml.heatmap import PLACES, hottest
from ml.metrics import (
    at_prevalences,
    curves,
    recall_by_cause,
    robustness_point,
    share_of,
    summarise,
    uncertain_summary,
)
from ml.others import altered, made, read_kinds
from ml.shifts import MEASURED, SEVERITIES, shifted
from ml.shortcuts import FOLDS, audit, cross_validated, statistics
from ml.split import held_out_of
from ml.stress import ROBUSTNESS_STEP

if TYPE_CHECKING:
    from ml.classifier import Classification, Classifier

# Originals are up to 2,700 pixels wide: a few at a time, not the folder at once.
BATCH = 16

# From so many pictures on a part of them draws about the same robustness curves, in a part of the time.
MANY = 100 * ROBUSTNESS_STEP

# What a person can look through at one sitting; with more, the most confident of the wrong answers are shown.
SHOWN_ERRORS = 40


@dataclass(frozen=True)
class Answers:
    """What a classifier said about a folder: n `classifications` of `examples`, in the same order."""

    examples: list[Example]
    classifications: "list[Classification]"
    unreadable: list[Example]

    @property
    def labels(self) -> np.ndarray:
        """The true labels, (n,) 0/1."""
        return np.array([example.index for example in self.examples])

    @property
    def probabilities(self) -> np.ndarray:
        """The calibrated probabilities of PNEUMONIA, (n,) 0..1."""
        return np.array([answer.probability for answer in self.classifications])

    @property
    def refused(self) -> np.ndarray:
        """Which pictures the site would refuse as no chest X-ray, (n,) bool."""
        return np.array([not answer.is_chest_xray for answer in self.classifications])

    @property
    def patients(self) -> list[str]:
        """Whose picture each is: intervals are drawn by patient."""
        return [example.patient for example in self.examples]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when anything could not be read or written."""
    arguments = parse_arguments(argv)
    try:
        checkpoint = Checkpoint.read(arguments.checkpoint)
        examples = held_out_of(checkpoint, arguments.data) if arguments.held_out else read_folder(arguments.data)
        own = read_others(arguments.others) if arguments.others else {}
        checkpoint.verify()
        make_places(arguments)

        from ml.classifier import Classifier  # here: an engine takes seconds, a wrong path is told at once

        classifier = Classifier.load(arguments.checkpoint, engine=arguments.engine)
        answers = ask(classifier, examples)
        report = describe(answers, classifier.checkpoint, engine=classifier.engine)
        report["held_out"], report["left_out"] = arguments.held_out, left_out(arguments.data)
        if arguments.robustness or (arguments.report and arguments.robustness is None):
            every = bool(arguments.robustness)
            report["robustness"] = robustness(classifier, answers, every=every)
            report["others"] = others(classifier, answers, every=every)
        if own:
            report["others"] = report.get("others", {}) | {kind: refused(classifier, own[kind]) for kind in own}
        print(reports.table(report))
        write(answers, report, arguments)
    except (DatasetError, CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for name in report["unreadable"]:
        print(f"{name} can't be read as a picture; it is in no figure above.", file=sys.stderr)
    return 1 if report["unreadable"] else 0


def parse_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with NORMAL/ and PNEUMONIA/")
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED, metavar="DIR", help="default: the shipped one")
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="",
        help="default: INFERENCE_ENGINE, or what serves: openvino where the checkpoint has a graph, else tensorflow",
    )
    parser.add_argument(
        "--held-out", action="store_true", help="DIR is what the checkpoint was trained on: only who was held out"
    )
    parser.add_argument("--others", type=Path, metavar="DIR", help="pictures to be refused, a subfolder for each kind")
    parser.add_argument("--report", type=Path, metavar="DIR", help="write figures, plots and the wrong answers there")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw the plots there")
    parser.add_argument(
        "--robustness",
        action=argparse.BooleanOptionalAction,
        help=f"measure under each shift at severities {', '.join(map(str, SEVERITIES))} too, one pass for each "
        f"(default: with --report, on every {ROBUSTNESS_STEP}th of {MANY} pictures or more)",
    )
    return parser.parse_args(argv)


def make_places(arguments: argparse.Namespace) -> None:
    """Make the folders that will be written to: better to fail now than after the work."""
    for folder in (arguments.report, arguments.pictures, arguments.json and arguments.json.parent):
        if folder:
            folder.mkdir(parents=True, exist_ok=True)


def ask(classifier: "Classifier", examples: Sequence[Example]) -> Answers:
    """Let `classifier` answer every picture that can be read. Raises DatasetError when none can."""
    answered: list[Example] = []
    unreadable: list[Example] = []
    classifications: list[Classification] = []
    with tqdm(total=len(examples), unit="picture", disable=None) as progress:
        for start in range(0, len(examples), BATCH):
            batch = [(example, open_picture(example.path)) for example in examples[start : start + BATCH]]
            answered += [example for example, picture in batch if picture is not None]
            unreadable += [example for example, picture in batch if picture is None]
            classifications += classifier.classify([picture for _, picture in batch if picture is not None])
            progress.update(len(batch))
    if not answered:
        raise DatasetError(f"None of the {len(examples)} files can be read as a picture.")
    return Answers(answered, classifications, unreadable)


def open_picture(path: Path) -> Image.Image | None:
    """Read one picture, turned as its EXIF data say; None when it can't be read."""
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def describe(answers: Answers, checkpoint: Checkpoint, *, engine: str) -> dict[str, Any]:
    """Put all that was measured, and what `engine` answered, into one JSON-ready report; intervals are by patient."""
    metadata, p, labels, patients = checkpoint.metadata, answers.probabilities, answers.labels, answers.patients
    threshold = metadata.threshold
    metrics = summarise(p, labels, threshold, groups=patients)
    every = answers.examples + answers.unreadable
    unique = drop_duplicates(every)
    causes = [example.cause for example in answers.examples]
    return {
        "n": metrics.pop("n"),
        "confusion": metrics.pop("confusion"),
        "metrics": metrics,
        "by_cause": recall_by_cause(p, causes, threshold, groups=patients),
        "predictive_values": at_prevalences(metrics),
        "uncertain": uncertain_summary(p, labels, threshold, metadata.uncertain, groups=patients),
        "refused": {**share_of(answers.refused, groups=patients), "count": int(answers.refused.sum())},
        "without_refused": without_refused(answers, threshold),
        "curves": curves(p, labels),
        "heatmaps": heatmaps(answers, threshold),
        "shortcuts": shortcuts(answers, threshold),
        "wrong": [
            {"picture": named(answers.examples[i]), "probability": float(p[i]), "refused": bool(answers.refused[i])}
            for i in wrong(answers, threshold)
        ],
        "patients": len(set(patients)),
        "duplicates": len(every) - len(unique),
        "unreadable": [named(example) for example in answers.unreadable],
        "held_out": False,
        "left_out": [],
        "data_hash": data_hash(unique),
        "trained_on": data_hash(unique) == metadata.training.get("data", {}).get("hash"),
        "engine": engine,
        "checkpoint": {
            "name": metadata.name,
            "sha256": checkpoint.sha256,
            "threshold": threshold,
            "uncertain": list(metadata.uncertain),
            "temperature": metadata.temperature,
            "bias": metadata.bias,
            "preprocessing": metadata.preprocessing,
        },
    }


def without_refused(answers: Answers, threshold: float) -> dict[str, Any] | None:
    """Summarise what the site would have answered; None where it refuses no picture, or all of them."""
    kept = ~answers.refused
    if kept.all() or not kept.any():
        return None
    patients = np.array(answers.patients)[kept].tolist()
    return summarise(answers.probabilities[kept], answers.labels[kept], threshold, groups=patients)


def named(example: Example) -> str:
    """Name a picture by its label and file."""
    return f"{example.label}/{example.path.name}"


def wrong(answers: Answers, threshold: float) -> list[int]:
    """List the wrong answers by their place among the answers, the farthest from the operating point first."""
    p = answers.probabilities
    places = np.flatnonzero((p >= threshold) != answers.labels)
    return sorted(places.tolist(), key=lambda i: -abs(p[i] - threshold))


def shortcuts(answers: Answers, threshold: float) -> dict[str, Any] | None:
    """Audit the answers against what simple statistics tell of the labels in this very folder (`ml.shortcuts.audit`).

    The rule on them is cross-validated by patient within the folder. None with less than two patients of either label
    for each fold: then there is nothing to fit it to.
    """
    patients = np.array(answers.patients)
    if min(len(set(patients[answers.labels == label])) for label in (0, 1)) < 2 * FOLDS:
        return None
    found = np.stack([statistics(load_canonical(example.path)) for example in answers.examples])
    rule = cross_validated(found, answers.labels, answers.patients)
    return audit(rule, answers.probabilities, answers.labels, threshold, patients)


def heatmaps(answers: Answers, threshold: float) -> dict[str, dict[str, Any]]:
    """Tell of the pneumonias that were found at which of PLACES the heatmap is hottest: the share of each."""
    found = (answers.probabilities >= threshold) & (answers.labels == 1)
    places = np.array([hottest(answers.classifications[i].heatmap) for i in np.flatnonzero(found)])
    patients = np.array(answers.patients)[found].tolist()
    return {place: share_of(places == place, groups=patients) for place in PLACES}


def others(classifier: "Classifier", answers: Answers, *, every: bool = True) -> dict[str, dict[str, Any]]:
    """Tell what share of other pictures is refused, by kind: those of ml.others, and the folder's X-rays altered.

    Of MANY X-rays or more each ROBUSTNESS_STEP-th, unless `every` one is wanted.
    """
    chosen = a_part(answers, every=every)
    patients = [answers.patients[index] for index in chosen]
    pictures = [load_canonical(answers.examples[index].path) for index in chosen]
    told = {kind: refused(classifier, found) for kind, found in made().items()}
    return told | {
        kind: refused(classifier, found, groups=patients)
        for kind, found in tqdm(altered(pictures).items(), unit="kind", disable=None)
    }


def refused(
    classifier: "Classifier", pictures: Sequence[Image.Image], *, groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Give the share of `pictures` that is refused as no chest X-ray; intervals by `groups` if given."""
    batches = (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))
    answered = [answer for batch in batches for answer in classifier.classify(batch)]
    return share_of([not answer.is_chest_xray for answer in answered], groups=groups)


def read_others(folder: Path) -> dict[str, list[Image.Image]]:
    """Read one's own pictures that are to be refused, by kind. Raises DatasetError where one can't be read."""
    kinds = read_kinds(folder)
    pictures = {kind: [open_picture(path) for path in paths] for kind, paths in kinds.items()}
    broken = [str(kinds[kind][i]) for kind in kinds for i, picture in enumerate(pictures[kind]) if picture is None]
    if broken:
        raise DatasetError(f"Can't be read as pictures: {', '.join(broken)}")
    return {kind: [picture for picture in found if picture is not None] for kind, found in pictures.items()}


def a_part(answers: Answers, *, every: bool) -> list[int]:
    """Choose which answered pictures more is measured on."""
    return list(range(0, len(answers.examples), 1 if every or len(answers.examples) < MANY else ROBUSTNESS_STEP))


def robustness(classifier: "Classifier", answers: Answers, *, every: bool = True) -> dict[str, list[dict[str, Any]]]:
    """Measure answered pictures under each shift and severity; severity 0 are the answers that are there.

    "flips" is the share of labels that differ from those, "refused" that of pictures refused as no chest X-ray.
    Of MANY pictures or more each ROBUSTNESS_STEP-th, unless `every` one is wanted. "intervals" holds the figures that
    are shares, with their intervals by patient.
    """
    chosen = a_part(answers, every=every)
    threshold, examples = classifier.checkpoint.metadata.threshold, [answers.examples[index] for index in chosen]
    pictures = [load_canonical(example.path) for example in examples]
    plain = Answers(examples, [answers.classifications[index] for index in chosen], [])

    def point(given: Answers, severity: float) -> dict[str, Any]:
        called, ill, patients = given.probabilities >= threshold, plain.labels == 1, np.array(plain.patients)
        changed = called != (plain.probabilities >= threshold)
        shares = {"flips": float(changed.mean()), "refused": float(given.refused.mean())}
        intervals = {
            "recall": share_of(called[ill], groups=patients[ill].tolist()),
            "specificity": share_of(~called[~ill], groups=patients[~ill].tolist()),
            "flips": share_of(changed, groups=plain.patients),
            "refused": share_of(given.refused, groups=plain.patients),
        }
        found = robustness_point(given.probabilities, plain.labels, threshold, severity=severity)
        return found | shares | {"intervals": intervals}

    found = {shift: [point(plain, 0.0)] for shift in MEASURED if shift != "none"}
    passes = [(shift, severity) for shift in found for severity in SEVERITIES]
    for shift, severity in tqdm(passes, unit="pass", disable=None):
        given: list[Classification] = []
        for start in range(0, len(pictures), BATCH):
            batch = [shifted(picture, shift, severity) for picture in pictures[start : start + BATCH]]
            given += classifier.classify(batch)
        found[shift].append(point(Answers(examples, given, []), severity))
    return found


def write(answers: Answers, report: dict[str, Any], arguments: argparse.Namespace) -> None:
    """Write what the command line asks for; the folders are there."""
    for path in (arguments.json, arguments.report and arguments.report / "report.json"):
        if path:
            path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
    if arguments.pictures:
        reports.draw(report, arguments.pictures)
    if arguments.report:
        plots = reports.draw(report, arguments.report)
        sheet = show_errors(answers, report["checkpoint"]["threshold"], arguments.report / "errors.png")
        text = reports.as_markdown(report, plots=plots, errors=sheet)
        (arguments.report / "report.md").write_text(text)


def show_errors(answers: Answers, threshold: float, path: Path) -> Path | None:
    """Draw the worst SHOWN_ERRORS of the wrong answers into a contact sheet; None where there is none."""
    shown = [
        WrongAnswer(
            picture=load_canonical(answers.examples[i].path),
            name=answers.examples[i].path.name,
            label=answers.examples[i].label,
            probability=answers.classifications[i].probability,
            heatmap=answers.classifications[i].heatmap,
        )
        for i in wrong(answers, threshold)[:SHOWN_ERRORS]
    ]
    return contact_sheet(shown, path) if shown else None


if __name__ == "__main__":
    sys.exit(main())
