"""The pages: who may see what, and what is asked of the services."""

import io
from collections.abc import Callable
from typing import BinaryIO, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.files.base import File
from django.core.files.uploadedfile import UploadedFile
from django.db.models.fields.files import FieldFile
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.cache import cache_control, never_cache
from django.views.decorators.http import require_http_methods, require_safe
from PIL import Image

from diagnosis import intake, services
from diagnosis.forms import HistoryFilter, NewScansForm
from diagnosis.model_card import ModelCard
from diagnosis.models import ModelVersion, Prediction, Scan
from diagnosis.pages import CappedCount, page_of
from ml.preprocess import eight_bit

SCANS_PER_PAGE = 24

View = Callable[..., HttpResponseBase]


def private_page(view: View) -> View:
    """Let only signed-in people in, and let no cache keep what they saw."""
    return never_cache(login_required(view))


def private_file(view: View) -> View:
    """Let only signed-in people in; their own browser may keep the file for an hour."""
    return login_required(cache_control(private=True, max_age=3600)(view))


def _visible_scan(request: HttpRequest, scan_id: UUID) -> Scan:
    return get_object_or_404(Scan.objects.visible_to(request.user).with_latest().select_related("owner"), pk=scan_id)


@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """Say what the site is, and what it is not."""
    return render(request, "home.html", {"model_version": services.active_model_version()})


