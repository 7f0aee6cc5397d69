"""ml/runs.csv: a line for every training run that was measured, the bad ones too.

Columns: run (a name, the same for all seeds of one configuration), changed (how it differs from the run it is compared
with), date, commit, data (the first 12 digits of the data hash), seed (of split, start and order), patients (trained
on), hours; every field of ml.recipes.Recipe; and the METRICS below, on held-out patients. "stress" is all shifts
pooled. Lines are appended, never edited.
"""

import csv
import dataclasses
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml.recipes import Recipe
from ml.stress import Choice, worse_auc

FILE = Path(__file__).parent / "runs.csv"

METRICS = (
    "n",  # held-out pictures
    "passes",  # pictures under a shift, pooled for the stress figures
    "auc",  # as they are
    "accuracy",
    "stress_auc",
    "stress_accuracy",
    "stress_recall",
    "stress_specificity",
    "stress_log_loss",
    "worst_shift",  # by specificity at the run's own operating point
    "worst_shift_specificity",
    "rule_right_auc",  # stress, pictures whose statistics tell the label
    "rule_wrong_auc",  # stress, pictures whose statistics tell the other one
    "worse_auc",  # the worse of the two: what runs are compared by
    "rule_wrong_n",
    "rule_wrong_accuracy",  # as they are
    "rule_correlation",
    "temperature",
    "threshold",
)

# What names a run: the same of all is the same run.
SAME_RUN = ("run", "seed", "data", "commit")

COLUMNS = (
    "run",
    "changed",
    "date",
    "commit",
    "data",
    "seed",
    "patients",
    "hours",
    *(field.name for field in dataclasses.fields(Recipe)),
    *METRICS,
)


def figures(*, choice: Choice, metrics: Mapping[str, Any], passes: int) -> dict[str, Any]:
    """Give the METRICS of a line; `metrics` comes from ml.stress.measure. A run without them leaves them empty."""
    plain, stress, shortcuts = metrics["held_out"]["none"], metrics["stress"], metrics["shortcuts"]
    by_shift = {name: found["specificity"]["value"] for name, found in metrics["held_out"].items()}
    defined = {name: value for name, value in by_shift.items() if value is not None}
    worst = min(defined, key=lambda name: defined[name], default="")
    measured = {
        "n": plain["n"],
        "passes": passes,
        "auc": plain["auc"]["value"],
        "accuracy": plain["accuracy"]["value"],
        "stress_auc": stress["auc"]["value"],
        "stress_accuracy": stress["accuracy"]["value"],
        "stress_recall": stress["recall"]["value"],
        "stress_specificity": stress["specificity"]["value"],
        "stress_log_loss": stress["log_loss"]["value"],
        "worst_shift": worst,
        "worst_shift_specificity": defined.get(worst),
        "rule_right_auc": metrics["stress_shortcuts"]["rule_right"]["auc"],
        "rule_wrong_auc": metrics["stress_shortcuts"]["rule_wrong"]["auc"],
        "worse_auc": worse_auc(metrics),
        "rule_wrong_n": shortcuts["rule_wrong"]["n"],
        "rule_wrong_accuracy": shortcuts["rule_wrong"]["accuracy"]["value"],
        "rule_correlation": shortcuts["correlation"],
        "temperature": choice.calibration.temperature,
        "threshold": choice.threshold,
    }
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in measured.items()}


def append(line: Mapping[str, Any], file: Path | None = None) -> None:
    """Add a line, below the header when the file is new; one that is there already is not added again.

    It is there when run, seed, data and commit are the same: the end of a run may be repeated. Raises ValueError for a
    column that is not in COLUMNS, and for a file with other columns.
    """
    file = file or FILE
    new = not file.exists()
    written = [] if new else read(file)
    if written and tuple(written[0]) != COLUMNS:
        raise ValueError(f"{file} has other columns than this version writes.")
    if any(all(str(line.get(key, "")) == found[key] for key in SAME_RUN) for found in written):
        return
    with file.open("a", newline="") as opened:
        writer = csv.DictWriter(opened, COLUMNS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(line)


def read(file: Path | None = None) -> list[dict[str, str]]:
    """Read all lines; none where there is no file."""
    file = file or FILE
    if not file.exists():
        return []
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def git_commit() -> str:
    """Name the commit that the code is of, or say that it is unknown."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    folder = Path(__file__).parent
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
