"""What owners are told of the audit."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models import Prefetch, QuerySet, Subquery
from django.utils.translation import gettext

from diagnosis.audit.rows import AuditEvent, Pseudonym

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from diagnosis.models import Scan


@dataclass(frozen=True)
class Told:
    """An event as an owner reads it."""

    event: AuditEvent
    who: str
    scan: "Scan | None"  # that is still there


def events_of(*, scan: "Scan | None" = None, owner: "User | None" = None) -> QuerySet[AuditEvent]:
    """Give the events about `scan`, or about all that is or was `owner`'s, the newest first.

    Of one scan's events the scan itself is not fetched: `told` is given it.
    """
    actors = Prefetch("actor", Pseudonym.objects.select_related("user"))
    events = AuditEvent.objects.prefetch_related(actors)
    # One pseudonym, and no join: so an index gives the events in their order.
    if scan:
        return events.filter(scan_id=Subquery(Pseudonym.objects.filter(scan=scan).values("pk")))
    of_owner = events.filter(owner_id=Subquery(Pseudonym.objects.filter(user=owner).values("pk")))
    return of_owner.prefetch_related("scan__scan")


def told(events: Iterable[AuditEvent], *, reader: "User", about: "Scan | None" = None) -> list[Told]:
    """Say of each event who it was. Others are told by their role: an owner learns that staff looked, not which.

    `about` is the scan where all events are about this one.
    """
    return [Told(event, who=_who(event, reader), scan=about or _scan(event)) for event in events]


def _scan(event: AuditEvent) -> "Scan | None":
    return event.scan.scan if event.scan else None


def _who(event: AuditEvent, reader: "User") -> str:
    if event.actor_id is None:
        return gettext("The site itself")
    if event.actor is None:
        return gettext("Somebody whose account was erased")
    if event.actor.user_id == reader.pk:
        return gettext("You")
    # Nobody else sees scans of others than staff, and those who review without being staff.
    return gettext("Staff") if event.actor.user.is_staff else gettext("A reader")
