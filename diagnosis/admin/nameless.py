"""Django's own log of the admin, without the names that would outlive whom they name."""

import json
from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model
from django.http import HttpRequest


class NamelessAdmin(admin.ModelAdmin):
    """Rows about people: the log calls each by its model and its id, never by its name, address or file name."""

    def log_addition(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        """Note who added it."""
        return self._noted(request, [obj], ADDITION, message)[0]

    def log_change(self, request: HttpRequest, obj: Model, message: Any) -> LogEntry:
        """Note who changed it."""
        return self._noted(request, [obj], CHANGE, message)[0]

    def log_deletions(self, request: HttpRequest, queryset: Iterable[Model]) -> list[LogEntry]:
        """Note who deleted them."""
        return self._noted(request, queryset, DELETION, [])

    def _noted(self, request: HttpRequest, rows: Iterable[Model], flag: int, message: Any) -> list[LogEntry]:
        content_type = ContentType.objects.get_for_model(self.model)
        return LogEntry.objects.bulk_create(
            LogEntry(
                user_id=request.user.pk,  # type: ignore[misc]  # whoever is here is signed in
                content_type=content_type,
                object_id=str(row.pk),
                object_repr=f"{self.opts.model_name} {row.pk}",
                action_flag=flag,
                change_message=message if isinstance(message, str) else json.dumps(message),
            )
            for row in rows
        )
