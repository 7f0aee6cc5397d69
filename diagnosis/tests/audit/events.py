"""How tests read the audit."""

from django.contrib.auth import get_user_model
from django.db.models import Q

from diagnosis.audit import Action
from diagnosis.models import AuditEvent, Scan


def events(**narrowed) -> list[tuple]:
    """Give action, actor, owner and scan of each event, the oldest first; what is gone or never was is None.

    Without the making active of the model that most tests begin with.
    """
    made_by_tests = Q(action=Action.ACTIVATED, actor=None)
    rows = (
        AuditEvent.objects.exclude(made_by_tests)
        .filter(**narrowed)
        .order_by("at")
        .values_list("action", "actor", "owner", "scan")
    )
    people = {person.pseudonym.pk: person for person in get_user_model().objects.exclude(pseudonym=None)}
    scans = {scan.pseudonym.pk: scan for scan in Scan.objects.exclude(pseudonym=None)}
    return [(action, people.get(actor), people.get(owner), scans.get(scan)) for action, actor, owner, scan in rows]
