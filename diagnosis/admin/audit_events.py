"""The audit in the admin: who did what to which scan of whom. It is read; nobody changes or deletes an event."""

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.admin.filters import DayFilter
from diagnosis.admin.lists import LongListAdmin
from diagnosis.audit import AuditEvent, Pseudonym


class PersonFilter(admin.SimpleListFilter):
    """By one person. People are too many to list: a name in a row chooses, the filter shows who is chosen."""

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """List the chosen person alone; nobody while nobody is chosen, and then the filter is not shown."""
        chosen = self.value()
        if not chosen:
            return []
        known = (
            Pseudonym.objects.select_related("user").filter(pk=chosen).first() if LongListAdmin.is_id(chosen) else None
        )
        return [(chosen, known.user.get_username() if known and known.user else gettext("An erased account"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet) -> QuerySet:
        """Keep the events of the chosen person; none of what is no pseudonym."""
        chosen = self.value()
        if not chosen:
            return queryset
        return queryset.filter(**{str(self.parameter_name): chosen}) if LongListAdmin.is_id(chosen) else queryset.none()


class ActorFilter(PersonFilter):
    """By who did it."""

    title = _("who did it")
    parameter_name = "actor"


class OwnerFilter(PersonFilter):
    """By whose scan it was."""

    title = _("whose it was")
    parameter_name = "owner"


class AuditDayFilter(DayFilter):
    """By the days."""

    title = _("day")
    moment = "at"


@admin.register(AuditEvent)
class AuditEventAdmin(LongListAdmin):
    """One row for each event, the newest first."""

    list_display = ("at", "action", "who", "whose", "which_scan", "version", "detail")
    list_display_links = None
    list_filter = (ActorFilter, OwnerFilter, "action", AuditDayFilter)
    search_fields = ("actor__user__username",)
    search_help_text = _("The user name of who did it, or the whole id of a scan")
    id_fields = ("scan__scan_id",)
    newest_by = "at"
    sorted_from_an_index = {"at": datetime}
    fields = readonly_fields = list_display

    def get_queryset(self, request: HttpRequest) -> QuerySet[AuditEvent]:
        """Fetch along whom the pseudonyms are of, as long as they are.

        By queries of their own: a join would leave out the events of a chosen person who is gone.
        """
        rows = super().get_queryset(request).select_related("model_version").defer("model_version__metadata")
        return rows.prefetch_related("actor__user", "owner__user", "scan")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Refuse: the database does, too."""
        return False

    def get_search_results(self, request: HttpRequest, queryset: QuerySet, search_term: str) -> tuple[QuerySet, bool]:
        """Find the events of the scan with this id, else those that the person with this whole user name caused.

        Of no part of a name: one person's events come from an index, those of many people don't.
        """
        if self.is_id(search_term) or not search_term.strip():
            return super().get_search_results(request, queryset, search_term)
        people = Pseudonym.objects.filter(user__username__iexact=search_term.strip())
        return queryset.filter(actor__in=list(people.values_list("pk", flat=True))), False

    # What the pages show -----------------------------------------------------------------------------------------

    @admin.display(description=_("who"))
    def who(self, event: AuditEvent) -> str:
        """Name who did it, as a link to all that this person did."""
        if event.actor_id is None:
            return gettext("The site itself")
        return self.person(event.actor, str(event.actor_id), ActorFilter)

    @admin.display(description=_("whose"))
    def whose(self, event: AuditEvent) -> str:
        """Name whose it was, as a link to all that was done to it."""
        return self.person(event.owner, str(event.owner_id), OwnerFilter) if event.owner_id else "-"

    def person(self, pseudonym: Pseudonym | None, pk: str, by: type[PersonFilter]) -> SafeString:
        """Name a person, as a link to the list of their events."""
        name = pseudonym.user.get_username() if pseudonym and pseudonym.user else gettext("An erased account")
        address = reverse("admin:diagnosis_auditevent_changelist")
        return format_html('<a href="{}?{}={}">{}</a>', address, by.parameter_name, pk, name)

    @admin.display(description=_("scan"))
    def which_scan(self, event: AuditEvent) -> str:
        """Lead to the scan by its id; by its name it is not called here."""
        if event.scan_id is None:
            return "-"
        if event.scan is None or event.scan.scan_id is None:
            return gettext("Deleted")
        address = reverse("admin:diagnosis_scan_change", args=[event.scan.scan_id])
        return format_html('<a href="{}">{}…</a>', address, str(event.scan.scan_id)[:8])

    @admin.display(description=_("version"))
    def version(self, event: AuditEvent) -> str:
        """Name the version, without a link that not everyone may follow."""
        return str(event.model_version) if event.model_version else "-"
