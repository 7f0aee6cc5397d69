"""The model card of a version: what its checkpoint says of itself, in the order of the page.

The metadata may be of an older or a foreign checkpoint. A part whose figures are absent is empty, and the page leaves
it out.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis import curves
from diagnosis.charts import Chart
from diagnosis.figures import (
    Figure,
    details,
    figure,
    figures,
    metric_columns,
    metric_rows,
    number,
    part,
    percentage,
    shift_name,
)
from diagnosis.models import ModelVersion
from diagnosis.numbers import written
from ml.prevalence import PREVALENCES, Share, predictive_values

# What ml.augmentation does to a training picture, by its names there.
AUGMENTATIONS = {
    "gentle": _("small rotations, crops and changes of brightness"),
    "robust": _(
        "other resolutions, rotations, crops and aspects; blur or sharpening, gamma, levels, contrast, brightness, "
        "noise and JPEG quality"
    ),
    "matched": _(
        "other resolutions, rotations, crops and aspects; mean, contrast and sharpness drawn from one distribution for "
        "all pictures; gamma, borders, markers, noise and JPEG quality"
    ),
    "lettered": _(
        "other resolutions, rotations, crops and aspects; mean, contrast and sharpness drawn from one distribution for "
        "all pictures; gamma, borders, markers, text burned into half of them, noise and JPEG quality"
    ),
}


# Where a first run may start, by the name that its command gives.
STARTING_WEIGHTS = {
    "imagenet": _("the VGG19 trained on ImageNet that Keras downloads"),
    "vgg19_notop.weights.h5": _(
        "a VGG16 trained on ImageNet (torchvision's training), widened to the shape of VGG19 by identity layers; not "
        "the VGG19 of the Oxford group"
    ),
}


class PredictiveValues(NamedTuple):
    """What an answer is worth at a prevalence; None where nobody gets that answer."""

    prevalence: str
    ppv: Figure | None
    npv: Figure | None


class EngineRow(NamedTuple):
    """One engine that was tried: its name, milliseconds a picture, what became of TensorFlow's answers."""

    name: str
    milliseconds: str
    changed: str  # labels, of how many
    largest_change: str  # of a probability
    serves: bool


class Stage(NamedTuple):
    """One run of those that led to a network: its name, `details` (key, text), the augmentation in words or ""."""

    name: str
    details: list[tuple[str, str]]
    augmentation: str


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
        """Give PPV and NPV at PREVALENCES by Bayes' rule."""
        told = (part(self.unchanged, name) for name in ("recall", "specificity"))
        sensitivity, specificity = ({key: number(share.get(key)) for key in ("value", "low", "high")} for share in told)
        if sensitivity["value"] is None or specificity["value"] is None:
            return []
        return [_predictive_values(sensitivity, specificity, prevalence) for prevalence in PREVALENCES]

    @property
    def confusion(self) -> dict[str, Any]:
        """Count the four outcomes on the pictures as they are."""
        counts = part(self.unchanged, "confusion")
        names = ("true_normal", "false_pneumonia", "false_normal", "true_pneumonia")
        return counts if all(number(counts.get(name)) is not None for name in names) else {}

    @cached_property
    def causes(self) -> list[Figure]:
        """Give the sensitivity for each cause of pneumonia."""
        titles = {"bacteria": gettext("Bacterial pneumonia"), "virus": gettext("Viral pneumonia")}
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
            "share": gettext("Share of pictures in the band"),
            "accuracy_inside": gettext("Accuracy inside the band"),
            "accuracy_outside": gettext("Accuracy outside the band"),
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
        """Give the audit of the shortcut over simple statistics of a picture, the pictures as they are."""
        return _audit(part(self.metrics, "shortcuts"))

    @cached_property
    def stress_shortcuts(self) -> list[Figure]:
        """Give the same with all shifts pooled."""
        return _audit(part(self.metrics, "stress_shortcuts"))

    # How it was made ---------------------------------------------------------------------------------------------

    @property
    def calibration(self) -> dict[str, float]:
        """Give temperature and bias by their titles, as far as they are known."""
        titles = {"temperature": gettext("Temperature"), "bias": gettext("Bias")}
        found = {title: number(self.metadata.get(name)) for name, title in titles.items()}
        return {title: value for title, value in found.items() if value is not None}

    @property
    def targets(self) -> dict[str, str]:
        """Tell what "sensitivity" the operating point and what "uncertain_share" the band were chosen for."""
        told = part(self.metrics, "targets")
        return {name: share for name in ("sensitivity", "uncertain_share") if (share := percentage(told.get(name)))}

    @property
    def counts(self) -> list[tuple[str, str]]:
        """Count the pictures and the patients that training saw."""
        return list(details(part(self.metadata, "training", "data")))

    @cached_property
    def stages(self) -> list[Stage]:
        """Tell command, recipe, machine, time and the like of each run that led to the network, the last one first."""
        name, told, found = str(self.metadata.get("name") or ""), part(self.metadata, "training"), []
        while told:
            found.append(_stage(name, told))
            told = part(told, "started_from")
            name = str(told.get("name") or gettext("an earlier run"))
        return found

    @property
    def starting_weights(self) -> tuple[str, str]:
        """Name the weights that the first of these runs started from; say what they are, "" where that is unknown."""
        command = dict(self.stages[-1].details).get("command", "") if self.stages else ""
        name = "".join(command.partition("--weights ")[2].split()[:1])
        return name, str(STARTING_WEIGHTS.get(name, ""))

    @cached_property
    def engines(self) -> list[EngineRow]:
        """Set the engines that were tried side by side, TensorFlow first."""
        told = part(self.metrics, "serving").get("table")
        return [_engine(row) for row in told if isinstance(row, dict)] if isinstance(told, list) else []

    @property
    def machine(self) -> str:
        """Name the processor that the engines were timed on."""
        return str(part(self.metrics, "serving").get("machine") or "")

    # Curves ------------------------------------------------------------------------------------------------------

    @cached_property
    def charts(self) -> list[Chart]:
        """Give reliability, ROC and precision against recall."""
        return curves.charts(self.metrics)

    @cached_property
    def robustness(self) -> list[Chart]:
        """Give one chart for each shift that was made at several severities."""
        return curves.robustness(self.metrics)


