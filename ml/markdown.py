"""Figures and tables as Markdown, for the model card and the report of an evaluation."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ml import drift

# What stands where there is no figure: nothing was measured, or the labels leave it undefined.
DASH = "–"

Figure = Mapping[str, Any]

# Each figure of ml.metrics.summarise by the name that readers know it by, and whether it is a share of pictures.
NAMES = {
    "accuracy": ("accuracy", True),
    "recall": ("sensitivity (recall)", True),
    "specificity": ("specificity", True),
    "precision": ("precision (PPV)", True),
    "npv": ("NPV", True),
    "f1": ("F1", True),
    "auc": ("AUROC", False),
    "auprc": ("AUPRC", False),
    "log_loss": ("log loss", False),
    "brier": ("Brier score", False),
    "ece": ("ECE, 15 bins of P(PNEUMONIA)", False),
}


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Lay out a table; every row is as long as its header."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def figure(found: Figure | None, *, percent: bool) -> str:
    """Write {"value", "low", "high"} with its interval, as 96.1 % (94.0–97.5) or as 0.993 (0.987–0.997)."""
    if found is None or found.get("value") is None:
        return DASH
    if percent:
        return f"{100 * found['value']:.1f} % ({100 * found['low']:.1f}–{100 * found['high']:.1f})"
    return f"{found['value']:.3f} ({found['low']:.3f}–{found['high']:.3f})"


def share(value: float | None) -> str:
    """Write a share 0..1 as 96.1 %."""
    return DASH if value is None else f"{100 * value:.1f} %"


def number(value: float | None) -> str:
    """Write a figure that has no interval as 0.993."""
    return DASH if value is None else f"{value:.3f}"


def figures(columns: Mapping[str, Figure]) -> str:
    """Set summaries (of `ml.metrics.summarise`) side by side, one a column; an empty one gives dashes."""
    rows = [["n", *(summary.get("n", DASH) for summary in columns.values())]]
    rows += [
        [name, *(figure(summary.get(key), percent=percent) for summary in columns.values())]
        for key, (name, percent) in NAMES.items()
    ]
    return table(["", *columns], rows)


def confusion(columns: Mapping[str, Figure]) -> str:
    """Set the counts of `ml.metrics.confusion` side by side, one column each; dashes where they are absent."""
    names = {
        "true_normal": ("NORMAL", "NORMAL"),
        "false_pneumonia": ("NORMAL", "PNEUMONIA"),
        "false_normal": ("PNEUMONIA", "NORMAL"),
        "true_pneumonia": ("PNEUMONIA", "PNEUMONIA"),
    }
    rows = [[*pair, *(counts.get(key, DASH) for counts in columns.values())] for key, pair in names.items()]
    return table(["truth", "answer", *columns], rows)


def counted(found: Figure | None) -> list[str]:
    """Give the two cells of a share that says its n: 96.1 % (94.0–97.5), and n."""
    return [figure(found, percent=True), str((found or {}).get("n", DASH))]


def robustness(shifts: Mapping[str, Sequence[Figure]]) -> str:
    """Lay out what `ml.metrics.robustness_point` gave, a row for each shift and severity.

    An evaluation's points have "flips" and "refused" too, and the intervals of all shares.
    """

    def of(point: Figure, key: str) -> str:
        interval = point.get("intervals", {}).get(key)
        return figure(interval, percent=True) if interval else share(point[key])

    beside = {"flips": "labels that change", "refused": "refused"}
    told = [key for key in beside if all(key in point for points in shifts.values() for point in points)]
    rows = [
        [
            shift,
            point["severity"],
            of(point, "recall"),
            of(point, "specificity"),
            number(point["auc"]),
            *(of(point, key) for key in told),
            point["n"],
        ]
        for shift, points in shifts.items()
        for point in points
    ]
    columns = ["shift", "severity", "sensitivity", "specificity", "AUROC", *(beside[key] for key in told), "n"]
    return table(columns, rows)


def predictive_values(columns: Mapping[str, Sequence[Figure]]) -> str:
    """Set PPV and NPV (of `ml.metrics.at_prevalences`) side by side, a column each; an empty one gives dashes."""
    prevalences = sorted({row["prevalence"] for found in columns.values() for row in found})
    rows = []
    for prevalence in prevalences:
        cells = [[row for row in found if row["prevalence"] == prevalence] for found in columns.values()]
        rows.append(
            [
                f"{100 * prevalence:.0f} %",
                *(figure(c[0][worth], percent=True) if c else DASH for c in cells for worth in ("ppv", "npv")),
            ]
        )
    return table(["prevalence", *(f"{worth}, {name}" for name in columns for worth in ("PPV", "NPV"))], rows)


def uncertain(found: Mapping[str, Figure]) -> str:
    """Lay out what `ml.metrics.uncertain_summary` gave."""
    names = {
        "share": "answers that are uncertain",
        "accuracy_outside": "accuracy of the others",
        "accuracy_inside": "accuracy of the uncertain ones",
    }
    return table(["", "share", "n"], [[name, *counted(found.get(key))] for key, name in names.items()])


def counted_shares(found: Mapping[str, Figure], header: Sequence[str]) -> str:
    """Lay out shares by name under a `header` of three: the name, the share with its interval, n."""
    return table(header, [[name, *counted(part)] for name, part in found.items()])


def others(found: Mapping[str, Figure]) -> str:
    """Lay out what share of other pictures is refused, by kind."""
    return counted_shares(found, ["kind of picture", "refused", "n"])


def heatmaps(found: Mapping[str, Figure]) -> str:
    """Lay out where the heatmaps of pneumonias that were found are hottest."""
    return counted_shares(found, ["where in the picture", "share", "n"])


def reference(told: Mapping[str, Any]) -> str:
    """Set mean and spread of each measure of a reference in a row; "" where there is none."""
    rows = [
        [name.replace("_", " "), *(f"{value:.4g}" for value in _spread(name, counts)), sum(counts)]
        for name, counts in drift.read_reference(told).items()
    ]
    return table(["measure", "5 % are below", "mean", "5 % are above", "n"], rows) if rows else ""


def _spread(name: str, counts: drift.Counts) -> tuple[float, float, float]:
    edges = drift.MEASURES[name].edges
    return drift.quantile(edges, counts, 0.05), drift.mean(name, counts), drift.quantile(edges, counts, 0.95)


def shortcuts(audits: Mapping[str, Mapping[str, Any]]) -> str:
    """Lay out audits of `ml.shortcuts.audit`, at least one: is the network right where the statistics are wrong?"""
    first = next(iter(audits.values()))
    rows = [_audited(name, audit, rule) for name, audit in audits.items() for rule in ("right", "wrong")]
    return (
        f"The rule on these statistics has an AUROC of {first['statistics_auc']:.3f}. The network's rank correlation "
        f"with it, within a label, is {number(first['correlation'])} (0: none, 1: the same).\n\n"
        + table(["pictures", "statistics are", "AUROC", "accuracy", "sensitivity", "specificity", "n"], rows)
    )


def _audited(name: str, audit: Mapping[str, Any], rule: str) -> list[Any]:
    part = audit[f"rule_{rule}"]
    shares = (figure(part.get(key), percent=True) for key in ("accuracy", "recall", "specificity"))
    return [name, rule, number(part.get("auc")), *shares, part["n"]]
