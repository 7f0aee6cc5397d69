"""The token by which a person's own programs use the API in their name."""

import hashlib
import secrets
from datetime import timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

# Says to people, and to programs that look for leaked secrets, what the words are.
PREFIX = "xray_"
START_LENGTH = len(PREFIX) + 4

# A reading script asks every second; when it was last there needs no write for each time.
LAST_USED_STEP = timedelta(minutes=1)


def digest_of(secret: str) -> str:
    """Give the 64 hex digits that are stored for `secret`.

    One round of SHA-256: the secret has 256 random bits, so there is nothing to guess that a slow hash would protect.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    """Issuing, finding and revoking."""

    def issue(self, *, user, lifetime: timedelta | None) -> tuple["ApiToken", str]:
        """Give `user` a token in place of the one before, with its secret, which can't be had again.

        `lifetime` None: it lasts until it is revoked.
        """
        secret = PREFIX + secrets.token_urlsafe(32)
        now = timezone.now()
        fields = {
            "digest": digest_of(secret),
            "start": secret[:START_LENGTH],
            "created_at": now,
            "last_used_at": None,
            "expires_at": now + lifetime if lifetime else None,
        }
        token, _ = self.update_or_create(user=user, defaults=fields)
        return token, secret

    def revoke(self, *, user) -> bool:
        """Let the token of `user` open nothing any more; tell whether there was one."""
        return bool(self.filter(user=user).delete()[0])

    def valid(self) -> Self:
        """Keep those that have not expired and whose owner may still sign in."""
        is_current = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        return self.filter(is_current, user__is_active=True)

    def opened_by(self, secret: str) -> "ApiToken | None":
        """Give the valid token with this secret and its user, and note that it was used."""
        token = self.valid().select_related("user").filter(digest=digest_of(secret)).first()
        now = timezone.now()
        if token and (token.last_used_at is None or token.last_used_at <= now - LAST_USED_STEP):
            self.filter(pk=token.pk, digest=token.digest).update(last_used_at=now)
        return token


class ApiToken(models.Model):
    """The one token of a user. The secret itself is not stored, so nobody who reads the database can use it."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, verbose_name=_("user"), on_delete=models.CASCADE, related_name="api_token"
    )
    digest = models.CharField(max_length=64, unique=True, editable=False, help_text=_("SHA-256 of the secret"))
    start = models.CharField(
        _("start"), max_length=12, editable=False, help_text=_("of the secret, to tell it from others")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    last_used_at = models.DateTimeField(_("last used at"), null=True, blank=True, help_text=_("to the minute"))
    expires_at = models.DateTimeField(
        _("expires at"), null=True, blank=True, help_text=_("empty: not before it is revoked")
    )

    objects = ApiTokenQuerySet.as_manager()

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                name="a_token_expires_after_it_was_created",
                condition=Q(expires_at__isnull=True) | Q(expires_at__gt=F("created_at")),
            ),
        )

    def __str__(self) -> str:
        return f"{self.start}… of {self.user}"

    @property
    def has_expired(self) -> bool:
        """Tell whether it opens nothing any more."""
        return self.expires_at is not None and self.expires_at <= timezone.now()
