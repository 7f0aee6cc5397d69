"""Measure a checkpoint on a folder of labelled pictures, through the code that serves them.

    python -m ml.evaluate --data data/chest_xray/test --json report.json --pictures report

The folder holds NORMAL/ and PNEUMONIA/ with pictures of any size. Every picture counts, exact duplicates too (their
number is reported). A picture that can't be read has no answer and is in no figure: it is named, and the exit code
is 1. This is the only program that reads the official test split.
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

from ml import plots
from ml.checkpoint import SHIPPED, Checkpoint, CheckpointError
from ml.dataset import DatasetError, Example, data_hash, drop_duplicates, read_folder
from ml.metrics import predictive_values, proportion, summarise

if TYPE_CHECKING:
    from ml.classifier import Classifier

# Originals are up to 2,700 pixels wide: a few at a time, not the folder at once.
BATCH = 16

# The share of pneumonia among those X-rayed differs from place to place; the data set's own is far above any of them.
PREVALENCES = (0.05, 0.10, 0.30)

PERCENT = ("accuracy", "recall", "precision", "f1", "specificity", "npv")


@dataclass(frozen=True)
class Answers:
    """What a classifier said about a folder: (n,) probabilities of PNEUMONIA for `examples`, in the same order."""

    examples: list[Example]
    probabilities: np.ndarray
    unreadable: list[Example]

    @property
    def labels(self) -> np.ndarray:
        """The true labels, (n,) 0/1."""
        return np.array([example.index for example in self.examples])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when anything could not be read or written."""
    arguments = parse_arguments(argv)
    try:
        examples = read_folder(arguments.data)
        Checkpoint.read(arguments.checkpoint).verify()
        make_places(arguments)

        from ml.classifier import Classifier  # here: TensorFlow takes seconds, a wrong path is told at once

        classifier = Classifier.load(arguments.checkpoint)
        answers = ask(classifier, examples)
        report = describe(answers, classifier.checkpoint)
        print(table(report))
        if arguments.json:
            arguments.json.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")
        if arguments.pictures:
            draw(answers, report, arguments.pictures)
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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="draw confusion, ROC and reliability there")
    return parser.parse_args(argv)


def make_places(arguments: argparse.Namespace) -> None:
    """Make the folders that will be written to: better to fail now than after the work."""
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
    if arguments.pictures:
        arguments.pictures.mkdir(parents=True, exist_ok=True)


def ask(classifier: "Classifier", examples: Sequence[Example]) -> Answers:
    """Let `classifier` answer every picture that can be read. Raises DatasetError when none can."""
    answered: list[Example] = []
    unreadable: list[Example] = []
    probabilities: list[float] = []
    with tqdm(total=len(examples), unit="picture", disable=None) as progress:
        for start in range(0, len(examples), BATCH):
            batch = [(example, open_picture(example.path)) for example in examples[start : start + BATCH]]
            pictures = [picture for _, picture in batch if picture is not None]
            answered += [example for example, picture in batch if picture is not None]
            unreadable += [example for example, picture in batch if picture is None]
            probabilities += [answer.probability for answer in classifier.classify(pictures)]
            progress.update(len(batch))
    if not answered:
        raise DatasetError(f"None of the {len(examples)} files can be read as a picture.")
    return Answers(answered, np.array(probabilities), unreadable)


