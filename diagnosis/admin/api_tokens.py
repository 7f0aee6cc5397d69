"""API tokens: staff see whose there are and when they were used, and can revoke one by deleting it."""

from typing import cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from diagnosis import services
from diagnosis.admin.nameless import NamelessAdmin
from diagnosis.admin.records import RecordAdmin
from diagnosis.tokens import ApiToken


@admin.register(ApiToken)
class ApiTokenAdmin(NamelessAdmin, RecordAdmin):
    """The list of tokens; their secrets are nowhere."""

    list_display = ("start", "user", "created_at", "last_used_at", "expires_at")
    search_fields = ("user__username", "start")
    fields = readonly_fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiToken]:
        """Fetch the users along."""
        return cast("QuerySet[ApiToken]", super().get_queryset(request).select_related("user"))

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        """Revoke the token."""
        services.revoke_token(user=obj.user, revoked_by=request.user)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        """Revoke one after the other."""
        for token in queryset:
            self.delete_model(request, token)
