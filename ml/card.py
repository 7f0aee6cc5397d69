"""Write the model card, README.md and its plots, from a checkpoint's metadata and the prose of card.md.

    python -m ml.card                                    # after a change of weights/, runs.csv or card.md
    python -m ml.card --test-split report/report.json    # with what ml.evaluate says of the official test split
    python -m ml.card --held-out report/report.json      # with what ml.evaluate --held-out --report says

Every figure of a model in the card comes from checkpoint.json, runs.csv, test_split.json or held_out.json. The last two
are what --test-split and --held-out keep of a report; each counts only for the checkpoint that it names. The README of
the repository holds a short table of the same figures between two marks; it is written with the card.
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
CARD, TEST_SPLIT, HELD_OUT = "README.md", "test_split.json", "held_out.json"
TEMPLATE = FOLDER / "card.md"

# The README of the repository, and the marks between which it holds figures.
README = FOLDER.parent / "README.md"
MARKED = re.compile(r"(<!-- python -m ml\.card writes this -->\n).*(<!-- up to here -->)", re.DOTALL)

# What the card keeps of a report: no names of files, no curves.
KEPT = ("n", "confusion", "metrics", "by_cause", "uncertain", "refused", "patients", "duplicates", "checkpoint")


# Of a report on the held-out patients: what the checkpoint's metadata don't hold.
KEPT_HELD_OUT = ("n", "heatmaps", "others", "robustness", "patients", "checkpoint")


class CardError(Exception):
    """The card can't be written; the text says why."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 1 when something could not be read or written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, default=SHIPPED, metavar="DIR", help="default: the shipped one")
    parser.add_argument("--out", type=Path, default=FOLDER, metavar="DIR", help="default: where this program is")
    parser.add_argument("--test-split", type=Path, metavar="FILE", help="a report.json on the official test split")
    parser.add_argument(
        "--held-out", type=Path, metavar="FILE", help="a report.json of ml.evaluate --held-out --report"
    )
    arguments = parser.parse_args(argv)
    try:
        checkpoint = Checkpoint.read(arguments.checkpoint)
        kept, held_out = arguments.out / TEST_SPLIT, arguments.out / HELD_OUT
        if arguments.test_split:
            write_json(kept, keep(arguments.test_split, checkpoint))
        if arguments.held_out:
            write_json(held_out, keep_held_out(arguments.held_out, checkpoint))
        subject = Subject(checkpoint, of_version(kept, checkpoint), runs.read(), of_version(held_out, checkpoint))
        (arguments.out / CARD).write_text(render(subject))
        if arguments.out == FOLDER:
            README.write_text(with_summary(README.read_text(), subject))
        draw(subject, arguments.out / FIGURES)
    except (CardError, CheckpointError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments.out / CARD} describes {checkpoint.metadata.name} ({checkpoint.sha256[:12]})")
    return 0


def write_json(path: Path, kept: dict[str, Any]) -> None:
    """Write what is kept of a report."""
    path.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")


def keep(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Take from a report of ml.evaluate on the official test split what the card shows.

    Raises CardError where it is of another checkpoint or not of the official test split.
    """
    kept = taken(path, checkpoint, KEPT)
    counts = kept["confusion"]
    normal = counts["true_normal"] + counts["false_pneumonia"]
    if {"NORMAL": normal, "PNEUMONIA": kept["n"] - normal} != OFFICIAL_TEST:
        raise CardError(f"{path} is not about the official test split: {normal} of {kept['n']} are NORMAL.")
    return kept


def keep_held_out(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Take from a report of ml.evaluate on the held-out patients what the card shows.

    Raises CardError where it is of another checkpoint or not of the held-out patients.
    """
    kept = taken(path, checkpoint, (*KEPT_HELD_OUT, "held_out"))
    if not kept.pop("held_out"):
        raise CardError(f"{path} is not about held-out patients alone: ml.evaluate --held-out writes such a report.")
    return kept


def taken(path: Path, checkpoint: Checkpoint, keys: Sequence[str]) -> dict[str, Any]:
    """Take `keys` from a report of ml.evaluate. Raises CardError where it lacks one or is of another checkpoint."""
    try:
        report = json.loads(path.read_text())
        kept, about = {key: report[key] for key in keys}, report["checkpoint"]["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CardError(f"{path} is no report of ml.evaluate: {error!r}") from error
    if None in kept.values():
        raise CardError(f"{path} is no report of ml.evaluate: a part of it is empty.")
    if about != checkpoint.sha256:
        raise CardError(f"{path} is about checkpoint {about[:12]}, the card about {checkpoint.sha256[:12]}.")
    return kept


def of_version(path: Path, checkpoint: Checkpoint) -> dict[str, Any]:
    """Give the figures that were kept at `path`, if they are of this checkpoint; else nothing."""
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
