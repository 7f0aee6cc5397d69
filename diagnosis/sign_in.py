"""Who may sign in, what every page needs of them, and what ends with their password."""

from typing import Any

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser
from django.forms import BaseForm
from django.utils.translation import gettext


class SignIn(AuthenticationBackend):
    """By name or email address, with Django's permissions; the person's preferences come in the same query."""

    def get_user(self, user_id: int) -> AbstractBaseUser | None:
        """Give the person of a session, None for one who may not be here any more."""
        user = get_user_model().objects.select_related("preferences").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None


class TokenGoesWithPassword:
    """Revokes the API token when a new password is set, by whatever page or command.

    Whoever knew the old one may have made that token. Sessions end by themselves: Django signs them with the password.
    """

    def validate(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Accept every password: the others judge."""

    def password_changed(self, password: str, user: AbstractBaseUser | None = None) -> None:
        """Revoke; that a known password is hashed anew is no change, and Django doesn't call this then."""
        from diagnosis import services

        services.revoke_token(user=user, revoked_by=None)

    def get_help_text(self) -> str:
        """Say so beforehand."""
        return gettext("When it is changed, your other devices are signed out and your API token is revoked.")


def is_guessing(form: Any) -> bool:
    """Tell whether allauth refused `form` because too many passwords were tried, without a look at this one."""
    return (
        isinstance(form, BaseForm)
        and form.is_bound
        and any(form.has_error(field, "too_many_login_attempts") for field in form.errors)
    )
