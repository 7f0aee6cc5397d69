"""The diagnosis app."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DiagnosisConfig(AppConfig):
    """Scans, the predictions on them, and people's reviews."""

    name = "diagnosis"
    verbose_name = _("Pneumonia diagnosis")

    def ready(self) -> None:
        """Register the system checks."""
        from diagnosis import checks  # noqa: F401
