"""The diagnosis app."""

import gc

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class DiagnosisConfig(AppConfig):
    """Scans, the predictions on them, and people's reviews."""

    name = "diagnosis"
    verbose_name = _("Pneumonia diagnosis")

    def ready(self) -> None:
        """Register the system checks, the last that is imported at each start."""
        from diagnosis import checks  # noqa: F401

        # A process that manage.py began has not collected garbage so far. All that there is now stays, and is never
        # looked through again; a worker's child shares it with its parent for longer.
        gc.freeze()
        gc.enable()
