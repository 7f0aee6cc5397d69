"""Lets a process of these tests be struck; the site itself knows nothing of it."""

from django.apps import AppConfig


class Faults(AppConfig):
    """Installed by the settings beside this file."""

    name = "diagnosis.tests.faults"

    def ready(self) -> None:
        """Wrap what the process does at each stage."""
        from diagnosis.tests.faults import stages

        stages.install()
