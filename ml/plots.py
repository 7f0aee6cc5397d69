"""Plots of a training run, of an evaluation and of the model card, written as PNG or SVG by the name of the file.

Curves come as `ml.metrics.curves` gives them. Figures are made without pyplot, so that drawing changes no state of the
calling program.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ml.labels import LABELS

# Okabe & Ito: told apart by colour-blind people, too.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"

Points = Sequence[Sequence[float]]

ROBUSTNESS = (("recall", "sensitivity", BLUE), ("specificity", "specificity", ORANGE))

# What the held-out pictures are called in the legends: they are shown under changed light, sharpness and framing.
CURVES = (("", "training", BLUE), ("val_", "held out", ORANGE))
PANELS = (("loss", "Loss"), ("accuracy", "Accuracy"), ("auc", "AUC"))


@contextmanager
def _drawing(
    path: Path, *, rows: int = 1, panels: int = 1, size: float = 4.4, share: bool = False
) -> Iterator[list[Axes]]:
    """Give the axes of a new figure, row by row, and write it to `path` afterwards; `size` inches a panel."""
    with sns.axes_style("whitegrid", {"axes.edgecolor": "0.75"}), sns.plotting_context("notebook", font_scale=0.9):
        figure = Figure(figsize=((size + 0.2) * panels + 0.6, size * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, panels, squeeze=False, sharex=share, sharey=share).ravel()
        yield list(axes)
        for axis in axes:
            sns.despine(ax=axis)
        path.parent.mkdir(parents=True, exist_ok=True)
        # The same figures give the same SVG, byte by byte, and the browser sets the text.
        with rc_context({"svg.hashsalt": "pneumonia", "svg.fonttype": "none"}):
            figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix == ".svg" else None)


def learning_curves(rows: Sequence[Mapping], path: Path) -> Path:
    """Draw loss, accuracy and AUC by epoch, phase 1 before phase 2.

    A row has epoch (0, 1 … within its phase), phase ("phase1" or "phase2") and any of loss, accuracy, auc and the
    same with val_ before them. Of an epoch that was logged twice, by an interrupted run, the later row counts.
    """
    epochs = list({(row["phase"], row["epoch"]): row for row in rows}.values())
    numbers = np.arange(1, len(epochs) + 1)
    changes = [i for i in range(1, len(epochs)) if epochs[i]["phase"] != epochs[i - 1]["phase"]]
    with _drawing(path, panels=len(PANELS)) as axes:
        for axis, (key, title) in zip(axes, PANELS, strict=True):
            for prefix, name, colour in CURVES:
                values = [row.get(prefix + key, np.nan) for row in epochs]
                axis.plot(numbers, values, color=colour, marker="o", markersize=4, linewidth=2, label=name)
            for change in changes:
                axis.axvline(change + 0.5, color=GREY, linestyle="--", linewidth=1)
                axis.text(
                    change + 0.55, 0.99, "convolutions opened", color=GREY, fontsize=8, rotation=90, va="top",
                    transform=axis.get_xaxis_transform(),
                )  # fmt: skip
            axis.set(title=title, xlabel="Epoch")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes[0].legend(frameon=False)
    return path


def confusion_matrix(counts: Mapping[str, int], path: Path, *, title: str = "Confusion") -> Path:
    """Draw the four counts of `ml.metrics.confusion`, each with its share of its true label."""
    matrix = np.array(
        [[counts["true_normal"], counts["false_pneumonia"]], [counts["false_normal"], counts["true_pneumonia"]]]
    )
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    texts = [[f"{matrix[i, j]}\n{shares[i, j]:.1%}" for j in (0, 1)] for i in (0, 1)]
    with _drawing(path) as (axis,):
        sns.heatmap(
            shares, annot=np.array(texts), fmt="", cmap="Blues", vmin=0, vmax=1, cbar=False, square=True, ax=axis,
            linewidths=2, xticklabels=LABELS, yticklabels=LABELS, annot_kws={"size": 14},
        )  # fmt: skip
        axis.set(title=f"{title} (n = {matrix.sum()})", xlabel="Answer", ylabel="Truth")
    return path


def roc_curve(points: Points, path: Path, *, summary: Mapping, threshold: float) -> Path:
    """Draw the ROC curve with the operating point; `summary` is that of `ml.metrics.summarise`."""
    auc = summary["auc"]
    with _drawing(path) as (axis,):
        axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        axis.plot(*zip(*points, strict=True), color=BLUE, linewidth=2, label=f"AUC {_with_interval(auc)}")
        _mark(axis, 1 - summary["specificity"]["value"], summary["recall"]["value"], threshold)
        axis.set(
            title=f"ROC (n = {summary['n']})", xlabel="1 − specificity", ylabel="Sensitivity (recall)", aspect="equal"
        )
        axis.legend(loc="lower right", frameon=False)
    return path


def precision_recall_curve(points: Points, path: Path, *, summary: Mapping, threshold: float) -> Path:
    """Draw precision over recall with the operating point, and what answering PNEUMONIA always would give."""
    counts, n = summary["confusion"], summary["n"]
    share = (counts["true_pneumonia"] + counts["false_normal"]) / n
    with _drawing(path) as (axis,):
        axis.axhline(share, color=GREY, linestyle=":", linewidth=1, label=f"share of PNEUMONIA {share:.0%}")
        area = f"average precision {_with_interval(summary['auprc'])}"
        axis.plot(*zip(*points, strict=True), color=BLUE, linewidth=2, label=area)
        if summary["precision"]["value"] is not None:  # nobody is called ill where the threshold is out of reach
            _mark(axis, summary["recall"]["value"], summary["precision"]["value"], threshold)
        axis.set(
            title=f"Precision and recall (n = {n})", xlabel="Sensitivity (recall)", ylabel="Precision (PPV)",
            xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal",
        )  # fmt: skip
        axis.legend(loc="lower left", frameon=False)
    return path


def reliability(bins: Points, path: Path, *, ece: Mapping) -> Path:
    """Draw the share of PNEUMONIA against the probability of it, bin by bin; `ece` is {"value", "low", "high"}."""
    mean, share, counts = (np.array(column) for column in zip(*bins, strict=True))
    with _drawing(path) as (axis,):
        axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1, label="perfect calibration")
        axis.plot(mean, share, color=BLUE, linewidth=1.5, label=f"ECE {ece['value']:.3f}")
        axis.scatter(mean, share, s=20 + 300 * counts / counts.sum(), color=BLUE, alpha=0.75, edgecolor="white")
        axis.set(
            title=f"Reliability (n = {counts.sum()}, area of a dot: pictures)", xlabel="Probability of PNEUMONIA",
            ylabel="Share of PNEUMONIA", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal",
        )  # fmt: skip
        axis.legend(loc="upper left", frameon=False)
    return path


def robustness(shifts: Mapping[str, Sequence[Mapping]], path: Path) -> Path:
    """Draw sensitivity and specificity over the severity of each shift, one small panel a shift.

    Takes {shift: points of `ml.metrics.robustness_point`}; severity 0 is the picture as it is.
    """
    panels = min(5, len(shifts))
    worst = min(point[key] or 0 for points in shifts.values() for point in points for key, *_ in ROBUSTNESS)
    with _drawing(path, rows=-(-len(shifts) // panels), panels=panels, size=2.1, share=True) as axes:
        for axis, (shift, points) in zip(axes, shifts.items(), strict=False):
            severities = [point["severity"] for point in points]
            for key, name, colour in ROBUSTNESS:
                values = [np.nan if point[key] is None else point[key] for point in points]
                axis.plot(severities, values, color=colour, marker="o", markersize=4, linewidth=2, label=name)
            axis.set(title=shift, ylim=(min(0.5, worst - 0.05), 1.03))
        for axis in axes[len(shifts) :]:
            axis.set_visible(False)
        axes[0].figure.supxlabel("Severity", fontsize="medium")
        axes[0].legend(loc="lower left", frameon=False)
    return path


def _mark(axis: Axes, x: float, y: float, threshold: float) -> None:
    axis.plot(x, y, "o", color=ORANGE, markersize=9, label=f"operating point {threshold:.3f}")


def _with_interval(figure: Mapping) -> str:
    return f"{figure['value']:.3f} ({figure['low']:.3f}–{figure['high']:.3f})"
