"""The page, and the fragment that asks the workers."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from diagnosis.dashboard import live
from diagnosis.dashboard.counting import count_days
from diagnosis.dashboard.drift import Drift
from diagnosis.dashboard.figures import Figures
from diagnosis.dashboard.rows import first_of
from diagnosis.tasks import COUNT_AT_MOST
from diagnosis.views import private_page

# What a person may choose, in days; the first one is shown to whoever chooses nothing.
RANGES = (30, 7, 90, 365)

View = Callable[..., HttpResponseBase]


def staff_page(view: View) -> View:
    """Let only staff in; for everybody else who is signed in nothing is there."""

    @wraps(view)
    def guarded(request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponseBase:
        if not request.user.is_staff:
            raise Http404
        return view(request, *arguments, **named)

    return private_page(guarded)


@require_safe
@staff_page
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show what happened on the last days, from what was counted; nobody is waited for."""
    wanted = request.GET.get("days", "")
    days = next((days for days in RANGES if str(days) == wanted), RANGES[0])
    today = timezone.now().date()
    version, reference = live.active_version()
    context = {
        "days": days,
        "ranges": sorted(RANGES),
        "figures": Figures.between(first_of(days, until=today), today),
        "version": version,
        "drift": version and Drift.of(version, reference=reference, today=today),
        "beat": live.Beat.last(),
    }
    return render(request, "diagnosis/dashboard.html", context)


@require_safe
@staff_page
def dashboard_now(request: HttpRequest) -> HttpResponse:
    """Tell what waits and who works; this asks the workers, and takes about a second."""
    waiting = live.Waiting.now()
    context = {
        "waiting": waiting,
        # Whoever can't be reached for the queues is not asked a second time.
        "workers": live.workers() if waiting.messages is not None else None,
        "version": live.active_version()[0],
        "beat": live.Beat.last(),
        "now": timezone.now(),
    }
    is_fragment = request.headers.get("HX-Request") == "true"
    template = "diagnosis/_dashboard_now.html" if is_fragment else "diagnosis/dashboard_now.html"
    return render(request, template, context)


@require_POST
@staff_page
def dashboard_count(request: HttpRequest) -> HttpResponse:
    """Count now what beat would count within minutes."""
    counted = count_days(at_most=COUNT_AT_MOST)
    if counted.left:
        messages.info(
            request,
            _("The newest days are counted; %(left)s earlier ones are left for beat, or for manage.py count_days.")
            % {"left": counted.left},
        )
    return redirect("diagnosis:dashboard")
