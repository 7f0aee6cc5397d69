"""The parts of the model card: each turns what is known of a checkpoint into Markdown, or names a plot to draw."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ml import markdown, plots
from ml.checkpoint import Checkpoint, Metadata
from ml.labels import LABELS
from ml.markdown import DASH
from ml.metrics import CAUSES, at_prevalences

# Where the plots lie, beside the card.
FIGURES = "figures"

# Of the data set as published; no run changes them.
TRAINING_FOLDER = ["training folder as published", 1341, 3875, 2846]
OFFICIAL_TEST = {"NORMAL": 234, "PNEUMONIA": 390}

# The figures of ml.runs that the card shows: their names here, and whether they are shares of pictures.
RUN_FIGURES = {
    "worse_auc": ("worse AUROC", False),
    "stress_auc": ("stress AUROC", False),
    "stress_accuracy": ("stress accuracy", True),
    "worst_shift_specificity": ("specificity, worst shift", True),
    "rule_wrong_accuracy": ("accuracy, statistics wrong", True),
}

NOT_MEASURED = "*Not measured for this version.*"
TEST, AS_THEY_ARE, STRESS = "official test split", "held out, as they are", "held out, stress"
PANELS = {"": AS_THEY_ARE, "stress_": STRESS}


@dataclass(frozen=True)
class Subject:
    """What the card is about: a checkpoint, its figures on the official test split (or none), the rows of runs.csv.

    `held_out` are figures of the held-out patients beside those in its metadata, or none.
    """

    checkpoint: Checkpoint
    test: Mapping[str, Any]
    runs: Sequence[Mapping[str, str]]
    held_out: Mapping[str, Any] = field(default_factory=dict)

    @property
    def metadata(self) -> Metadata:
        """What is known of the model."""
        return self.checkpoint.metadata

    @property
    def metrics(self) -> Mapping[str, Any]:
        """What was measured when it was made; any part may be missing."""
        return self.metadata.metrics

    @property
    def summaries(self) -> dict[str, Mapping[str, Any]]:
        """The summaries (of `ml.metrics.summarise`) that stand side by side; an empty one was not measured."""
        on_test = (
            {**self.test["metrics"], "confusion": self.test["confusion"], "n": self.test["n"]} if self.test else {}
        )
        plain = self.metrics.get("held_out", {}).get("none", {})
        return {TEST: on_test, AS_THEY_ARE: plain, STRESS: self.metrics.get("stress", {})}


def identity(subject: Subject) -> str:
    """Say which model this is."""
    metadata, weights = subject.metadata, subject.checkpoint.weights_path
    graph = {"layers": metadata.graph_sha256, "numbers": metadata.graph_weights_sha256}
    low, high = metadata.uncertain
    rows = [
        ["Name", metadata.name],
        ["Version: sha256 of the metadata, which hold those below", f"`{subject.checkpoint.sha256}`"],
        ["sha256 of the weights", f"`{metadata.weights_sha256}`"],
        ["sha256 of the refusal", f"`{metadata.refusal_sha256}`"],
        *([[f"sha256 of the graph, {part}", f"`{sha256}`"] for part, sha256 in graph.items() if sha256]),
        ["Preprocessing", f"`{metadata.preprocessing}`"],
        ["Answers", "NORMAL or PNEUMONIA, a calibrated probability of PNEUMONIA (0 to 1), a heatmap; or a refusal"],
        ["Operating point", f"PNEUMONIA at a probability of {metadata.threshold:.3f} or more"],
        ["Called uncertain", f"{low:.3f} to {high:.3f}"],
        ["Size", f"{weights.stat().st_size / 1e6:.0f} MB, half precision" if weights.exists() else DASH],
        ["Made", metadata.created],
    ]
    return markdown.table(["", ""], rows)


def data(subject: Subject) -> str:
    """Count pictures and patients."""
    found = subject.metadata.training.get("data", {})
    patients = subject.test.get("patients", DASH)
    rows = [
        TRAINING_FOLDER,
        *(
            [name, *(found.get(key, {}).get(label, DASH) for label in LABELS), found.get(f"{key}_patients", DASH)]
            for key, name in (("training", "trained on, duplicates dropped"), ("held_out", "held out from it"))
        ),
        [TEST, *(OFFICIAL_TEST[label] for label in LABELS), patients],
    ]
    cells = [[f"{cell:,}" if isinstance(cell, int) else cell for cell in row] for row in rows]
    return markdown.table(["pictures", *LABELS, "patients"], cells)


def stages(subject: Subject) -> list[tuple[str, Mapping[str, Any]]]:
    """Name the runs that led to the model, the first one first: a run may have started from another one's network."""
    found, name = [], subject.metadata.name
    training: Mapping[str, Any] | None = subject.metadata.training
    while training:
        found.append((name, training))
        training = training.get("started_from")
        name = training["name"] if training else ""
    return found[::-1]


