"""Let the model that comes with the software answer, where no other one does."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from diagnosis import services
from diagnosis.models import ModelVersion
from ml.checkpoint import Checkpoint, CheckpointError


class Command(BaseCommand):
    """Look at what is active, register or not."""

    help = (
        "Registers the checkpoint at MODEL_CHECKPOINT, and activates it when no model is active or the active one "
        "can't answer any more: its files are gone or damaged, were replaced by an update, or are of a format that "
        "this version does not read. Safe to run twice."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Name the option."""
        parser.add_argument(
            "--activate-new", action="store_true", help="activate it also when it is new here, over another one"
        )

    def handle(self, *, activate_new: bool, **options: Any) -> None:
        """Fail only when no model could answer."""
        active = services.active_model_version()
        silence = why_silent(active)
        try:
            shipped = Checkpoint.read(settings.MODEL_CHECKPOINT)
            # A later software may tell more of the same version.
            is_known = ModelVersion.objects.filter(sha256=shipped.sha256).update(metadata=shipped.as_json())
            if is_known and not silence:
                return
            activate = activate_new or bool(silence)
            version, _ = services.register_model(folder=settings.MODEL_CHECKPOINT, activate=activate)
        except CheckpointError as error:
            if silence:
                raise CommandError(f"There is no model to answer with. {silence} {error}") from error
            self.stderr.write(f"The shipped model is left out: {error}")
        else:
            if active and silence:
                self.stderr.write(silence)
            self.stdout.write(f"Model {version} is {'active' if activate else 'known; another one is active'}.")


def why_silent(active: ModelVersion | None) -> str:
    """Say why no answer can come from the active version; "" where it can."""
    if active is None:
        return "No model is active."
    try:
        services.read_checkpoint(model_version=active)
    except CheckpointError as error:
        return f"The active model {active} can't answer any more: {error}"
    return ""
