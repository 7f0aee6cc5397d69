"""Sessions that know whose they are: erasing an account ends all of its sessions, on whatever device."""

from typing import Any, cast

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models


class Session(AbstractBaseSession):
    """A session, with its user once somebody has signed in."""

    # Without a constraint of the database: a request that ends after its user was erased must not fail over it.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, null=True, db_constraint=False, related_name="sessions"
    )

    @classmethod
    def get_session_store_class(cls) -> type["SessionStore"]:
        """Name what reads and writes these rows."""
        return SessionStore


class SessionStore(DatabaseStore):
    """Django's own store, over these rows."""

    @classmethod
    def get_model_class(cls) -> type[Session]:
        """Name the rows."""
        return Session

    def create_model_instance(self, data: dict[str, Any]) -> Session:
        """Note the user along."""
        session = cast(Session, super().create_model_instance(data))
        session.user_id = data.get(SESSION_KEY)
        return session
