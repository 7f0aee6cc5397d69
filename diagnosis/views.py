"""The pages: who may see what, and what is asked of the services."""

import io
from collections.abc import Callable
from functools import wraps
from typing import Any, BinaryIO, cast
from uuid import UUID

from csp.decorators import csp_update
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.core.files.base import File
from django.db.models.fields.files import FieldFile
from django.http import (
    FileResponse,
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBadRequest,
    HttpResponseBase,
    JsonResponse,
)
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.utils.translation import gettext
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_safe
from PIL import Image

from diagnosis import audit, services, uploads, waiting
from diagnosis.audit import Action
from diagnosis.audit.reading import events_of, told
from diagnosis.forms import HistoryFilter, NewScansForm, WindowForm
from diagnosis.history import answers_by_month
from diagnosis.levels import levels_of, through_window, white_of
from diagnosis.middleware import RETRY_SECONDS
from diagnosis.model_card import ModelCard
from diagnosis.models import ModelVersion, Prediction, Scan, Upload
from diagnosis.pages import CappedCount, page_of
from diagnosis.refusals import TooManyFiles
from diagnosis.sentences import explained, file_name, in_words
from diagnosis.throttles import refusal_of
from diagnosis.upload_handlers import is_too_large
from ml.preprocess import eight_bit

SCANS_PER_PAGE = 24
EVENTS_SHOWN = 5
LISTS_LOOK = 2  # seconds; a list is more work than the news of one scan

View = Callable[..., HttpResponseBase]


def private_page(view: View) -> View:
    """Let only signed-in people in, and let no cache keep what they saw."""
    return never_cache(login_required(view))


def private_file(view: View) -> View:
    """Let only signed-in people in; their own browser may keep the file for an hour, and runs nothing of it."""
    return csp_update({"sandbox": True})(login_required(cache_control(private=True, max_age=3600)(view)))


def _visible_scan(request: HttpRequest, scan_id: UUID) -> Scan:
    return get_object_or_404(Scan.objects.visible_to(request.user).with_latest().select_related("owner"), pk=scan_id)


def _opened_scan(request: HttpRequest, scan_id: UUID) -> Scan:
    """Give the scan that a person looks at; lists with their thumbnails don't count as looks, nor do polls."""
    scan = _visible_scan(request, scan_id)
    audit.record(action=Action.VIEWED, actor=cast(User, request.user), scan=scan)
    return scan


def _scan_to_look_at(request: HttpRequest, scan_id: UUID) -> Scan:
    """Give the scan also to readers, for its pictures alone: they see all, and not whose they are."""
    scan = _scan_of_lists(request, scan_id)
    audit.record(action=Action.VIEWED, actor=cast(User, request.user), scan=scan)
    return scan


def _scan_of_lists(request: HttpRequest, scan_id: UUID) -> Scan:
    visible = Scan.objects.visible_to(request.user).filter(pk=scan_id).first()
    if not visible and request.user.has_perm("diagnosis.add_review"):
        visible = Scan.objects.filter(pk=scan_id).first()
    if not visible:
        raise Http404("No scan of theirs.")
    return visible


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Say what the site is, and what it is not."""
    return render(request, "home.html", {"model_version": services.active_model_version()})


@require_safe
@private_page
def scan_list(request: HttpRequest) -> HttpResponse:
    """Show the signed-in person's own scans, newest first; those of others are for the admin."""
    owner = cast(User, request.user)
    own = Scan.objects.filter(owner=owner)
    form = HistoryFilter(request.GET)
    mark = request.GET.get("page", "")
    page = page_of(form.narrow(own.with_latest(), owner=owner), by="placed_at", size=SCANS_PER_PAGE, mark=mark)
    is_filtered = any(request.GET.get(name) for name in form.fields)
    context = {
        "form": form,
        "page": page,
        "count": CappedCount.of(own),
        "is_filtered": is_filtered,
        "graph": None if is_filtered or page.previous else answers_by_month(own),
        "look_again": waiting.seconds_to_look((scan.latest_prediction for scan in page), at_least=LISTS_LOOK),
    }
    return render(request, "diagnosis/scan_list.html", context)