@require_safe
@private_page
def scan_list(request: HttpRequest) -> HttpResponse:
    """Show the signed-in person's own scans, newest first; those of others are for the admin."""
    own = Scan.objects.filter(owner=cast(User, request.user))
    form = HistoryFilter(request.GET)
    mark = request.GET.get("page", "")
    page = page_of(form.narrow(own.with_latest()), by="created_at", size=SCANS_PER_PAGE, mark=mark)
    context = {
        "form": form,
        "page": page,
        "count": CappedCount.of(own),
        "is_filtered": any(request.GET.get(name) for name in form.fields),
        "is_waiting": any(scan.latest_prediction and not scan.latest_prediction.is_terminal for scan in page),
    }
    return render(request, "diagnosis/scan_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@private_page
def scan_new(request: HttpRequest) -> HttpResponse:
    """Take new scans. What is good is kept, whatever else came with it."""
    if request.method != "POST":
        return render(request, "diagnosis/scan_new.html", {"form": NewScansForm()})
    form = NewScansForm(request.POST, request.FILES)
    if form.is_valid():
        submissions, refusals = _submit(request, form.cleaned_data["image"], form.cleaned_data["reference"])
        if submissions:
            return _after_upload(request, submissions, refusals)
        for refusal in refusals:
            form.add_error(None, refusal)
    return render(request, "diagnosis/scan_new.html", {"form": form}, status=422)


def _submit(
    request: HttpRequest, files: list[UploadedFile], reference: str
) -> tuple[list[services.Submission], list[str]]:
    """Give what was stored, and a sentence for each file that was not."""
    submissions, refusals = [], []
    for place, file in enumerate(files):
        name = file.name or "A file without a name"
        try:
            submission = services.submit_scan(
                owner=request.user, upload=cast(BinaryIO, file), original_name=name, reference=reference
            )
        except services.NotStored as refusal:
            # The others would wait for the storage one after the other, as this one did.
            refusals += [f"{unkept.name}: {refusal}" for unkept in files[place:]]
            break
        except intake.Refusal as refusal:
            refusals.append(f"{name}: {refusal}")
        else:
            submissions.append(submission)
    return submissions, refusals


def _after_upload(request: HttpRequest, submissions: list[services.Submission], refusals: list[str]) -> HttpResponse:
    """Lead to the one scan, or to the list of several, with a message about each file that is not a new scan."""
    for refusal in refusals:
        messages.error(request, f"Not kept: {refusal}")
    new = {submission.scan.pk: submission.scan for submission in submissions if submission.is_new}
    all_of_them = {submission.scan.pk: submission.scan for submission in submissions}
    for scan in all_of_them.values():
        if scan.pk not in new:
            link = format_html('<a href="{}" class="alert-link">{}</a>', scan.get_absolute_url(), scan.original_name)
            messages.info(request, format_html("You have given this file before: {}.", link))
    if len(all_of_them) == 1:
        return redirect(submissions[0].scan)
    if new:
        messages.success(request, f"{len(new)} new scan{'s' if len(new) > 1 else ''} stored.")
    return redirect("diagnosis:scan_list")


@require_safe
@private_page
def scan_detail(request: HttpRequest, scan_id: UUID) -> HttpResponse:
    """Show a scan with its answer, live, and the answers before it.

    Over the picture lies the heatmap of the latest answer, or of the earlier one that ?heatmap= names.
    """
    scan = _visible_scan(request, scan_id)
    latest = scan.latest_prediction
    rows = scan.predictions.select_related("model_version").defer("model_version__metadata")
    answers = list(rows.prefetch_related("reviews"))
    context = {
        "scan": scan,
        "is_waiting": latest is not None and not latest.is_terminal,
        "earlier": [answer for answer in answers if answer != latest],
        "explained": _chosen_heatmap(request, answers) or latest,
    }
    return render(request, "diagnosis/scan_detail.html", context)


def _chosen_heatmap(request: HttpRequest, answers: list[Prediction]) -> Prediction | None:
    """Give the answer whose heatmap was asked for, if it has one."""
    wanted = request.GET.get("heatmap")
    return next((answer for answer in answers if str(answer.pk) == wanted and answer.heatmap), None)


@require_safe
@private_page
def scan_status(request: HttpRequest, scan_id: UUID) -> HttpResponse:
    """Give the answer as it stands now, as a fragment with its heatmap; 204 while the state is the one `seen`."""
    scan = _visible_scan(request, scan_id)
    latest = scan.latest_prediction
    if latest and request.GET.get("seen") == latest.state:
        return HttpResponse(status=204)
    return render(request, "diagnosis/_news.html", {"scan": scan, "explained": latest})


@require_safe
@private_file
def scan_picture(request: HttpRequest, scan_id: UUID) -> FileResponse:
    """Give the picture. Browsers show 16 bits nearly black, so they get the 8 bits that the model sees."""
    stored = _opened(_visible_scan(request, scan_id).picture)
    try:
        shown = _in_eight_bits(stored)
    except OSError as error:
        stored.close()
        raise Http404("The picture of this scan is damaged.") from error
    return _file_response(shown, "image/png", "scan.png")


def _in_eight_bits(stored: File) -> File | io.BytesIO:
    """Give the stored PNG itself when it has 8 bits, else one that has; raises OSError when it is damaged."""
    with Image.open(stored, formats=["PNG"]) as picture:
        if picture.mode == "L":
            stored.seek(0)
            return stored
        shown = io.BytesIO()
        eight_bit(picture, picture.size).save(shown, "PNG", compress_level=1)
    stored.close()
    shown.seek(0)
    return shown


@require_safe
@private_file
def scan_thumbnail(request: HttpRequest, scan_id: UUID) -> FileResponse:
    """Give the small picture of the lists."""
    return _file_response(_opened(_visible_scan(request, scan_id).thumbnail), "image/jpeg", "scan.jpg")


@require_safe
@private_file
def prediction_heatmap(request: HttpRequest, scan_id: UUID, prediction_id: UUID) -> FileResponse:
    """Give the heatmap of one answer, to lay over the picture."""
    prediction = get_object_or_404(_visible_scan(request, scan_id).predictions, pk=prediction_id)
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
        services.erase_scan(scan=scan)
        messages.success(request, f"{scan} was deleted, with its picture and every answer.")
        return redirect("diagnosis:scan_list")
    return render(request, "diagnosis/scan_delete.html", {"scan": scan})
