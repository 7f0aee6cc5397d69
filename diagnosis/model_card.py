"""The model card of a version: what its checkpoint says of itself, in the order of the page.

The metadata may be of an older or a foreign checkpoint. A part whose figures are absent is empty, and the page leaves
it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from diagnosis import curves
from diagnosis.charts import Chart
from diagnosis.figures import Figure, details, figure, figures, metric_columns, metric_rows, number, part, shift_name
from diagnosis.models import ModelVersion

# How common pneumonia may be among those X-rayed: screening, an outpatient clinic, a ward.
PREVALENCES = (0.05, 0.10, 0.30)


class PredictiveValues(NamedTuple):
    """What an answer is worth at a prevalence."""

    prevalence: str
    ppv: Figure | None
    npv: Figure | None


@dataclass(frozen=True)
class ModelCard:
    """What is told of one model version; every part may be empty."""

    metadata: dict[str, Any]

    @classmethod
    def of(cls, version: ModelVersion) -> Self:
        """Read the card out of what was registered."""
        return cls(version.metadata if isinstance(version.metadata, dict) else {})

    @property
    def metrics(self) -> dict[str, Any]:
        """Everything that was measured."""
        return part(self.metadata, "metrics")

    @property
    def unchanged(self) -> dict[str, Any]:
        """The summary over held-out patients, their pictures as they are."""
        return part(self.metrics, "held_out", "none")

    # Figures -----------------------------------------------------------------------------------------------------

    @cached_property
    def figures(self) -> list[tuple[Figure, Figure | None]]:
        """Give each figure on the pictures as they are, beside the same with all shifts pooled."""
        pooled = {each.title: each for each in figures(part(self.metrics, "stress"))}
        return [(each, pooled.get(each.title)) for each in figures(self.unchanged)]

    @property
    def n(self) -> Any:
        """How many pictures of held-out patients."""
        return self.unchanged.get("n")

    @property
    def n_pooled(self) -> Any:
        """How many pictures with all shifts pooled."""
        return part(self.metrics, "stress").get("n")

    @cached_property
    def predictive_values(self) -> list[PredictiveValues]:
        """Give PPV and NPV at PREVALENCES by Bayes' rule; their intervals come from both ends of the two intervals."""
        sensitivity, specificity = part(self.unchanged, "recall"), part(self.unchanged, "specificity")
        if number(sensitivity.get("value")) is None or number(specificity.get("value")) is None:
            return []
        rows = []
        for prevalence in PREVALENCES:
            ppv, npv = {}, {}
            for end in ("value", "low", "high"):
                ppv[end], npv[end] = _bayes(number(sensitivity.get(end)), number(specificity.get(end)), prevalence)
            rows.append(PredictiveValues(f"{100 * prevalence:g} %", figure("PPV", ppv), figure("NPV", npv)))
        return rows

    @property
    def confusion(self) -> dict[str, Any]:
        """Count the four outcomes on the pictures as they are."""
        counts = part(self.unchanged, "confusion")
        names = ("true_normal", "false_pneumonia", "false_normal", "true_pneumonia")
        return counts if all(number(counts.get(name)) is not None for name in names) else {}

    @cached_property
    def causes(self) -> list[Figure]:
        """Give the sensitivity for each cause of pneumonia."""
        titles = {"bacteria": "Bacterial pneumonia", "virus": "Viral pneumonia"}
        found = part(self.metrics, "by_cause")
        return _present(figure(title, found.get(name)) for name, title in titles.items())

    @property
    def shift_columns(self) -> list[str]:
        """Title the columns of `shifts`."""
        return metric_columns(self.metrics)

    @property
    def shifts(self) -> list[dict[str, Any]]:
        """Give the figures under each shift."""
        return metric_rows(self.metrics)

    @cached_property
    def uncertain(self) -> list[Figure]:
        """Tell what the uncertain band costs and gains."""
        titles = {
            "share": "Share of pictures in the band",
            "accuracy_inside": "Accuracy inside the band",
            "accuracy_outside": "Accuracy outside the band",
        }
        found = part(self.metrics, "uncertain")
        return _present(figure(title, found.get(name)) for name, title in titles.items())

    @cached_property
    def false_refusals(self) -> list[Figure]:
        """Give the share of chest X-rays that are refused, by shift."""
        found = part(self.metrics, "refusal", "false_refusals")
        return _present(figure(shift_name(shift), told) for shift, told in found.items())

    @cached_property
    def shortcuts(self) -> list[Figure]:
        """Give the audit of the shortcut over simple statistics of a picture."""
        found = part(self.metrics, "shortcuts")
        groups = {"rule_right": "the statistics are right", "rule_wrong": "the statistics are wrong"}
        told = [
            figure("AUROC of the statistics alone", found.get("statistics_auc")),
            figure("Rank correlation of theirs with the model's probability, within a label", found.get("correlation")),
        ]
        for name, words in groups.items():
            group = part(found, name)
            for key, title in (("accuracy", "Accuracy"), ("auc", "AUROC")):
                given = part(group, key) or {"value": group.get(key)}
                told.append(figure(f"{title} where {words}", {"n": group.get("n")} | given))
        return _present(told)

    # How it was made ---------------------------------------------------------------------------------------------

    @property
    def calibration(self) -> dict[str, float]:
        """Give temperature and bias, as far as they are known."""
        found = {name: number(self.metadata.get(name)) for name in ("temperature", "bias")}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def counts(self) -> list[tuple[str, str]]:
        """Count the pictures and the patients that training saw."""
        return list(details(part(self.metadata, "training", "data")))

    @property
    def training(self) -> list[tuple[str, str]]:
        """Tell command, recipe, machine, time and the like."""
        told = part(self.metadata, "training")
        return list(details({key: value for key, value in told.items() if key != "data"}))

    # Curves ------------------------------------------------------------------------------------------------------

    @cached_property
    def charts(self) -> list[Chart]:
        """Give reliability, ROC and precision against recall."""
        return curves.charts(self.metrics)

    @cached_property
    def robustness(self) -> list[Chart]:
        """Give one chart for each shift that was made at several severities."""
        return curves.robustness(self.metrics)


def _bayes(
    sensitivity: float | None, specificity: float | None, prevalence: float
) -> tuple[float | None, float | None]:
    """Give PPV and NPV; None where nobody gets that answer, or something is not known."""
    if sensitivity is None or specificity is None:
        return None, None
    found, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    cleared, alarmed = specificity * (1 - prevalence), (1 - specificity) * (1 - prevalence)
    ppv = found / (found + alarmed) if found + alarmed else None
    return ppv, cleared / (cleared + missed) if cleared + missed else None


def _present(told: Iterable[Figure | None]) -> list[Figure]:
    return [each for each in told if each]
