"""The filters of the list of predictions that are more than a column's values."""

from django.contrib import admin
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.http import HttpRequest

from diagnosis.models import Prediction, Review
from diagnosis.states import State

# On the probability, to both sides of the operating point: where a small change would have changed the label.
NEAR = 0.1


class ProbabilityFilter(admin.SimpleListFilter):
    """By the probability of PNEUMONIA; the ranges hold their lower end."""

    title = "probability of pneumonia"
    parameter_name = "probability"

    ranges = {
        "under-10": ("Under 10 %", Q(probability__lt=0.1)),
        "10-50": ("10 % to 50 %", Q(probability__gte=0.1, probability__lt=0.5)),
        "50-90": ("50 % to 90 %", Q(probability__gte=0.5, probability__lt=0.9)),
        "over-90": ("90 % and over", Q(probability__gte=0.9)),
        "near": (
            "Within 10 points of the operating point",
            Q(probability__gte=F("threshold") - NEAR, probability__lte=F("threshold") + NEAR),
        ),
    }

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """List the ranges."""
        return [(name, title) for name, (title, _) in self.ranges.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the chosen range; an unknown one keeps everything."""
        chosen = self.ranges.get(self.value() or "")
        return queryset.filter(chosen[1]) if chosen else queryset


class ReviewFilter(admin.SimpleListFilter):
    """By what people said; of several reviews of one prediction the newest stands."""

    title = "review"
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """List what a prediction may be waiting for or have got."""
        return [("none", "Answered, not reviewed"), ("agreed", "Agreed"), ("corrected", "Corrected")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prediction]) -> QuerySet[Prediction]:
        """Keep the chosen kind. It starts from the reviews, which are few beside the predictions."""
        verdicts = newest_reviews()
        if self.value() == "none":
            reviews = Review.objects.filter(prediction=OuterRef("pk"))
            return queryset.filter(~Exists(reviews), state=State.SUCCEEDED)
        if self.value() == "agreed":
            return queryset.filter(pk__in=verdicts.filter(label=F("prediction__label")).values("prediction"))
        if self.value() == "corrected":
            return queryset.filter(pk__in=verdicts.exclude(label=F("prediction__label")).values("prediction"))
        return queryset


def newest_reviews() -> QuerySet[Review]:
    """Keep one review of each prediction: the last one. Reviews are only ever appended, so its id is the highest."""
    later = Review.objects.filter(prediction=OuterRef("prediction"), pk__gt=OuterRef("pk"))
    return Review.objects.filter(~Exists(later))