def leads_scripts_on(view: View) -> View:
    """Tell a script that sends a form where to lead the browser.

    A redirect it would follow itself, and fetch the page with the messages on it before the browser does.
    """

    @wraps(view)
    def led(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        response = view(request, *args, **kwargs)
        if response.status_code == 302 and request.headers.get("HX-Request"):
            return HttpResponse(status=204, headers={"HX-Redirect": response.headers["Location"]})
        return response

    return led


@require_http_methods(["GET", "HEAD", "POST"])
@private_page
@leads_scripts_on
def scan_new(request: HttpRequest) -> HttpResponse:
    """Take new scans. What is good is kept, whatever else came with it."""
    if request.method != "POST":
        return render(request, "diagnosis/scan_new.html", {"form": NewScansForm()})
    if refusal := refusal_of(request):
        return refusal
    form = NewScansForm(request.POST, request.FILES, is_too_large=is_too_large(request))
    if form.is_valid():
        nameless = gettext("A file without a name")
        files = [(file.name or nameless, cast(BinaryIO, file)) for file in form.cleaned_data["files"]]
        try:
            outcome = uploads.take(owner=request.user, files=files, reference=form.cleaned_data["reference"])
        except TooManyFiles as error:
            form.add_error("image", explained(error))
        else:
            if outcome.submissions:
                return _after_upload(request, outcome)
            # Nothing is kept of these names: they are part of this one answer.
            for refused in outcome.refused:
                said = in_words(refused.sentence, refused.values)
                form.add_error(None, f"{file_name(refused.name)}: {said} ({refused.code})")
            if outcome.is_storage_away:
                response = render(request, "diagnosis/scan_new.html", {"form": form}, status=503)
                response["Retry-After"] = str(RETRY_SECONDS)
                return response
    return render(request, "diagnosis/scan_new.html", {"form": form}, status=422)


def _after_upload(request: HttpRequest, outcome: uploads.Outcome) -> HttpResponse:
    """Lead to the one scan, or to the page of several files and what became of each."""
    first = outcome.submissions[0]
    is_one = len({submission.scan.pk for submission in outcome.submissions}) == 1 and not outcome.refused
    if outcome.upload and not is_one:
        return redirect(outcome.upload)
    if not any(submission.is_new for submission in outcome.submissions):
        link = format_html('<a href="{}" class="alert-link">{}</a>', first.scan.get_absolute_url(), first.scan)
        messages.info(request, format_html(gettext("You have given this file before: {}."), link))
    return redirect(first.scan)


@require_safe
@private_page
def upload_detail(request: HttpRequest, upload_id: UUID) -> HttpResponse:
    """Show what became of several files, and how many of them are answered; live."""
    own = Upload.objects.filter(owner=cast(User, request.user))
    upload = get_object_or_404(own.with_progress(), pk=upload_id)
    scans = list(Scan.objects.filter(uploads=upload).with_latest())
    context = {
        "upload": upload,
        "scans": scans,
        "look_again": waiting.seconds_to_look((scan.latest_prediction for scan in scans), at_least=LISTS_LOOK),
        "is_unsent": any(scan.latest_prediction and scan.latest_prediction.is_unsent for scan in scans),
    }
    return render(request, "diagnosis/upload_detail.html", context)


@require_safe
@private_page
def scan_detail(request: HttpRequest, scan_id: UUID) -> HttpResponse:
    """Show a scan with its answer, live, and the answers before it. Who has just uploaded it waits a moment for that.

    Over the picture lies the heatmap of the latest answer, or of the earlier one that ?heatmap= names; ?beside= names
    an earlier one that is shown in a picture of its own beside the latest.
    """
    scan = _opened_scan(request, scan_id)
    latest = scan.latest_prediction
    events = _events(request, scan)
    try:
        waiting.wait_a_moment(latest)
    except Prediction.DoesNotExist:
        raise Http404("It was erased meanwhile.") from None
    rows = scan.predictions.select_related("model_version").defer("model_version__metadata")
    answers = list(rows.prefetch_related("reviews"))
    # The same answer, with its reviews.
    scan.latest_prediction = latest = next((answer for answer in answers if answer == latest), latest)
    comparable = _comparable(answers, latest)
    context = {
        "scan": scan,
        "look_again": waiting.seconds_to_look([latest]),
        "earlier": [answer for answer in answers if answer != latest],
        "comparable": comparable,
        "beside": _chosen_beside(request, comparable),
        "explained": _chosen_heatmap(request, answers) or latest,
        **events,
    }
    return render(request, "diagnosis/scan_detail.html", context)


def _events(request: HttpRequest, scan: Scan) -> dict[str, Any]:
    """Give the newest events to the owner, and whether there are more."""
    if scan.owner_id != request.user.pk:
        return {}
    newest = list(events_of(scan=scan)[: EVENTS_SHOWN + 1])
    shown = told(newest[:EVENTS_SHOWN], reader=request.user, about=scan)
    return {"events": shown, "has_more_events": len(newest) > EVENTS_SHOWN}


def _chosen_heatmap(request: HttpRequest, answers: list[Prediction]) -> Prediction | None:
    """Give the answer whose heatmap was asked for, if it has one."""
    wanted = request.GET.get("heatmap")
    return next((answer for answer in answers if str(answer.pk) == wanted and answer.heatmap), None)


def _comparable(answers: list[Prediction], latest: Prediction | None) -> list[Prediction]:
    """Give the earlier answers that can be laid beside the latest: those that say something, once it does."""
    return [answer for answer in answers if latest and latest.label and answer.label and answer != latest]


def _chosen_beside(request: HttpRequest, comparable: list[Prediction]) -> Prediction | None:
    """Give the earlier answer that was asked for."""
    wanted = request.GET.get("beside")
    return next((answer for answer in comparable if str(answer.pk) == wanted), None)


@require_safe
@private_page
def scan_status(request: HttpRequest, scan_id: UUID) -> HttpResponse:
    """Give the answer as it stands now, as a fragment with its heatmap.

    While what it shows is what was `seen`: 204, which says when to ask again.
    """
    scan = _visible_scan(request, scan_id)
    latest = scan.latest_prediction
    if latest and request.GET.get("seen") == latest.standing:
        response = HttpResponse(status=204)
        if seconds := waiting.seconds_to_look([latest]):
            # A page that somebody looks at asks sooner than a whole second later, which Retry-After could not say.
            response[waiting.LOOK_AGAIN] = f"{seconds:.1f}"
        return response
    return render(request, "diagnosis/_news.html", {"scan": scan, "look_again": waiting.seconds_to_look([latest])})


@require_safe
@private_file
def scan_picture(request: HttpRequest, scan_id: UUID) -> HttpResponseBase:
    """Give the picture. Browsers show 16 bits nearly black, so they get the 8 bits that the model sees.

    With ?center= and &width=, in stored levels, they get the 8 bits that this window shows of all that is stored.
    """
    stored = _opened(_scan_to_look_at(request, scan_id).picture)
    try:
        if {"center", "width"} & request.GET.keys():
            shown: File | io.BytesIO = _through_window(stored, request)
        else:
            shown = _in_eight_bits(stored)
    except OSError as error:
        stored.close()
        raise Http404("The picture of this scan is damaged.") from error
    except ValidationError as error:
        stored.close()
        return HttpResponseBadRequest(error.message, content_type="text/plain; charset=utf-8")
    return _file_response(shown, "image/png", "scan.png")


def _in_eight_bits(stored: File) -> File | io.BytesIO:
    """Give the stored PNG itself when it has 8 bits, else one that has; raises OSError when it is damaged."""
    with Image.open(stored, formats=["PNG"]) as picture:
        if picture.mode == "L":
            stored.seek(0)
            return stored
        shown = eight_bit(picture, picture.size)
    stored.close()
    return _png(shown)


def _through_window(stored: File, request: HttpRequest) -> io.BytesIO:
    """Give the stored PNG through the window that is asked for, with 8 bits.

    Raises OSError when it is damaged, ValidationError for a window that is none.
    """
    with Image.open(stored, formats=["PNG"]) as picture:
        window = WindowForm(request.GET, white=white_of(picture)).window()
        shown = through_window(picture, **window)
    stored.close()
    return _png(shown)


def _png(picture: Image.Image) -> io.BytesIO:
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=1)
    file.seek(0)
    return file


