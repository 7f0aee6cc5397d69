"""The filters of the list of predictions that are more than a column's values."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ERROR_FLAG, PAGE_VAR, ChangeList
from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.models import PROBABILITY_RANGES, Prediction
from diagnosis.review.rows import AGREED, CORRECTED, REVIEWED
from diagnosis.states import State


class ProbabilityFilter(admin.SimpleListFilter):
    """By the probability of PNEUMONIA; the ranges hold their lower end."""

    title = _("probability of pneumonia")
    parameter_name = "probability"

    titles = {
        "under-10": _("Under 10 %"),
        "10-50": _("10 % to 50 %"),
        "50-90": _("50 % to 90 %"),
        "over-90": _("90 % and over"),
        "near": _("Within 10 points of the operating point"),
    }

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, Any]]:
        """List the ranges."""
        return list(self.titles.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the chosen range; an unknown one keeps everything."""
        return queryset.filter(PROBABILITY_RANGES.get(self.value() or "", Q()))


class ReviewFilter(admin.SimpleListFilter):
    """By what people said; of several reviews of one prediction the newest stands."""

    title = _("review")
    parameter_name = "review"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """List what a prediction may be waiting for or have got."""
        return [
            ("none", gettext("Answered, not reviewed")),
            ("missing", gettext("Not reviewed (any state)")),
            ("any", gettext("Reviewed (any)")),
            ("agreed", gettext("Agreed")),
            ("corrected", gettext("Corrected")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Prediction]) -> QuerySet[Prediction]:
        """Keep the chosen kind."""
        kinds = {
            "none": Q(reviewed_label="", state=State.SUCCEEDED),
            "missing": Q(reviewed_label=""),
            "any": REVIEWED,
            "agreed": AGREED,
            "corrected": CORRECTED,
        }
        return queryset.filter(kinds.get(self.value() or "", Q()))


class OfLatest:
    """Before a filter by a field of a scan's latest prediction: lets an index serve it."""

    used_parameters: dict[str, Any]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep what the filter keeps, and say that it's the latest that is asked for."""
        narrowed: QuerySet = super().queryset(request, queryset)  # type: ignore[misc]
        return narrowed.filter(latest_prediction__is_latest=True) if self.used_parameters else narrowed


class LatestChoicesFilter(OfLatest, admin.ChoicesFieldListFilter):
    """By one of a few values."""


class LatestBooleanFilter(OfLatest, admin.BooleanFieldListFilter):
    """By yes or no."""


class OwnerFilter(admin.SimpleListFilter):
    """By the scan's owner. People are too many to list: a name in a row chooses, the filter shows who is chosen."""

    title = _("owner")
    parameter_name = "scan__owner__id__exact"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """List the chosen person alone; nobody while nobody is chosen, and then the filter is not shown."""
        chosen = self.value()
        if not chosen:
            return []
        person = get_user_model().objects.filter(pk=chosen).first() if chosen.isdecimal() else None
        return [(chosen, person.get_username() if person else gettext("Unknown person"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the rows of the chosen person; none of an unknown one."""
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(owner=int(chosen)) if chosen.isdecimal() else queryset.none()

    @property
    def chosen_name(self) -> str:
        """Name the chosen person; "" while nobody is chosen."""
        return str(next((name for _, name in self.lookup_choices), ""))

    @property
    def others(self) -> str:
        """Give the query string of the list without this filter, from its first page."""
        query = self.request.GET.copy()
        for name in (self.parameter_name, PAGE_VAR, ERROR_FLAG):
            query.pop(name, None)
        return f"?{query.urlencode()}"


def owner_link(owner: Any) -> SafeString:
    """Name `owner`, as a link to the list of all predictions of that person's scans."""
    address = f"{reverse('admin:diagnosis_prediction_changelist')}?{OwnerFilter.parameter_name}={owner.pk}"
    return format_html('<a href="{}">{}</a>', address, owner.get_username())


class DayRangeForm(forms.Form):
    """The first and the last day that count; either may be left open."""

    requested_from = forms.DateField(label=_("From"), required=False, input_formats=["%Y-%m-%d"])
    requested_to = forms.DateField(label=_("To"), required=False, input_formats=["%Y-%m-%d"])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget = forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"})

    def clean(self) -> dict[str, Any]:
        """Refuse a range that ends before it begins."""
        first, last = self.cleaned_data.get("requested_from"), self.cleaned_data.get("requested_to")
        if first and last and last < first:
            raise forms.ValidationError(gettext("The last day lies before the first."))
        return self.cleaned_data


class DayFilter(admin.ListFilter):
    """By the days of a moment, both included: typed in, or one of the usual ranges.

    Not Django's date_hierarchy: to list the years it truncates the time of every row. A range reads the index of the
    moment alone.
    """

    moment: str
    template = "admin/diagnosis/prediction/day_range_filter.html"

    def __init__(
        self, request: HttpRequest, params: dict[str, Any], model: type, model_admin: admin.ModelAdmin
    ) -> None:
        super().__init__(request, params, model, model_admin)
        names = list(DayRangeForm.base_fields)
        given = {name: params.pop(name)[-1] for name in names if name in params}
        self.used_parameters = {name: value for name, value in given.items() if value}
        self.form = DayRangeForm(self.used_parameters)
        apart = {*names, PAGE_VAR, ERROR_FLAG}
        # What else narrows and sorts the list, for the form to send along.
        self.kept = [(name, value) for name, values in request.GET.lists() if name not in apart for value in values]

    def expected_parameters(self) -> list[str | None]:
        """Name the form's fields."""
        return list(DayRangeForm.base_fields)

    def has_output(self) -> bool:
        """Show the form always."""
        return True

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, Any]]:
        """Give the usual ranges, each open to the future."""
        today = timezone.localdate()
        starts = {
            gettext("Any day"): None,
            gettext("Today"): today,
            gettext("Past 7 days"): today - timedelta(days=7),
            gettext("This month"): today.replace(day=1),
            gettext("This year"): today.replace(month=1, day=1),
        }
        for title, start in starts.items():
            chosen = {"requested_from": start.isoformat()} if start else {}
            yield {
                "selected": self.used_parameters == chosen,
                "query_string": changelist.get_query_string(chosen, remove=list(DayRangeForm.base_fields)),
                "display": title,
            }

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the days of the range; no row where it can't be understood, and then the form says why."""
        if not self.form.is_valid():
            return queryset.none()
        first, last = self.form.cleaned_data["requested_from"], self.form.cleaned_data["requested_to"]
        if first:
            queryset = queryset.filter(
                **{f"{self.moment}__gte": timezone.make_aware(datetime.combine(first, time.min))}
            )
        if last:
            queryset = queryset.filter(**{f"{self.moment}__lte": timezone.make_aware(datetime.combine(last, time.max))})
        return queryset


class RequestedFilter(DayFilter):
    """By the days of the request."""

    title = _("day of request")
    moment = "requested_at"