def _predictive_values(sensitivity: Share, specificity: Share, prevalence: float) -> PredictiveValues:
    worth = predictive_values(sensitivity, specificity, prevalence)
    return PredictiveValues(percentage(prevalence), figure("PPV", worth["ppv"]), figure("NPV", worth["npv"]))


def _audit(found: dict[str, Any]) -> list[Figure]:
    told = [
        figure(gettext("AUROC of the statistics alone"), found.get("statistics_auc")),
        figure(
            gettext("Rank correlation of theirs with the model's probability, within a label"),
            found.get("correlation"),
        ),
    ]
    for name, key, title in (
        ("rule_right", "accuracy", gettext("Accuracy where the statistics are right")),
        ("rule_right", "auc", gettext("AUROC where the statistics are right")),
        ("rule_wrong", "accuracy", gettext("Accuracy where the statistics are wrong")),
        ("rule_wrong", "auc", gettext("AUROC where the statistics are wrong")),
    ):
        group = part(found, name)
        given = part(group, key) or {"value": group.get(key)}
        told.append(figure(title, {"n": group.get("n")} | given))
    return _present(told)


def _engine(row: dict[str, Any]) -> EngineRow:
    parity, milliseconds = part(row, "held_out"), number(row.get("milliseconds"))
    flips, n, largest = (number(parity.get(key)) for key in ("flips", "n", "largest_change"))
    return EngineRow(
        name=str(row.get("engine") or ""),
        milliseconds="" if milliseconds is None else written(milliseconds, ".1f"),
        changed="" if flips is None or n is None else gettext("%(some)d of %(all)d") % {"some": flips, "all": n},
        largest_change="" if largest is None else written(largest, ".3f"),
        serves=row.get("serves") is True,
    )


def _stage(name: str, training: dict[str, Any]) -> Stage:
    own = {key: value for key, value in training.items() if key not in ("data", "started_from", "name")}
    augmentation = part(own, "recipe").get("augmentation")
    words = str(AUGMENTATIONS.get(augmentation, "")) if isinstance(augmentation, str) else ""
    return Stage(name, list(details(own)), words)


def _present(told: Iterable[Figure | None]) -> list[Figure]:
    return [each for each in told if each]
