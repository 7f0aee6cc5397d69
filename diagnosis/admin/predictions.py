"""Predictions in the admin: what was answered, and the place where people review it. The answers themselves stay."""

from datetime import datetime
from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from diagnosis import audit, services
from diagnosis.admin.filters import OwnerFilter, ProbabilityFilter, RequestedFilter, ReviewFilter, owner_link
from diagnosis.admin.lists import SEARCHED
from diagnosis.admin.records import percent, quality, thumbnail
from diagnosis.admin.reprocessing import ReprocessAdmin
from diagnosis.audit import Action
from diagnosis.models import BY_PROBABILITY, Label, Prediction, Review, Scan, Verdict
from diagnosis.numbers import written
from diagnosis.states import State


class ReviewForm(forms.ModelForm):
    """A verdict: the label that the reviewer sees, and words to it."""

    class Meta:
        model = Review
        fields = ("label", "note")
        widgets = {"note": forms.Textarea(attrs={"rows": 3})}


@admin.register(Prediction)
class PredictionAdmin(ReprocessAdmin):
    """One row for each answer, and for each that is still to come or never came."""

    list_display = (
        "small_picture",
        "state",
        "label",
        "certainty",
        "chance",
        "verdict",
        "requested",
        "owner_name",
        "read_by",
    )
    list_display_links = ("small_picture", "state")
    list_filter = (
        OwnerFilter,
        ReviewFilter,
        "state",
        ("label", admin.ChoicesFieldListFilter),
        ("is_uncertain", admin.BooleanFieldListFilter),
        ProbabilityFilter,
        "model_version",
        "trigger",
        RequestedFilter,
    )
    search_fields = ("scan__owner__username", "scan__reference", "scan__original_name")
    search_help_text = SEARCHED
    id_fields = ("id", "scan_id")
    to_scan = "scan__"
    newest_by = "requested"
    sorted_from_an_index = {"chance": float, "requested": datetime}

    readonly_fields = (
        "certainty",
        "quality",
        "chance",
        "operating_point",
        "read_by",
        "owner_name",
        "asked_by",
        "reading_time",
    )
    fieldsets = (
        (
            _("Answer"),
            {
                "fields": (
                    "state",
                    "reason",
                    "label",
                    "certainty",
                    "chance",
                    "operating_point",
                    "read_by",
                    "reading_time",
                )
            },
        ),
        (_("Scan"), {"fields": ("scan", "owner_name", "quality")}),
        (
            _("Request"),
            {"fields": ("id", "trigger", "asked_by", "requested_at", "claimed_at", "attempts", "finished_at")},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Prediction]:
        """Fetch what a row shows along."""
        rows = super().get_queryset(request).select_related("scan__owner", "model_version", "requested_by")
        return rows.defer("model_version__metadata")

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Let the list be narrowed to one owner too."""
        return lookup == OwnerFilter.parameter_name or super().lookup_allowed(lookup, value, request)

    def scans_of(self, chosen: QuerySet) -> QuerySet[Scan]:
        """Several predictions may be of the same scan."""
        return Scan.objects.filter(pk__in=chosen.order_by().values("scan"))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Allow it only as a part of erasing the whole scan or its owner, never for a prediction by itself."""
        match = request.resolver_match
        by_itself = match is None or (match.url_name or "").startswith("diagnosis_prediction_")
        return not by_itself and request.user.has_perm("diagnosis.delete_scan")

    # Reviewing ---------------------------------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        """Add the address that takes a review."""
        review = self.admin_site.admin_view(self.review_view)
        return [path("<path:object_id>/review/", review, name="diagnosis_prediction_review"), *super().get_urls()]

    def may_review(self, request: HttpRequest) -> bool:
        """Tell whether this person may add reviews."""
        return self.has_view_permission(request) and request.user.has_perm("diagnosis.add_review")

    @method_decorator(require_POST)
    def review_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Record the review that was sent and lead back to the list; to the prediction when it can't be recorded."""
        if not self.may_review(request):
            raise PermissionDenied
        prediction = self.get_object(request, unquote(object_id))
        if prediction is None:
            raise Http404
        address = reverse("admin:diagnosis_prediction_change", args=[prediction.pk])
        form = ReviewForm(request.POST)
        if not form.is_valid():
            problems = "; ".join(f"{field}: {' '.join(map(str, errors))}" for field, errors in form.errors.items())
            messages.error(request, gettext("The review was not recorded. %(problems)s") % {"problems": problems})
            return HttpResponseRedirect(address)
        try:
            review = services.record_review(prediction=prediction, reviewer=request.user, **form.cleaned_data)
        except services.NothingToReview as error:
            messages.error(request, str(error))
            return HttpResponseRedirect(address)
        self.log_change(request, prediction, [{"added": {"name": "review", "object": review.get_label_display()}}])
        link = format_html('<a href="{}">{}</a>', address, prediction.get_label_display())
        if review.agrees:
            said = format_html(gettext("Your review is recorded: you agree with {}."), link)
        else:
            text = gettext("Your review is recorded: you see {} instead of {}.")
            said = format_html(text, review.get_label_display(), link)
        messages.success(request, said)
        return self.response_post_save_change(request, prediction)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Any = None,
    ) -> HttpResponse:
        """Add the picture, the reviews, the review form, and the other predictions of the scan to the page."""
        audit.record(action=Action.VIEWED, actor=cast(User, request.user), scan=obj.scan)
        others = obj.scan.predictions.select_related("model_version").defer("model_version__metadata")
        context |= {
            "scan": obj.scan,
            "chance": percent(obj.probability),
            "operating_point": percent(obj.threshold),
            "reviews": Review.objects.shown_to(request.user, of=obj).select_related("reviewer"),
            "history": [(other, percent(other.probability)) for other in others],
        }
        if self.may_review(request) and obj.state == State.SUCCEEDED:
            other_label = Label.NORMAL if obj.is_pneumonia else Label.PNEUMONIA
            context |= {"review_form": ReviewForm(), "other_label": other_label, "unusable": Verdict.UNUSABLE}
        return super().render_change_form(request, context, add, change, form_url, obj)

    # What the pages show -----------------------------------------------------------------------------------------

    @admin.display(description=_("picture"))
    def small_picture(self, prediction: Prediction) -> SafeString:
        """Show the scan's thumbnail."""
        return thumbnail(prediction.scan)

    @admin.display(description=_("probability"), ordering=BY_PROBABILITY)
    def chance(self, prediction: Prediction) -> str:
        """Show it as people read it."""
        return percent(prediction.probability)

    @admin.display(description=_("certainty"))
    def certainty(self, prediction: Prediction) -> str:
        """Say when a human reader is asked for."""
        return gettext("Uncertain — ask a human reader") if prediction.is_uncertain else "-"

    @admin.display(description=_("picture quality"))
    def quality(self, prediction: Prediction) -> str:
        """Say what is poor in the picture."""
        return quality(prediction.scan)

    @admin.display(description=_("operating point"))
    def operating_point(self, prediction: Prediction) -> str:
        """Show the probability from which on the label is Pneumonia."""
        return percent(prediction.threshold)

    @admin.display(description=_("review"))
    def verdict(self, prediction: Prediction) -> str:
        """Show what readers say of the answer; nothing of it while a second one is waited for."""
        if not prediction.reviewed_label:
            return "-"
        if prediction.is_half_read:
            return gettext("Waits for a second reader")
        if prediction.is_disputed:
            return gettext("Readers disagree")
        if prediction.reviewed_label == prediction.label:
            return gettext("Agreed")
        return gettext("Corrected to %(label)s") % {"label": prediction.get_reviewed_label_display()}

    @admin.display(description=_("requested"), ordering="requested_at")
    def requested(self, prediction: Prediction) -> SafeString:
        """Show day and time in little room: the list has many columns."""
        at = timezone.localtime(prediction.requested_at)
        text = '<time datetime="{}"><span>{}</span> <span>{}</span></time>'
        return format_html(text, at.isoformat(), f"{at:%Y-%m-%d}", f"{at:%H:%M %Z}")

    @admin.display(description=_("version"))
    def read_by(self, prediction: Prediction) -> SafeString:
        """Name the version, without a link that not everyone may follow."""
        version = prediction.model_version
        return format_html("{} <small>({})</small>", version.name, version.short_sha256)

    @admin.display(description=_("owner"))
    def owner_name(self, prediction: Prediction) -> SafeString:
        """Name the scan's owner, as a link to all predictions of that person's scans."""
        return owner_link(prediction.scan.owner)

    @admin.display(description=_("requested by"))
    def asked_by(self, prediction: Prediction) -> str:
        """Name the person who asked; nobody did where a command or an erased user asked."""
        return prediction.requested_by.get_username() if prediction.requested_by else "-"

    @admin.display(description=_("time taken"))
    def reading_time(self, prediction: Prediction) -> str:
        """Show how long the model needed."""
        return "-" if prediction.milliseconds is None else f"{written(prediction.milliseconds / 1000, '.2f')} s"