def training_run(subject: Subject) -> str:
    """Say how the model was made, a column for each run that led to it."""
    runs = stages(subject)
    rows = {
        "Command": lambda run: f"`{run['command']}`" if "command" in run else DASH,
        "Seed": lambda run: run.get("seed", DASH),
        "Precision": lambda run: run.get("precision", DASH),
        "Hardware": lambda run: run.get("machine", DASH),
        "Time": lambda run: f"{run['hours']} h" if "hours" in run else DASH,
        "Software": lambda run: ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items()),
        "Commit": lambda run: f"`{run['commit']}`" if "commit" in run else DASH,
    }
    header = ["", *(name for name, _ in runs)]
    return markdown.table(header, [[name, *(row(run) for _, run in runs)] for name, row in rows.items()])


def recipe(subject: Subject) -> str:
    """List every setting, a column for each run that led to the model."""
    recipes = [(name, run.get("recipe", {})) for name, run in stages(subject)]
    settings = sorted({setting for _, found in recipes for setting in found})
    rows = [[plain_words(setting), *(said(found.get(setting)) for _, found in recipes)] for setting in settings]
    return markdown.table(["setting", *(name for name, _ in recipes)], rows)


def said(value: Any) -> str:
    """Write a setting: yes or no, a dash for what is not set."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return DASH if value is None else str(value)


def plain_words(name: str) -> str:
    """Turn the name of a field into words."""
    return name.replace("_", " ")


def operating_point(subject: Subject) -> str:
    """Give the four numbers that turn logits into an answer."""
    metadata = subject.metadata
    numbers = (metadata.temperature, metadata.bias, metadata.threshold, *metadata.uncertain)
    header = ["temperature", "bias", "operating point", "uncertain from", "to"]
    return markdown.table(header, [[f"{number:.3f}" for number in numbers]])


def uncertain(subject: Subject) -> str:
    """Tell what the band buys, on the held-out patients and on the test split."""
    found = {AS_THEY_ARE: subject.metrics.get("uncertain"), TEST: subject.test.get("uncertain")}
    tables = [f"{name.capitalize()}:\n\n{markdown.uncertain(part)}" for name, part in found.items() if part]
    return "\n\n".join(tables) or NOT_MEASURED


def prevalence(subject: Subject) -> str:
    """Give the share of PNEUMONIA among the held-out pictures."""
    counts = subject.summaries[AS_THEY_ARE].get("confusion")
    ill = counts["true_pneumonia"] + counts["false_normal"] if counts else 0
    return markdown.share(ill / sum(counts.values()) if counts else None)


def test_split(subject: Subject) -> str:
    """Say what the column of the official test split holds, or how to fill it."""
    if not subject.test:
        return (
            "A dash: this version has not been measured on the official test split (624 pictures). "
            "`python -m ml.evaluate --data data/test --report report` measures it, "
            "`python -m ml.card --test-split report/report.json` fills the column."
        )
    test, refused = subject.test, subject.test["refused"]
    return (
        f"The official test split holds {test['patients']} patients; its {test['duplicates']} exact duplicates count. "
        f"{refused['count']} of {refused['n']} pictures would have been refused, and are measured all the same. "
        "Its intervals, as all here, are by patient."
    )


def by_cause(subject: Subject) -> str:
    """Set the recall of bacterial and of viral pneumonia side by side."""
    columns = {TEST: subject.test.get("by_cause", {}), AS_THEY_ARE: subject.metrics.get("by_cause", {})}
    rows = [[cause, *(c for found in columns.values() for c in markdown.counted(found.get(cause)))] for cause in CAUSES]
    return markdown.table(["cause", *(cell for name in columns for cell in (name, "n"))], rows)


def values_at_prevalences(subject: Subject) -> str:
    """Give PPV and NPV at stated prevalences."""
    columns = {name: at_prevalences(dict(found)) if found else [] for name, found in subject.summaries.items()}
    return markdown.predictive_values(columns)


def none_first(by_shift: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """List the shifts, the picture as it is before the others; the file has them by name."""
    return sorted(by_shift.items(), key=lambda item: item[0] != "none")


def shifts(subject: Subject) -> str:
    """Lay out the figures under each shift."""
    rows = [
        [
            name,
            *(markdown.figure(found.get(key), percent=True) for key in ("recall", "specificity")),
            markdown.figure(found.get("auc"), percent=False),
            found.get("n", DASH),
        ]
        for name, found in none_first(subject.metrics.get("held_out", {}))
    ]
    return markdown.table(["shift", "sensitivity", "specificity", "AUROC", "n"], rows) if rows else NOT_MEASURED


def robustness(subject: Subject) -> str:
    """Show the robustness curves, the numbers folded in."""
    found = curves_of_robustness(subject)
    if not found:
        return NOT_MEASURED
    return (
        f"![Sensitivity and specificity over the severity of each shift]({FIGURES}/robustness.svg)\n\n"
        "Severity 1 is the shift of the table above; the curves stand on n pictures, as counted below.\n\n"
        f"<details><summary>The numbers</summary>\n\n{markdown.robustness(found)}\n\n</details>"
    )


def curves_of_robustness(subject: Subject) -> Mapping[str, Any]:
    """Give the robustness curves: of a report, which has intervals and one shift more, or else of the metadata."""
    return subject.held_out.get("robustness") or subject.metrics.get("robustness", {})


def others(subject: Subject) -> str:
    """Lay out what share of other pictures is refused."""
    found = subject.held_out.get("others")
    return markdown.others(found) if found else NOT_MEASURED


def heatmaps(subject: Subject) -> str:
    """Lay out where the heatmaps of held-out pneumonias that were found are hottest."""
    found = subject.held_out.get("heatmaps")
    return markdown.heatmaps(found) if found else NOT_MEASURED


def target(subject: Subject, key: str) -> str:
    """Write a share that was aimed at when operating point and band were chosen."""
    found = subject.metrics.get("targets", {}).get(key)
    return DASH if found is None else f"{100 * found:.0f} %"


def serving(subject: Subject) -> str:
    """Set the engines side by side: how fast each reads a picture, and how far it strays from TensorFlow's answers."""
    found = subject.metrics.get("serving", {})
    if not found:
        return NOT_MEASURED
    rows = [
        [
            f"**{row['engine']}**" if row["serves"] else row["engine"],
            f"{row['milliseconds']:.1f}",
            *(_kept(row.get(passes)) for passes in ("held_out", "stress")),
        ]
        for row in found["table"]
    ]
    header = ["engine", "ms a picture", f"{AS_THEY_ARE}: labels, AUROC, probability", "one shift each too"]
    return (
        markdown.table(header, rows)
        + f"\n\nMedian of {found['rounds']} pictures, one at a time, the engines in turn, on {found['machine']}."
    )


