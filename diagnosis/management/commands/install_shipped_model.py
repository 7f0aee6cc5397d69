"""Let the model that comes with the software answer, where nobody has chosen another."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from diagnosis import services
from diagnosis.models import ModelVersion
from ml.checkpoint import Checkpoint, CheckpointError


class Command(BaseCommand):
    """Look at what is active, register or not."""

    help = "Registers the checkpoint at MODEL_CHECKPOINT, and activates it when no model is active; safe to run twice."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the option."""
        parser.add_argument(
            "--activate-new", action="store_true", help="activate it also when it is new here, over another one"
        )

    def handle(self, *, activate_new: bool, **options: Any) -> None:
        """Fail only when no model could answer."""
        active = services.active_model_version()
        try:
            is_known = ModelVersion.objects.filter(sha256=Checkpoint.read(settings.MODEL_CHECKPOINT).sha256).exists()
            if is_known and active:
                return
            activate = active is None or activate_new
            version, _ = services.register_model(folder=settings.MODEL_CHECKPOINT, activate=activate)
        except CheckpointError as error:
            if active is None:
                raise CommandError(f"There is no model to answer with. {error}") from error
            self.stderr.write(f"The shipped model is left out: {error}")
        else:
            self.stdout.write(f"Model {version} is {'active' if activate else 'known; another one is active'}.")
