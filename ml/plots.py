"""Pictures of a training run and of an evaluation, written as PNG files.

Figures are made without pyplot, so that drawing changes no state of the calling program.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike
from sklearn.metrics import roc_curve as roc_points

from ml.labels import LABELS
from ml.metrics import checked, reliability_bins

# Okabe & Ito: told apart by colour-blind people, too.
BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#6B6B6B"

# What the held-out pictures are called in the legends: they are shown under changed light, sharpness and framing.
CURVES = (("", "training", BLUE), ("val_", "held out", ORANGE))
PANELS = (("loss", "Loss"), ("accuracy", "Accuracy"), ("auc", "AUC"))


@contextmanager
def _drawing(path: Path, *, panels: int = 1) -> Iterator[list[Axes]]:
    """Give the axes of a new figure and write it to `path` afterwards."""
    with sns.axes_style("whitegrid", {"axes.edgecolor": "0.75"}), sns.plotting_context("notebook", font_scale=0.9):
        figure = Figure(figsize=(4.6 * panels + 0.6, 4.4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(1, panels, squeeze=False)[0]
        yield list(axes)
        for axis in axes:
            sns.despine(ax=axis)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)


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


def roc_curve(probabilities: ArrayLike, labels: ArrayLike, path: Path, *, threshold: float, auc: Mapping) -> Path:
    """Draw the ROC curve with the operating point; `auc` is {"value", "low", "high"}. Needs both labels."""
    p, y = checked(probabilities, labels)
    false_alarms, found, _ = roc_points(y, p, drop_intermediate=False)
    with _drawing(path) as (axis,):
        axis.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
        area = f"AUC {auc['value']:.3f} ({auc['low']:.3f}–{auc['high']:.3f})"
        axis.plot(false_alarms, found, color=BLUE, linewidth=2, label=area)
        point = np.mean(p[y == 0] >= threshold), np.mean(p[y == 1] >= threshold)
        axis.plot(*point, "o", color=ORANGE, markersize=9, label=f"operating point {threshold:.3f}")
        axis.set(title=f"ROC (n = {len(y)})", xlabel="1 − specificity", ylabel="Sensitivity (recall)", aspect="equal")
        axis.legend(loc="lower right", frameon=False)
    return path


def reliability(probabilities: ArrayLike, labels: ArrayLike, path: Path, *, ece: Mapping) -> Path:
    """Draw the share of PNEUMONIA against the probability of it, bin by bin; `ece` is {"value", "low", "high"}."""
    mean, share, counts = reliability_bins(probabilities, labels)
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
