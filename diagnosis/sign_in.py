"""Who may sign in, and what every page needs of them."""

from allauth.account.auth_backends import AuthenticationBackend
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractBaseUser


class SignIn(AuthenticationBackend):
    """By name or email address, with Django's permissions; the person's preferences come in the same query."""

    def get_user(self, user_id: int) -> AbstractBaseUser | None:
        """Give the person of a session, None for one who may not be here any more."""
        user = get_user_model().objects.select_related("preferences").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None