def _kept(parity: Mapping[str, Any] | None) -> str:
    if not parity:
        return "the reference"
    return (
        f"{parity['flips']} of {parity['n']} change, {-parity['auc_loss']:+.4f}, by at most "
        f"{parity['largest_change']:.3f} (mean {parity['usual_change']:.4f})"
    )


def refusal(subject: Subject) -> str:
    """Lay out how often held-out chest X-rays are refused by mistake."""
    found = subject.metrics.get("refusal", {}).get("false_refusals", {})
    rows = [[shift, *markdown.counted(share)] for shift, share in none_first(found)]
    return markdown.table(["shift", "refused by mistake", "n"], rows) if rows else NOT_MEASURED


def shortcuts(subject: Subject) -> str:
    """Lay out the audit: is the network right where the statistics of a picture are wrong?"""
    panels = {AS_THEY_ARE: subject.metrics.get("shortcuts"), STRESS: subject.metrics.get("stress_shortcuts")}
    found = {name: audit for name, audit in panels.items() if audit}
    return markdown.shortcuts(found) if found else NOT_MEASURED


def ablation(subject: Subject) -> str:
    """Lay out the configurations that were tried, the bad ones too: means over their seeds, and the spread."""
    by_run: dict[str, list[Mapping[str, str]]] = {}
    for row in subject.runs:
        by_run.setdefault(row["run"], []).append(row)
    rows = [
        [
            run,
            lines[0]["changed"] or DASH,
            len(lines),
            lines[0]["patients"],
            lines[0]["n"],
            *(spread([line[key] for line in lines], percent=percent) for key, (_, percent) in RUN_FIGURES.items()),
        ]
        for run, lines in by_run.items()
    ]
    header = ["run", "what changed", "seeds", "patients", "n", *(name for name, _ in RUN_FIGURES.values())]
    return markdown.table(header, rows) if rows else "*No run is recorded.*"


def spread(cells: Sequence[str], *, percent: bool) -> str:
    """Write the mean of a column's cells, and from where to where they go when they are several; empty ones are out."""
    numbers = [float(cell) for cell in cells if cell]
    if not numbers:
        return DASH
    scale, digits, unit = (100, 1, " %") if percent else (1, 3, "")
    mean, low, high = (f"{scale * x:.{digits}f}" for x in (sum(numbers) / len(numbers), min(numbers), max(numbers)))
    return f"{mean}{unit}" if len(numbers) == 1 else f"{mean}{unit} ({low}–{high})"


