"""The rows of the audit: who did what to which scan, and when. They are added, never changed, never deleted.

An event names nobody. It knows people and scans by pseudonyms: random numbers whose meaning stands in one other table,
and goes from there with the account or the scan itself. So an event outlives both without being touched, and what is
left of it then is an action, a moment, a model version where one was concerned, and numbers that lead nowhere: enough
to count by, and to see that several events were of one somebody, not of whom. No file name, no reference, no address
and no free text is ever in it.
"""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Action(models.TextChoices):
    """What was done."""

    UPLOADED = "UPLOADED", _("Uploaded")
    VIEWED = "VIEWED", _("Viewed")
    REVIEWED = "REVIEWED", _("Reviewed")
    EXPORTED = "EXPORTED", _("Exported")
    REPROCESSED = "REPROCESSED", _("Asked for new answers")
    DELETED = "DELETED", _("Deleted")
    ACTIVATED = "ACTIVATED", _("Made a model version active")
    TOKEN_MADE = "TOKEN_MADE", _("Made an API token")
    TOKEN_REVOKED = "TOKEN_REVOKED", _("Revoked an API token")
    ACCOUNT_ERASED = "ACCOUNT_ERASED", _("Erased an account")


class Pseudonym(models.Model):
    """The random number that stands for one person or one scan in the audit, as long as that is there."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, related_name="pseudonym")
    scan = models.OneToOneField("Scan", on_delete=models.CASCADE, null=True, related_name="pseudonym")

    class Meta:
        constraints = (
            models.CheckConstraint(
                name="a_pseudonym_is_of_one_person_or_one_scan",
                condition=Q(user__isnull=False, scan__isnull=True) | Q(user__isnull=True, scan__isnull=False),
            ),
        )

    def __str__(self) -> str:
        return str(self.pk)


def pseudonym_field(help_text: str) -> models.ForeignKey:
    """Give a reference that stays when what it refers to is gone; the index comes with the model's own."""
    return models.ForeignKey(
        Pseudonym,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="+",
        help_text=help_text,
    )


class AuditEvent(models.Model):
    """One thing that was done. The database itself refuses to change or delete it (see migration 0008)."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    at = models.DateTimeField(default=timezone.now)
    action = models.CharField(max_length=20, choices=Action)
    actor = pseudonym_field("who did it; empty: the site itself, or whoever runs its commands")
    owner = pseudonym_field("whose scan, account or token it was")
    scan = pseudonym_field("empty where it was about no single scan")
    model_version = models.ForeignKey(
        "ModelVersion", on_delete=models.PROTECT, null=True, blank=True, related_name="+", db_index=False
    )
    detail = models.CharField(max_length=20, blank=True, help_text="a code or a number, such as PDF; never words")

    class Meta:
        verbose_name = _("audit event")
        verbose_name_plural = _("audit events")
        ordering = ("-at", "-id")
        constraints = (
            models.CheckConstraint(condition=Q(action__in=Action.values), name="an_audit_event_names_an_action"),
        )
        indexes = (
            models.Index(fields=("-at", "-id"), name="audit_newest"),
            models.Index(fields=("scan", "-at", "-id"), name="audit_of_a_scan"),
            models.Index(fields=("owner", "-at", "-id"), name="audit_of_an_owner"),
            models.Index(fields=("actor", "-at", "-id"), name="audit_by_an_actor"),
            models.Index(fields=("action", "-at", "-id"), name="audit_by_action"),
        )

    def __str__(self) -> str:
        return f"{self.get_action_display()} {self.at:%Y-%m-%d %H:%M}"
