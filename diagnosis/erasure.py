"""Erasing more than one scan: what was kept for long enough, and a whole account.

Both are safe to break off and to run again: each scan is gone with all that belongs to it, or is still there.
"""

import time
from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext, ngettext

from diagnosis import audit, services
from diagnosis.audit import Action
from diagnosis.models import Scan
from diagnosis.services import Erased

# So many rows are in memory at a time.
PAGE = 200


class LastSuperuser(Exception):
    """Without this account nobody could look after the site; the text is safe to show."""

    def __init__(self) -> None:
        super().__init__(
            gettext("This is the last superuser. Make another person one first, or nobody could look after the site.")
        )


class Unfinished(Exception):
    """The time is over and scans are left; the text is safe to show."""

    def __init__(self, erased: Erased) -> None:
        self.erased = erased
        super().__init__(
            ngettext(
                "%(count)s scan is erased; there are more. Send the form again to go on.",
                "%(count)s scans are erased; there are more. Send the form again to go on.",
                erased.scans,
            )
            % {"count": erased.scans}
        )


def expired_scans() -> QuerySet[Scan]:
    """Give the scans that were kept for RETENTION_DAYS; none where that is not set."""
    if settings.RETENTION_DAYS is None:
        return Scan.objects.none()
    return Scan.objects.filter(created_at__lte=timezone.now() - timedelta(days=settings.RETENTION_DAYS))


def erase_expired() -> Iterator[Erased]:
    """Erase the expired scans, the oldest first, one after the other as the iterator is consumed.

    Raises files.StorageAway; what was given until then is gone.
    """
    return _erase_each(expired_scans(), erased_by=None, detail="RETENTION")


def erase_account(*, user, erased_by, seconds: float | None = None) -> Erased:
    """Delete `user` with every scan, answer, file, upload, token, session and address.

    What stays are their reviews of others' scans, without a reviewer, and the audit's events, which name nobody.
    Raises LastSuperuser before anything is deleted, Unfinished once `seconds` are over, and files.StorageAway; the
    account is there then, and can be erased again.
    """
    if is_last_superuser(user):
        raise LastSuperuser
    end = time.monotonic() + seconds if seconds else None
    erased = Erased()
    for more in _erase_each(Scan.objects.filter(owner=user), erased_by=erased_by, detail="ACCOUNT"):
        erased += more
        if end and time.monotonic() > end:
            raise Unfinished(erased)
    with transaction.atomic():
        # Whoever adds something of this person's waits for this lock, and then finds nobody.
        held = get_user_model().objects.select_for_update().filter(pk=user.pk).first()
        if held is None:
            return erased
        if is_last_superuser(held, lock=True):
            raise LastSuperuser
        for more in _erase_each(Scan.objects.filter(owner=held), erased_by=erased_by, detail="ACCOUNT"):
            erased += more
        person = ContentType.objects.get_for_model(held)
        LogEntry.objects.filter(content_type=person, object_id=str(held.pk)).delete()
        audit.record(action=Action.ACCOUNT_ERASED, actor=erased_by, owner=held)
        others, _ = held.delete()
    return erased + Erased(others=others)


def is_last_superuser(user, *, lock: bool = False) -> bool:
    """Tell whether no other superuser could sign in; with `lock` that stays so until the transaction ends."""
    if not (user.is_superuser and user.is_active):
        return False
    superusers = get_user_model().objects.filter(is_superuser=True, is_active=True).order_by("pk")
    if lock:
        superusers = superusers.select_for_update()
    return all(pk == user.pk for pk in superusers.values_list("pk", flat=True)[:2])


def _erase_each(scans: QuerySet[Scan], *, erased_by, detail: str) -> Iterator[Erased]:
    while page := list(scans.order_by("created_at", "pk")[:PAGE]):
        for scan in page:
            yield services.erase_scan(scan=scan, erased_by=erased_by, detail=detail)
