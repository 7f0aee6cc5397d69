"""How well the model and its readers agree, counted by the database: a page reads the same few rows at a million."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from django.db.models import BooleanField, Count, ExpressionWrapper, F, Q
from django.db.models.functions import TruncMonth
from django.utils.timezone import get_default_timezone
from django.utils.translation import gettext as _

from diagnosis.figures import Figure, figure
from diagnosis.models import Label, ModelVersion, Prediction, Review, Verdict
from diagnosis.review.rows import REVIEWED, UNUSABLE
from ml.intervals import cohens_kappa, proportion


@dataclass
class Tally:
    """The reviewed answers of a month or a version: the decided ones as (label, verdict), the others by why not."""

    cases: Counter[tuple[str, str]] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)  # verdicts of two readers, the earlier one first
    unusable: int = 0
    disputed: int = 0
    half_read: int = 0

    def add_answers(self, row: dict[str, Any]) -> None:
        """Count what the database counted for one label, verdict and standing."""
        if row["half"]:
            self.half_read += row["n"]
        elif row["is_disputed"]:
            self.disputed += row["n"]
        elif row["reviewed_label"] == UNUSABLE:
            self.unusable += row["n"]
        else:
            self.cases[row["label"], row["reviewed_label"]] += row["n"]

    @property
    def n(self) -> int:
        """Give how many answers can be compared with a decided verdict."""
        return self.cases.total()

    @property
    def confusion(self) -> dict[str, int]:
        """Count the four outcomes, named as ml.metrics names them; the readers take the place of the truth."""
        return {
            "true_normal": self.cases[Label.NORMAL, Verdict.NORMAL],
            "false_pneumonia": self.cases[Label.PNEUMONIA, Verdict.NORMAL],
            "false_normal": self.cases[Label.NORMAL, Verdict.PNEUMONIA],
            "true_pneumonia": self.cases[Label.PNEUMONIA, Verdict.PNEUMONIA],
        }

    @property
    def figures(self) -> list[Figure]:
        """Give accuracy, sensitivity, specificity and both kappas, with intervals and n; "–" where undefined."""
        each = self.confusion
        ill = each["true_pneumonia"] + each["false_normal"]
        well = each["true_normal"] + each["false_pneumonia"]
        right = each["true_pneumonia"] + each["true_normal"]
        measured = (
            (_("Accuracy"), proportion(right, self.n), self.n),
            (_("Sensitivity"), proportion(each["true_pneumonia"], ill), ill),
            (_("Specificity"), proportion(each["true_normal"], well), well),
            (_("Cohen's kappa, model and reader"), cohens_kappa(_table(self.cases, Label.values)), self.n),
            (
                _("Cohen's kappa, reader and reader"),
                cohens_kappa(_table(self.pairs, Verdict.values)),
                self.pairs.total(),
            ),
        )
        return [figure(title, {**told, "n": n}) or Figure(title, "–", "", str(n)) for title, told, n in measured]

    @property
    def reader_table(self) -> list[tuple[str, list[int]]]:
        """Give (verdict of the earlier reader, how often the later one gave each verdict) in the order of Verdict."""
        counts = _table(self.pairs, Verdict.values)
        return [(str(verdict.label), row) for verdict, row in zip(Verdict, counts, strict=True)]


@dataclass
class Agreement:
    """What one page shows: all together, by version and by month, the newest first."""

    whole: Tally
    by_version: list[tuple[ModelVersion, Tally]]
    by_month: list[tuple[datetime, Tally]]

    @classmethod
    def of(cls, answers: Iterable[Any], pairs: Iterable[Any]) -> Self:
        """Sum up the counts of the database, one row for each combination that there is."""
        whole = Tally()
        versions: dict[int, Tally] = {}
        months: dict[datetime, Tally] = {}
        for row in answers:
            for tally in (whole, versions.setdefault(row["model_version"], Tally()), _of_month(months, row)):
                tally.add_answers(row)
        for row in pairs:
            for tally in (whole, versions.setdefault(row["model_version"], Tally()), _of_month(months, row)):
                tally.pairs[row["earlier"], row["later"]] += row["n"]
        named = ModelVersion.objects.defer("metadata").in_bulk(versions)
        return cls(
            whole,
            [(named[pk], versions[pk]) for pk in sorted(versions, reverse=True)],
            sorted(months.items(), reverse=True),
        )


def agreement_of(version: ModelVersion | None) -> Agreement:
    """Compare the answers of `version`, or of all, with the verdicts on them; months are those of the requests."""
    zone = get_default_timezone()
    answers = Prediction.objects.filter(REVIEWED).annotate(
        month=TruncMonth("requested_at", tzinfo=zone),
        half=ExpressionWrapper(Q(readings__lt=F("readings_wanted")), BooleanField()),
    )
    # Of three readers each two are a pair.
    pairs = Review.objects.filter(
        ~Q(prediction__reviewed_label=""),
        prediction__readings__gte=2,
        is_standing=True,
        prediction__reviews__is_standing=True,
        prediction__reviews__pk__gt=F("pk"),
    ).annotate(
        model_version=F("prediction__model_version"),
        month=TruncMonth("prediction__requested_at", tzinfo=zone),
        earlier=F("label"),
        later=F("prediction__reviews__label"),
    )
    if version:
        answers, pairs = answers.filter(model_version=version), pairs.filter(model_version=version.pk)
    return Agreement.of(
        answers.order_by()
        .values("model_version", "month", "label", "reviewed_label", "is_disputed", "half")
        .annotate(n=Count("pk")),
        pairs.order_by().values("model_version", "month", "earlier", "later").annotate(n=Count("pk")),
    )


def _of_month(months: dict[datetime, Tally], row: dict[str, Any]) -> Tally:
    return months.setdefault(row["month"], Tally())


def _table(counts: Counter[tuple[str, str]], kinds: list[str]) -> list[list[int]]:
    return [[counts[first, second] for second in kinds] for first in kinds]
