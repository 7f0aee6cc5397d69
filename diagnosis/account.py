"""The account page: who one is here, and the token for one's programs."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from diagnosis import services
from diagnosis.forms import NewTokenForm
from diagnosis.tokens import ApiToken
from diagnosis.views import private_page


def _page(request: HttpRequest, form: NewTokenForm, status: int = 200, **more: Any) -> HttpResponse:
    context = {"form": form, "token": ApiToken.objects.filter(user=cast(User, request.user)).first(), **more}
    return render(request, "diagnosis/account.html", context, status=status)


@require_safe
@private_page
def overview(request: HttpRequest) -> HttpResponse:
    """Show the account."""
    return _page(request, NewTokenForm())


@require_POST
@private_page
def token_new(request: HttpRequest) -> HttpResponse:
    """Make a token in place of the one before. This answer shows its secret, and nothing else ever does."""
    form = NewTokenForm(request.POST)
    if not form.is_valid():
        return _page(request, form, status=422)
    secret = services.issue_token(user=request.user, lifetime=form.cleaned_data["lifetime"])
    return _page(request, NewTokenForm(), secret=secret)


@require_POST
@private_page
def token_revoke(request: HttpRequest) -> HttpResponse:
    """Let the token open nothing any more."""
    if services.revoke_token(user=request.user, revoked_by=request.user):
        messages.success(request, "The API token is revoked; programs that use it are turned away.")
    return redirect("diagnosis:account")