def pictures(subject: Subject) -> dict[str, Callable[[Path], Path]]:
    """Name every plot that the metadata allow, with what draws it into a file."""
    threshold, metrics = subject.metadata.threshold, subject.metrics
    found: dict[str, Callable[[Path], Path]] = {}
    for prefix, name in PANELS.items():
        curves, summary = metrics.get(f"{prefix}curves", {}), subject.summaries[name]
        if not summary:
            continue
        for key, plot in (("roc", plots.roc_curve), ("precision_recall", plots.precision_recall_curve)):
            if key in curves:
                found[prefix + key] = partial(plot, curves[key], summary=summary, threshold=threshold)
        if "reliability" in curves:
            found[f"{prefix}reliability"] = partial(plots.reliability, curves["reliability"], ece=summary["ece"])
        found[f"{prefix}confusion"] = partial(plots.confusion_matrix, summary["confusion"])
    if curves_of_robustness(subject):
        found["robustness"] = partial(plots.robustness, curves_of_robustness(subject))
    return found


def gallery(subject: Subject) -> str:
    """Show the plots of the held-out pictures: as they are on the left, under all shifts on the right."""
    names = {
        "reliability": "Reliability",
        "roc": "ROC curve",
        "precision_recall": "Precision and recall",
        "confusion": "Confusion",
    }
    drawn = pictures(subject)
    rows = [
        [
            f"![{title}, {panel}]({FIGURES}/{prefix}{key}.svg)" if prefix + key in drawn else DASH
            for prefix, panel in PANELS.items()
        ]
        for key, title in names.items()
    ]
    rows = [row for row in rows if set(row) != {DASH}]
    return markdown.table(list(PANELS.values()), rows) if rows else NOT_MEASURED


def summary(subject: Subject) -> str:
    """Say in one table what the README of the repository says of the model."""
    rows = []
    for key in ("accuracy", "recall", "specificity", "auc"):
        name, percent = markdown.NAMES[key]
        cells = [markdown.figure(found.get(key), percent=percent) for found in subject.summaries.values()]
        rows.append([name, *cells, worst_shift(subject, key, percent=percent)])
    table = markdown.table(["", *subject.summaries, "worst shift"], rows)
    n = subject.summaries[AS_THEY_ARE].get("n", DASH)
    return (
        f"The shipped model, {subject.metadata.name} (`{subject.checkpoint.sha256[:12]}`), on {n} pictures\n"
        "of held-out patients of the training hospital, which also chose its operating point (so these figures\n"
        f"flatter), with 95 % intervals:\n\n{table}"
    )


def worst_shift(subject: Subject, key: str, *, percent: bool) -> str:
    """Write the lowest of a figure under the shifts, and which shift that is."""
    measured = subject.metrics.get("held_out", {}).items()
    found = {shift: of[key] for shift, of in measured if shift != "none" and of[key]["value"] is not None}
    if not found:
        return DASH
    worst = min(found, key=lambda shift: found[shift]["value"])
    return f"{markdown.figure(found[worst], percent=percent)}, {worst}"


PARTS: dict[str, Callable[[Subject], str]] = {
    "sensitivity": lambda subject: target(subject, "sensitivity"),
    "uncertain_share": lambda subject: target(subject, "uncertain_share"),
    "identity": identity,
    "data": data,
    "data_hash": lambda subject: subject.metadata.training.get("data", {}).get("hash", DASH),
    "image_size": lambda subject: str(subject.metadata.image_size),
    "preprocessing": lambda subject: subject.metadata.preprocessing,
    "run": training_run,
    "recipe": recipe,
    "shift_count": lambda subject: str(len(set(subject.metrics.get("held_out", {})) - {"none"})),
    "operating_point": operating_point,
    "uncertain": uncertain,
    "prevalence": prevalence,
    "figures": lambda subject: markdown.figures(subject.summaries),
    "test_split": test_split,
    "confusion": lambda subject: markdown.confusion({k: v.get("confusion", {}) for k, v in subject.summaries.items()}),
    "by_cause": by_cause,
    "predictive_values": values_at_prevalences,
    "plots": gallery,
    "shifts": shifts,
    "robustness": robustness,
    "refusal": refusal,
    "others": others,
    "heatmaps": heatmaps,
    "serving": serving,
    "reference": lambda subject: markdown.reference(subject.metadata.reference) or NOT_MEASURED,
    "shortcuts": shortcuts,
    "ablation": ablation,
}
