"""The staff's work tool: review predictions, look after scans, switch the active model."""

from typing import Any

from allauth.account.decorators import secure_admin_login
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from diagnosis.admin.api_tokens import ApiTokenAdmin
from diagnosis.admin.audit_events import AuditEventAdmin
from diagnosis.admin.model_versions import ModelVersionAdmin
from diagnosis.admin.people import AddressAdmin, PersonAdmin
from diagnosis.admin.predictions import PredictionAdmin
from diagnosis.admin.scans import ScanAdmin

__all__ = [
    "AddressAdmin",
    "ApiTokenAdmin",
    "AuditEventAdmin",
    "ModelVersionAdmin",
    "PersonAdmin",
    "PredictionAdmin",
    "ScanAdmin",
]

admin.site.site_header = _("Chest X-ray reader · staff")
admin.site.site_title = _("Chest X-ray reader")
# The admin's own log-in counts no failures. Staff sign in at the site's page, which does, and nobody posts a password
# here: not even a person who is signed in and guesses at another's.
admin.site.login = secure_admin_login(require_safe(admin.site.login))  # type: ignore[method-assign]


def password_change(request: HttpRequest, extra_context: Any = None) -> HttpResponse:
    """Lead to the site's own page, which counts how often somebody guesses at the old password."""
    return redirect("account_change_password")


admin.site.password_change = password_change  # type: ignore[method-assign,assignment]
