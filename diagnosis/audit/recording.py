"""Writing the audit down: one call for each thing that is done, made by the service that does it."""

import logging
import re
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING

from django.core.cache import cache
from django.db import transaction
from django.db.models import Q

from diagnosis.audit.rows import Action, AuditEvent, Pseudonym

if TYPE_CHECKING:
    from django.contrib.auth.models import User

    from diagnosis.models import ModelVersion, Scan

logger = logging.getLogger(__name__)

# A page that polls, its picture and its heatmap are one look at a scan; so is coming back to it within the hour.
ONE_LOOK = timedelta(hours=1)

DETAIL = re.compile(r"[A-Za-z0-9_-]{0,20}", re.ASCII)


def record(
    *,
    action: Action,
    actor: "User | None",
    scan: "Scan | None" = None,
    owner: "User | None" = None,
    model_version: "ModelVersion | None" = None,
    detail: str = "",
) -> None:
    """Write down that `actor` did `action`; None: the site itself did, or whoever runs its commands.

    Call it in the transaction of what is done, before a scan is deleted: both stand, or neither. The owner of a scan is
    taken from the scan. `detail` is a code or a number, never words, because it outlives whom they might name; raises
    ValueError for anything else.

    VIEWED is different, because it comes with reading: one row for each person, scan and hour, however often it is
    called, at the price of a look into the cache; whatever goes wrong is logged and raises nothing.
    """
    if not DETAIL.fullmatch(detail):
        raise ValueError(f"The detail of an audit event is a code of up to 20 letters and digits, not {detail!r}.")
    event = AuditEvent(action=action, model_version=model_version, detail=detail)
    if action == Action.VIEWED:
        _record_look(event, actor, scan)
        return
    _fill_in(event, actor, scan, owner)
    event.save(force_insert=True)


def _record_look(event: AuditEvent, actor: "User | None", scan: "Scan | None") -> None:
    """Insert `event` unless this person's look at this scan in this hour is there."""
    hour = int(event.at.timestamp() // ONE_LOOK.total_seconds())
    try:
        if not cache.add(f"look:{actor and actor.pk}:{scan and scan.pk}:{hour}", 1, ONE_LOOK.total_seconds()):
            return
    except Exception:
        logger.warning("The cache is away; a look is looked up in the database", exc_info=True)
    try:
        with transaction.atomic():
            _fill_in(event, actor, scan, None)
            # The cache only saves the question: the key of the row follows from who looked at what in which hour.
            event.pk = uuid.uuid5(uuid.NAMESPACE_OID, f"{event.actor_id} {event.scan_id} {hour}")
            AuditEvent.objects.bulk_create([event], ignore_conflicts=True)
    except Exception:
        # The scan may have been erased meanwhile, the database be read-only: no reason to withhold the page.
        logger.exception("A look at scan %s can't be written down", scan and scan.pk)


def _fill_in(event: AuditEvent, actor: "User | None", scan: "Scan | None", owner: "User | None") -> None:
    """Put the pseudonyms in; those that are missing are made."""
    actor_id = actor.pk if actor else None
    scan_id = scan.pk if scan else None
    owner_id = owner.pk if owner else scan.owner_id if scan else None
    users = {user_id for user_id in (actor_id, owner_id) if user_id is not None}
    wanted = Q(user__in=users) | Q(scan=scan_id) if scan_id else Q(user__in=users)
    known = _known(wanted)
    missing = [Pseudonym(user_id=user_id) for user_id in sorted(users) if user_id not in known]
    if scan_id and scan_id not in known:
        missing.append(Pseudonym(scan_id=scan_id))
    if missing:
        # Of two at once one is faster; both go by what is there afterwards.
        Pseudonym.objects.bulk_create(missing, ignore_conflicts=True)
        known = _known(wanted)
    event.actor_id, event.owner_id, event.scan_id = known.get(actor_id), known.get(owner_id), known.get(scan_id)


def _known(wanted: Q) -> dict[object, uuid.UUID]:
    """Give the pseudonyms by the key of whom they are of."""
    rows = Pseudonym.objects.filter(wanted).values_list("user_id", "scan_id", "pk")
    return {user_id or scan_id: pk for user_id, scan_id, pk in rows}