@require_safe
@private_file
def scan_levels(request: HttpRequest, scan_id: UUID) -> JsonResponse:
    """Give what a viewer needs for its windows: the fields of levels.Levels."""
    with _opened(_scan_of_lists(request, scan_id).picture) as stored:
        try:
            with Image.open(stored, formats=["PNG"]) as picture:
                levels = levels_of(picture)
        except OSError as error:
            raise Http404("The picture of this scan is damaged.") from error
    return JsonResponse(levels._asdict())


@require_safe
@private_file
def scan_thumbnail(request: HttpRequest, scan_id: UUID) -> FileResponse:
    """Give the small picture of the lists."""
    return _file_response(_opened(_scan_of_lists(request, scan_id).thumbnail), "image/jpeg", "scan.jpg")


@require_safe
@private_file
def prediction_heatmap(request: HttpRequest, scan_id: UUID, prediction_id: UUID) -> FileResponse:
    """Give the heatmap of one answer, to lay over the picture."""
    prediction = get_object_or_404(_scan_to_look_at(request, scan_id).predictions, pk=prediction_id)
    if not prediction.heatmap:
        raise Http404("This prediction has no heatmap.")
    return _file_response(_opened(prediction.heatmap), "image/png", "heatmap.png")


@require_safe
def model_card(request: HttpRequest, sha256: str) -> HttpResponse:
    """Show what is known of a model version. Open to all: it tells of no person, and who trusts an answer may ask."""
    version = get_object_or_404(ModelVersion, sha256=sha256)
    return render(request, "diagnosis/model_card.html", {"version": version, "card": ModelCard.of(version)})


def _opened(stored: FieldFile) -> File:
    try:
        return stored.storage.open(stored.name or "")
    except FileNotFoundError as error:
        raise Http404("The file of this scan is missing.") from error


def _file_response(file: File | io.BytesIO, content_type: str, filename: str) -> FileResponse:
    """Show a file of ours in the browser under a name that tells nothing."""
    headers = {"X-Content-Type-Options": "nosniff"}
    return FileResponse(file, content_type=content_type, filename=filename, headers=headers)


@require_http_methods(["GET", "HEAD", "POST"])
@private_page
def scan_delete(request: HttpRequest, scan_id: UUID) -> HttpResponse:
    """Ask, then erase. Only the owner may; staff may not."""
    scan = get_object_or_404(Scan, pk=scan_id, owner=cast(User, request.user))
    if request.method == "POST":
        services.erase_scan(scan=scan, erased_by=request.user)
        messages.success(request, gettext("%(scan)s was deleted, with its picture and every answer.") % {"scan": scan})
        return redirect("diagnosis:scan_list")
    return render(request, "diagnosis/scan_delete.html", {"scan": scan})
