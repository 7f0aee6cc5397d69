"""Write the model card, README.md and its plots, from a checkpoint's metadata and the prose of card.md.

    python -m ml.card                                    # after a change of weights/, runs.csv or card.md
    python -m ml.card --test-split report/report.json    # with what ml.evaluate says of the official test split

Every figure of a model in the card comes from checkpoint.json, runs.csv or test_split.json. The last is what
--test-split keeps of a report; it counts only for the checkpoint that it names. The README of the repository holds a
short table of the same figures between two marks; it is written with the card.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from ml import runs
from ml.card_parts import FIGURES, OFFICIAL_TEST, PARTS, Subject, pictures, summary
from ml.checkpoint import SHIPPED, Checkpoint, CheckpointError

FOLDER = Path(__file__).parent
CARD, TEST_SPLIT = "README.md", "test_split.json"
TEMPLATE = FOLDER / "card.md"

# The README of the repository, and the marks between which it holds figures.
README = FOLDER.parent / "README.md"
MARKED = re.compile(r"(<!-- python -m ml\.card writes this -->\n).*(<!-- up to here -->)", re.DOTALL)

# What the card keeps of a report: no names of files, no curves.
KEPT = ("n", "confusion", "metrics", "by_cause", "uncertain", "refused", "patients", "duplicates", "checkpoint")


class CardError(Exception):
    """The card can't be written; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when something could not be read or written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED, metavar="DIR", help="default: the shipped one")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="default: where this program is")
    parser.add_argument("--test-split", type=Path, metavar="FILE", help="a report.json on the official test split")
    arguments = parser.parse_args(argv)
    try:
        checkpoint = Checkpoint.read(arguments.checkpoint)
        kept = arguments.out / TEST_SPLIT
        if arguments.test_split:
            kept.write_text(json.dumps(keep(arguments.test_split, checkpoint), indent=2, sort_keys=True) + "\n")
        subject = Subject(checkpoint, on_test_split(kept, checkpoint), runs.read())
        (arguments.out / CARD).write_text(render(subject))
        if arguments.out == FOLDER:
            README.write_text(with_summary(README.read_text(), subject))
        draw(subject, arguments.out / FIGURES)
    except (CardError, CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments.out / CARD} describes {checkpoint.metadata.name} ({checkpoint.sha256[:12]})")
    return 0


def keep(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Take from a report of ml.evaluate what the card shows.

    Raises CardError where it is of another checkpoint or not of the official test split.
    """
    try:
        report = json.loads(path.read_text())
        kept, counts = {key: report[key] for key in KEPT}, report["confusion"]
        normal, about = counts["true_normal"] + counts["false_pneumonia"], report["checkpoint"]["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CardError(f"{path} is no report of ml.evaluate: {error!r}") from error
    if about != checkpoint.sha256:
        raise CardError(f"{path} is about checkpoint {about[:12]}, the card about {checkpoint.sha256[:12]}.")
    if {"NORMAL": normal, "PNEUMONIA": report["n"] - normal} != OFFICIAL_TEST:
        raise CardError(f"{path} is not about the official test split: {normal} of {report['n']} are NORMAL.")
    return kept


def on_test_split(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Give the figures of the official test split that were kept, if they are of this checkpoint; else nothing."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    return kept if kept.get("checkpoint", {}).get("sha256") == checkpoint.sha256 else {}


def render(subject: Subject) -> str:
    """Fill the prose of card.md; a part that the metadata lack says that it was not measured."""
    return Template(TEMPLATE.read_text()).substitute({name: part(subject) for name, part in PARTS.items()})


def with_summary(text: str, subject: Subject) -> str:
    """Put the short table of figures between the marks of the repository's README. Raises CardError without marks."""
    if not MARKED.search(text):
        raise CardError(f"{README} has lost the marks between which figures stand.")
    return MARKED.sub(lambda marks: f"{marks[1]}{summary(subject)}\n{marks[2]}", text)


def draw(subject: Subject, folder: Path) -> list[Path]:
    """Draw the plots as SVG into `folder`; those of an earlier card go."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.svg"):
        stale.unlink()
    return [plot(folder / f"{name}.svg") for name, plot in pictures(subject).items()]


if __name__ == "__main__":
    sys.exit(main())
