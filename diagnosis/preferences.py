"""How a person wants the pages: in which language, with the dates of which time zone."""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from diagnosis.time_zones import zone_named


def check_time_zone(name: str) -> None:
    """Raise ValidationError unless there is a time zone of this name."""
    if zone_named(name) is None:
        raise ValidationError(_("There is no such time zone."), code="unknown_time_zone")


class Preferences(models.Model):
    """What one person chose; a person without a row, and what is empty, follow the browser."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="preferences")
    # No choices: which languages there are is a setting, and no migration.
    language = models.CharField(_("language"), max_length=10, blank=True)
    time_zone = models.CharField(_("time zone"), max_length=64, blank=True, validators=[check_time_zone])

    class Meta:
        verbose_name = _("preferences")
        verbose_name_plural = _("preferences")

    def __str__(self) -> str:
        return f"{self.language or '-'}, {self.time_zone or '-'}"

    @classmethod
    def of(cls, user) -> "Preferences":
        """Give those of `user`, empty ones where nothing was chosen or nobody is signed in.

        The row comes along with the user (diagnosis/sign_in.py), so this asks the database nothing.
        """
        if not user.is_authenticated:
            return cls()
        try:
            return user.preferences
        except cls.DoesNotExist:
            return cls(user=user)
