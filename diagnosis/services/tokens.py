"""Making API tokens, and revoking them."""

from datetime import timedelta

from django.db import transaction

from diagnosis import audit
from diagnosis.audit import Action
from diagnosis.tokens import ApiToken


def issue_token(*, user, lifetime: timedelta | None) -> str:
    """Give the secret of a new API token of `user`, in place of the one before. It can't be had again.

    `lifetime` None: it lasts until it is revoked.
    """
    with transaction.atomic():
        _, secret = ApiToken.objects.issue(user=user, lifetime=lifetime)
        audit.record(action=Action.TOKEN_MADE, actor=user, owner=user)
    return secret


def revoke_token(*, user, revoked_by) -> bool:
    """Let the API token of `user` open nothing any more; tell whether there was one."""
    with transaction.atomic():
        is_revoked = ApiToken.objects.revoke(user=user)
        if is_revoked:
            audit.record(action=Action.TOKEN_REVOKED, actor=revoked_by, owner=user)
    return is_revoked