def open_picture(path: Path) -> Image.Image | None:
    """Read one picture, turned as its EXIF data say; None when it can't be read."""
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def describe(answers: Answers, checkpoint: Checkpoint) -> dict[str, Any]:
    """Put everything that was measured into one JSON-ready report; intervals are drawn by patient."""
    metadata, labels = checkpoint.metadata, answers.labels
    patients = [example.patient for example in answers.examples]
    metrics = summarise(answers.probabilities, labels, metadata.threshold, groups=patients)
    every = answers.examples + answers.unreadable
    unique = drop_duplicates(every)
    return {
        "n": metrics.pop("n"),
        "confusion": metrics.pop("confusion"),
        "metrics": metrics,
        "by_cause": recall_by_cause(answers, metadata.threshold),
        "predictive_values": at_prevalences(metrics),
        "patients": len(set(patients)),
        "duplicates": len(every) - len(unique),
        "unreadable": [f"{example.label}/{example.path.name}" for example in answers.unreadable],
        "data_hash": data_hash(unique),
        "checkpoint": {
            "name": metadata.name,
            "sha256": checkpoint.sha256,
            "threshold": metadata.threshold,
            "temperature": metadata.temperature,
            "bias": metadata.bias,
            "preprocessing": metadata.preprocessing,
        },
    }


def recall_by_cause(answers: Answers, threshold: float) -> dict[str, dict]:
    """Give the recall on bacterial and on viral pneumonia apart, as far as the file names tell the cause."""
    found = answers.probabilities >= threshold
    causes = np.array([example.cause or "" for example in answers.examples])
    return {
        cause: {"recall": proportion(int(found[causes == cause].sum()), int(of_cause)), "n": int(of_cause)}
        for cause in ("bacteria", "virus")
        if (of_cause := (causes == cause).sum())
    }


def at_prevalences(metrics: dict[str, Any]) -> list[dict[str, float | None]]:
    """Give PPV and NPV where pneumonia is as rare as PREVALENCES say; nothing where one label is absent."""
    recall, specificity = metrics["recall"]["value"], metrics["specificity"]["value"]
    if recall is None or specificity is None:
        return []
    return [{"prevalence": share, **predictive_values(recall, specificity, share)} for share in PREVALENCES]


def table(report: dict[str, Any]) -> str:
    """Write the report for people."""
    checkpoint, counts, unreadable = report["checkpoint"], report["confusion"], len(report["unreadable"])
    causes = report["by_cause"].items()
    lines = [
        f"Checkpoint {checkpoint['name']} ({checkpoint['sha256'][:12]}), operating point {checkpoint['threshold']:.3f}",
        f"n = {report['n']} pictures of {report['patients']} patients",
        f"{report['duplicates']} exact duplicates, {unreadable} unreadable",
        "",
        *(row(name, figure) for name, figure in report["metrics"].items()),
        *(f"{row(f'recall, {cause}', found['recall'])}  n = {found['n']}" for cause, found in causes),
        "",
        f"{'':<18}{'answer NORMAL':>15}{'PNEUMONIA':>12}",
        f"{'truth NORMAL':<18}{counts['true_normal']:>15}{counts['false_pneumonia']:>12}",
        f"{'truth PNEUMONIA':<18}{counts['false_normal']:>15}{counts['true_pneumonia']:>12}",
    ]
    return "\n".join(lines)


def row(name: str, figure: dict[str, float | None]) -> str:
    """Write one figure with its interval."""
    if figure["value"] is None:
        return f"{name:<18}  undefined"
    digits = ".1%" if name.split(",")[0] in PERCENT else ".4f"
    return f"{name:<18}{figure['value']:>9{digits}}  ({figure['low']:{digits}} to {figure['high']:{digits}})"


def draw(answers: Answers, report: dict[str, Any], folder: Path) -> list[Path]:
    """Draw what the report allows: no ROC curve where one label is absent."""
    metrics, threshold = report["metrics"], report["checkpoint"]["threshold"]
    p, labels = answers.probabilities, answers.labels
    drawn = [
        plots.confusion_matrix(report["confusion"], folder / "confusion.png"),
        plots.reliability(p, labels, folder / "reliability.png", ece=metrics["ece"]),
    ]
    if metrics["auc"]["value"] is not None:
        drawn.append(plots.roc_curve(p, labels, folder / "roc.png", threshold=threshold, auc=metrics["auc"]))
    return drawn


if __name__ == "__main__":
    sys.exit(main())
