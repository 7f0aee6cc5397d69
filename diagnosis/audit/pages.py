"""The pages of the audit for owners; staff read it in the admin."""

from typing import cast
from uuid import UUID

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from diagnosis.audit.reading import events_of, told
from diagnosis.audit.rows import AuditEvent
from diagnosis.models import Scan
from diagnosis.pages import page_of
from diagnosis.views import private_page

EVENTS_PER_PAGE = 50


@require_safe
@private_page
def scan_events(request: HttpRequest, scan_id: UUID) -> HttpResponse:
    """Show the owner of a scan all that was done to it."""
    scan = get_object_or_404(Scan, pk=scan_id, owner=cast(User, request.user))
    return _page(request, events_of(scan=scan), scan=scan)


@require_safe
@private_page
def account_events(request: HttpRequest) -> HttpResponse:
    """Show a person all that was done to what is or was theirs, deleted scans included."""
    return _page(request, events_of(owner=cast(User, request.user)))


def _page(request: HttpRequest, events: QuerySet[AuditEvent], *, scan: Scan | None = None) -> HttpResponse:
    page = page_of(events, by="at", size=EVENTS_PER_PAGE, mark=request.GET.get("page", ""))
    context = {"page": page, "events": told(page, reader=cast(User, request.user), about=scan), "scan": scan}
    return render(request, "diagnosis/events.html", context)
