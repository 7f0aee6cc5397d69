"""The report of an evaluation for people: a table for the terminal, a page of Markdown, the plots."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml import markdown, plots

Report = dict[str, Any]

# Names that are shown of what was left out; report.json has all of them.
SHOWN_NAMES = 10

# The figures that the terminal shows again without refused pictures.
WITHOUT = ("accuracy", "recall", "specificity", "auc")

# What the terminal calls them: the names of report.json, with the words that readers know some of them by.
SAID = {"recall": "recall, sensitivity", "precision": "precision, PPV", "auc": "auc, AUROC", "auprc": "auprc, AUPRC"}

TRAINED_ON = "The model was trained on pictures of this folder: the figures say nothing of others."
HELD_OUT = "Patients of its training folder that it was not trained on; they chose its operating point."


def table(report: Report) -> str:
    """Write the report for a terminal."""
    checkpoint, counts, refused = report["checkpoint"], report["confusion"], report["refused"]
    causes = report["by_cause"].items()
    lines = [
        f"Checkpoint {checkpoint['name']} ({checkpoint['sha256'][:12]}), operating point {checkpoint['threshold']:.3f}",
        f"answered by {report['engine']}",
        f"n = {report['n']} pictures of {report['patients']} patients",
        f"{report['duplicates']} exact duplicates, {len(report['unreadable'])} unreadable",
        *([_left_out(report["left_out"])] if report["left_out"] else []),
        *([TRAINED_ON] if report["trained_on"] else []),
        *([HELD_OUT] if report["held_out"] else []),
        f"refused as no chest X-ray: {refused['count']} of {refused['n']}, measured all the same",
        *_without(report["without_refused"]),
        *_others(report.get("others")),
        "",
        *(row(name, figure) for name, figure in report["metrics"].items()),
        *(f"{row(f'recall, {cause}', found)}  n = {found['n']}" for cause, found in causes),
        *(row(name, found) + f"  n = {found['n']}" for name, found in _uncertain(report)),
        "",
        f"{'':<18}{'answer NORMAL':>15}{'PNEUMONIA':>12}",
        f"{'truth NORMAL':<18}{counts['true_normal']:>15}{counts['false_pneumonia']:>12}",
        f"{'truth PNEUMONIA':<18}{counts['false_normal']:>15}{counts['true_pneumonia']:>12}",
    ]
    return "\n".join(lines)


def row(name: str, figure: dict[str, float | None], *, indent: str = "") -> str:
    """Write one figure with its interval."""
    text = indent + SAID.get(name, name)
    if figure["value"] is None:
        return f"{text:<22}  undefined"
    _, percent = markdown.NAMES.get(name, (name, True))
    digits = ".1%" if percent else ".4f"
    return f"{text:<22}{figure['value']:>9{digits}}  ({figure['low']:{digits}} to {figure['high']:{digits}})"


def _without(summary: dict[str, Any] | None) -> list[str]:
    if summary is None:
        return []
    rows = (row(name, summary[name], indent="  ") for name in WITHOUT)
    return [f"without them, n = {summary['n']}:", *rows]


def _others(found: dict[str, Any] | None) -> list[str]:
    if not found:
        return []
    n, refused = sum(part["n"] for part in found.values()), sum(part["value"] * part["n"] for part in found.values())
    return [f"other pictures: {refused:.0f} of {n} refused, of {len(found)} kinds"]


def _left_out(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_NAMES]) + (" …" if len(names) > SHOWN_NAMES else "")
    return f"Beside them {len(names)} that {'is' if len(names) == 1 else 'are'} no picture file, left out: {shown}"


def _uncertain(report: Report) -> list[tuple[str, dict]]:
    found = report["uncertain"]
    names = {"share": "uncertain", "accuracy_outside": "accuracy, certain", "accuracy_inside": "accuracy, unsure"}
    return [(name, found[key]) for key, name in names.items()]


def draw(report: Report, folder: Path) -> list[Path]:
    """Draw what the report allows: no ROC curve where one label is absent."""
    summary = {**report["metrics"], "confusion": report["confusion"], "n": report["n"]}
    curves, threshold = report["curves"], report["checkpoint"]["threshold"]
    drawn = [
        plots.confusion_matrix(report["confusion"], folder / "confusion.png"),
        plots.reliability(curves["reliability"], folder / "reliability.png", ece=summary["ece"]),
    ]
    for name, plot in (("roc", plots.roc_curve), ("precision_recall", plots.precision_recall_curve)):
        if name in curves:
            drawn.append(plot(curves[name], folder / f"{name}.png", summary=summary, threshold=threshold))
    if "robustness" in report:
        drawn.append(plots.robustness(report["robustness"], folder / "robustness.png"))
    return drawn


def as_markdown(report: Report, *, plots: Sequence[Path], errors: Path | None) -> str:
    """Write the report as a page that shows the `plots` and the contact sheet of `errors` that lie beside it."""
    checkpoint, causes = report["checkpoint"], report["by_cause"].items()
    low, high = checkpoint["uncertain"]
    parts = [
        f"# {checkpoint['name']} on {report['n']} pictures",
        _measured(report),
        markdown.figures({"figure": {**report["metrics"], "n": report["n"]}}),
        markdown.confusion({"pictures": report["confusion"]}),
        "## Bacterial and viral pneumonia apart",
        markdown.table(["cause", "sensitivity", "n"], [[cause, *markdown.counted(found)] for cause, found in causes]),
        "## What an answer is worth",
        markdown.predictive_values({"these pictures": report["predictive_values"]}),
        f"## Uncertain answers, {low:.3f} to {high:.3f}",
        markdown.uncertain(report["uncertain"]),
        "## Refusals",
        _refused(report),
    ]
    if "others" in report:
        parts += ["Other pictures, which are to be refused:", markdown.others(report["others"])]
    parts += ["## Heatmaps", _heatmaps(report)]
    parts += ["## Shortcuts", _shortcuts(report["shortcuts"])]
    if "robustness" in report:
        parts += ["## Under shifts", markdown.robustness(report["robustness"])]
    parts += ["## Plots", "\n".join(f"![{path.stem}]({path.name})" for path in plots)]
    parts += ["## Wrong answers", _wrong(report, errors)]
    return "\n\n".join(parts) + "\n"


def _measured(report: Report) -> str:
    checkpoint = report["checkpoint"]
    return (
        f"Version `{checkpoint['sha256']}`, at its own operating point {checkpoint['threshold']:.3f}, "
        f"answered by {report['engine']}. "
        f"n = {report['n']} pictures of {report['patients']} patients, {report['duplicates']} exact duplicates among "
        f"them; {len(report['unreadable'])} could not be read and are in no figure. "
        + (f"{_left_out(report['left_out'])}. " if report["left_out"] else "")
        + (f"**{TRAINED_ON}** " if report["trained_on"] else "")
        + (f"{HELD_OUT} " if report["held_out"] else "")
        + f"Data hash `{report['data_hash']}`.\n\nIn brackets 95 % intervals, by patient. This is not a medical device."
    )


def _refused(report: Report) -> str:
    refused, without = report["refused"], report["without_refused"]
    text = (
        f"Refused as no chest X-ray: {refused['count']} of {refused['n']}, {markdown.figure(refused, percent=True)}. "
        "The site would not have answered these; they are measured all the same."
    )
    if without is None:
        return text
    every = {**report["metrics"], "n": report["n"]}
    return f"{text}\n\n{markdown.figures({'all pictures': every, 'without the refused': without})}"


def _heatmaps(report: Report) -> str:
    return (
        "Where the heatmap of a pneumonia that was found is hottest, by rough boxes for a frontal chest X-ray. A "
        f"heatmap is not a localisation.\n\n{markdown.heatmaps(report['heatmaps'])}"
    )


def _shortcuts(audit: dict[str, Any] | None) -> str:
    if audit is None:
        return "There are too few patients of either label to fit a rule on picture statistics."
    return (
        "Simple statistics of a picture (levels, gradients, borders) may tell its label without a look at a lung; here "
        "a rule on fifteen of them was cross-validated by patient on these very pictures. "
        + markdown.shortcuts({"these pictures": audit})
    )


def _wrong(report: Report, errors: Path | None) -> str:
    if errors is None:
        return "There are none."
    return (
        f"{len(report['wrong'])} of {report['n']}; report.json names all of them. The sheet shows those farthest from "
        "the operating point, each beside its heatmap. It shows pictures of people: do not publish it where their "
        "licence or privacy forbids that. A heatmap is not a localisation.\n\n"
        f"![wrong answers]({errors.name})"
    )
