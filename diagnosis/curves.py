"""The curves of a checkpoint's metrics, as charts. What was not measured is not drawn."""

from typing import Any

from django.utils.text import capfirst
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from diagnosis.charts import GUIDE, Chart, Line, Point
from diagnosis.figures import number, part, shift_name
from diagnosis.numbers import written

DIAGONAL: list[Point] = [(0.0, 0.0), (1.0, 1.0)]

# Of each point of a robustness curve: the key in the metrics, the title, the style of the line.
FALLING = (
    ("auc", _("AUROC"), "solid"),
    ("recall", _("Sensitivity"), "dashed"),
    ("specificity", _("Specificity"), "dotted"),
)
KEYS = [key for key, _title, _style in FALLING]


def charts(metrics: dict[str, Any]) -> list[Chart]:
    """Draw reliability, ROC and precision against recall, each with all shifts pooled where that was measured."""
    drawn = (_reliability(metrics), _roc(metrics), _precision_recall(metrics))
    return [chart for chart in drawn if chart]


def robustness(metrics: dict[str, Any]) -> list[Chart]:
    """Draw for each shift how the figures fall as it grows stronger."""
    drawn = (_robustness_chart(shift, steps) for shift, steps in part(metrics, "robustness").items())
    return [chart for chart in drawn if chart]


def _reliability(metrics: dict[str, Any]) -> Chart | None:
    lines = _measured(metrics, "reliability", has_dots=True)
    if not lines:
        return None
    rows = _rows(part(metrics, "curves").get("reliability"), 3)
    return Chart(
        "reliability",
        gettext("Reliability"),
        gettext(
            "How often it was pneumonia, for each group of pictures with about the same probability. On the diagonal a "
            "probability means what it says."
        ),
        gettext("calibrated probability of pneumonia"),
        gettext("share of pneumonia"),
        [Line(gettext("probability that means what it says"), DIAGONAL, GUIDE), *lines],
        [gettext("Mean probability"), gettext("Share of pneumonia"), "n"],
        [[written(mean, ".3f"), written(share, ".3f"), written(n, ",.0f")] for mean, share, n in rows],
    )


def _roc(metrics: dict[str, Any]) -> Chart | None:
    lines = _measured(metrics, "roc")
    if not lines:
        return None
    return Chart(
        "roc",
        "ROC",
        gettext("Sensitivity against false alarms, for every possible operating point. The diagonal is chance."),
        gettext("false alarms among normal pictures"),
        gettext("sensitivity"),
        [Line(gettext("chance"), DIAGONAL, GUIDE), *lines],
        [gettext("False alarms"), gettext("Sensitivity")],
        _cells(lines[0].points),
    )


def _precision_recall(metrics: dict[str, Any]) -> Chart | None:
    lines = _measured(metrics, "precision_recall")
    if not lines:
        return None
    return Chart(
        "precision-recall",
        gettext("Precision and recall"),
        gettext("How many of those called pneumonia have it, against how many of those who have it are called so."),
        gettext("recall (sensitivity)"),
        gettext("precision"),
        lines,
        [gettext("Recall"), gettext("Precision")],
        _cells(lines[0].points),
    )


def _measured(metrics: dict[str, Any], name: str, *, has_dots: bool = False) -> list[Line]:
    """Give the curve `name` as they are, and with all shifts pooled beside it; nothing without the first."""
    as_they_are, pooled = (_points(part(metrics, key).get(name)) for key in ("curves", "stress_curves"))
    if not as_they_are:
        return []
    plain, stress = part(metrics, "held_out", "none"), part(metrics, "stress")
    lines = [Line(gettext("pictures as they are") + _counted([plain]), as_they_are, "solid", has_dots)]
    if pooled:
        lines.append(Line(gettext("all shifts pooled") + _counted([stress]), pooled, "dashed", has_dots))
    return lines


def _robustness_chart(shift: str, steps: Any) -> Chart | None:
    told = [step for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    lines = []
    for key, title, style in FALLING:
        pairs = ((number(step.get("severity")), number(step.get(key))) for step in told)
        points = [(x, y) for x, y in pairs if x is not None and y is not None]
        if points:
            lines.append(Line(str(title), points, style, has_dots=True))
    if not lines:
        return None
    return Chart(
        f"robustness-{shift}",
        f"{capfirst(shift_name(shift))}{_counted(told)}",
        gettext(
            "How the figures change as the shift “%(shift)s” grows stronger; at severity 1 it is that of the table."
        )
        % {"shift": shift_name(shift)},
        gettext("severity"),
        pgettext("of a chart's axis", "figure"),
        lines,
        [gettext("Severity"), "n", *(str(title) for _key, title, _style in FALLING)],
        [[_text(step.get(key)) for key in ("severity", "n", *KEYS)] for step in told],
        x_max=max(1.0, *(x for line in lines for x, _y in line.points)),
    )


def _rows(told: Any, length: int) -> list[tuple[float, ...]]:
    """Keep those rows of a JSON list that are `length` numbers."""
    rows = [row for row in told if isinstance(row, list) and len(row) == length] if isinstance(told, list) else []
    read = [[given for value in row if (given := number(value)) is not None] for row in rows]
    return [tuple(row) for row in read if len(row) == length]


def _points(told: Any) -> list[Point]:
    """Read [[x, y], ...] or [[x, y, n], ...] within 0..1."""
    found = _rows(told, 2) or _rows(told, 3)
    return [(row[0], row[1]) for row in found if 0 <= row[0] <= 1 and 0 <= row[1] <= 1]


def _cells(points: list[Point]) -> list[list[str]]:
    return [[written(x, ".3f"), written(y, ".3f")] for x, y in points]


def _counted(told: list[dict[str, Any]]) -> str:
    """Give ", n = 130" for what was measured on as many pictures each time, a range where it differs."""
    counts = sorted({n for each in told if (n := number(each.get("n"))) is not None})
    return f", n = {'–'.join(written(n, ',.0f') for n in dict.fromkeys([counts[0], counts[-1]]))}" if counts else ""


def _text(value: Any) -> str:
    given = number(value)
    if given is None:
        return "-"
    return written(given, ",.0f" if isinstance(value, int) else ".3g")
