"""The account pages: who one is here, how one wants the pages, the token for one's programs, and the way out."""

from typing import Any, cast

from allauth.account.forms import ReauthenticateForm
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.translation import gettext, ngettext
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django.views.i18n import set_language

from diagnosis import erasure, services
from diagnosis.forms import NewTokenForm, PreferencesForm
from diagnosis.preferences import Preferences
from diagnosis.sign_in import is_guessing
from diagnosis.tokens import ApiToken
from diagnosis.views import private_page

# A person waits, and a proxy with them; what is left is erased when the form is sent again.
ERASE_SECONDS = 20


def _page(request: HttpRequest, form: NewTokenForm, status: int = 200, **more: Any) -> HttpResponse:
    context = {
        "form": form,
        "token": ApiToken.objects.filter(user=cast(User, request.user)).first(),
        "preferences_form": PreferencesForm(instance=Preferences.of(request.user)),
        "retention_days": settings.RETENTION_DAYS,
        **more,
    }
    return render(request, "diagnosis/account.html", context, status=status)


@require_safe
@private_page
def overview(request: HttpRequest) -> HttpResponse:
    """Show the account."""
    return _page(request, NewTokenForm())


@require_POST
@private_page
def preferences_change(request: HttpRequest) -> HttpResponse:
    """Show the pages in the language and with the time zone that were chosen, from the next one on."""
    form = PreferencesForm(request.POST, instance=Preferences.of(request.user))
    if not form.is_valid():
        return _page(request, NewTokenForm(), status=422, preferences_form=form)
    form.save()
    with translation.override(form.cleaned_data["language"] or translation.get_language()):
        messages.success(request, gettext("Your language and time zone are saved."))
    response = redirect("diagnosis:account")
    if not form.cleaned_data["language"]:
        response.delete_cookie(settings.LANGUAGE_COOKIE_NAME)
    return response


@require_POST
def language(request: HttpRequest) -> HttpResponse:
    """Switch the language, for whoever is here, and lead back; a person who is signed in finds it so everywhere."""
    chosen = request.POST.get("language")
    if request.user.is_authenticated and chosen in dict(settings.LANGUAGES):
        Preferences.objects.update_or_create(user=request.user, defaults={"language": chosen})
    return set_language(request)


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
        messages.success(request, gettext("The API token is revoked; programs that use it are turned away."))
    return redirect("diagnosis:account")


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
@private_page
def erase(request: HttpRequest) -> HttpResponse:
    """Ask for the password, then erase the account with all that is this person's."""
    user = cast(User, request.user)
    form = ReauthenticateForm(request.POST if request.method == "POST" else None, user=user)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                erased = erasure.erase_account(user=user, erased_by=user, seconds=ERASE_SECONDS)
            except (erasure.LastSuperuser, erasure.Unfinished) as error:
                form.add_error(None, str(error))
            else:
                logout(request)
                messages.success(request, _farewell(erased))
                return redirect("diagnosis:home")
        if is_guessing(form):
            status = 429
    context = {"form": form, "is_last_superuser": erasure.is_last_superuser(user)}
    return render(request, "diagnosis/account_erase.html", context, status=status)


def _farewell(erased: services.Erased) -> str:
    if not erased.scans:
        return gettext("Your account was erased.")
    return ngettext(
        "Your account was erased, with %(scans)s scan and its answers: %(files)s files.",
        "Your account was erased, with %(scans)s scans and their answers: %(files)s files.",
        erased.scans,
    ) % {"scans": erased.scans, "files": erased.files}
