"""The pages of readers: the worklist, one answer to be judged, the figures of agreement."""

from functools import wraps
from typing import Any, cast
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.models import User
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from diagnosis import audit, services
from diagnosis.audit import Action
from diagnosis.models import Label, Prediction, Review, Verdict
from diagnosis.review.agreement import agreement_of
from diagnosis.review.forms import VerdictForm, WorklistForm
from diagnosis.review.worklist import Worklist, with_place
from diagnosis.states import State
from diagnosis.views import View, private_page


def readers_page(view: View) -> View:
    """Let readers in; for everybody else there is nothing here."""

    @wraps(view)
    def shown(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not request.user.has_perm("diagnosis.add_review"):
            raise Http404("Not a reader.")
        return view(request, *args, **kwargs)

    return private_page(shown)


@require_safe
@readers_page
def worklist(request: HttpRequest) -> HttpResponse:
    """Show one of the lists."""
    form = WorklistForm(request.GET)
    chosen = form.worklist_of(request.user)
    page = chosen.page(after=request.GET.get("after", ""), before=request.GET.get("before", ""))
    context = {"form": form, "worklist": chosen, "page": page, "count": chosen.count()}
    return render(request, "diagnosis/review/worklist.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@readers_page
def review(request: HttpRequest, prediction_id: UUID) -> HttpResponse:
    """Show an answer without a word of whose it is, and take the verdict of a reader on it."""
    answers = Prediction.objects.filter(state=State.SUCCEEDED).select_related("scan", "model_version")
    prediction = get_object_or_404(with_place(answers).defer("model_version__metadata"), pk=prediction_id)
    chosen = WorklistForm(request.GET).worklist_of(request.user)
    own = Review.objects.standing().filter(prediction=prediction, reviewer=cast(User, request.user)).first()
    audit.record(action=Action.VIEWED, actor=cast(User, request.user), scan=prediction.scan)
    form = VerdictForm(request.POST if request.method == "POST" else None, prediction=prediction, before=own)
    if request.method == "POST" and form.is_valid():
        return _recorded(request, prediction, chosen, form)
    context = {
        "prediction": prediction,
        "scan": prediction.scan,
        "explained": prediction,
        "form": form,
        "own": own,
        "reviews": Review.objects.shown_to(request.user, of=prediction).select_related("reviewer"),
        "other_label": Label.NORMAL if prediction.is_pneumonia else Label.PNEUMONIA,
        "unusable": Verdict.UNUSABLE,
        "may_ask_for_a_second": settings.REVIEW_READERS == 1 and prediction.readings_wanted == 1,
        "worklist": chosen,
        "next": chosen.next_to(prediction),
        "previous": chosen.next_to(prediction, backwards=True),
    }
    return render(request, "diagnosis/review/review.html", context, status=422 if form.errors else 200)


def _recorded(request: HttpRequest, prediction: Prediction, chosen: Worklist, form: VerdictForm) -> HttpResponse:
    """Record the verdict, lead to the next answer of the list, and to the list where there is none."""
    given = form.cleaned_data
    recorded = services.record_review(
        prediction=prediction,
        reviewer=request.user,
        label=given["label"],
        note=given["note"],
        second_reader=given["second_reader"],
    )
    address = reverse("diagnosis:review", args=[prediction.pk], query=chosen.query)
    said = _("you agree") if recorded.agrees else recorded.get_label_display()
    link = format_html('<a class="alert-link" data-keys="z" href="{}">{}</a>', address, _("Look at it again"))
    messages.success(request, format_html(_("Saved: {}. {}"), said, link))
    if recorded.prediction.is_disputed:
        messages.warning(request, _("Another reader sees it differently. Both verdicts are kept."))
    following = chosen.next_to(prediction)
    if following:
        return redirect(reverse("diagnosis:review", args=[following.pk], query=chosen.query))
    messages.info(request, _("That was the last one of this list."))
    return redirect(reverse("diagnosis:worklist", query=chosen.query))


@require_safe
@readers_page
def agreement(request: HttpRequest) -> HttpResponse:
    """Show how well a model version, or all, and its readers agree, in all and month by month."""
    form = WorklistForm(request.GET)
    del form.fields["show"]
    context = {"form": form, "agreement": agreement_of(form.chosen_version)}
    return render(request, "diagnosis/review/agreement.html", context)
