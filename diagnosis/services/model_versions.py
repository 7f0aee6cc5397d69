"""Making checkpoints known, and choosing the one that answers."""

from pathlib import Path

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from diagnosis import audit
from diagnosis.audit import Action
from diagnosis.models import ModelVersion
from ml.checkpoint import Checkpoint, CheckpointCorrupt


class NoActiveModel(Exception):
    """No model version is active, so nothing can be asked for; the text is safe to show."""

    def __init__(self) -> None:
        super().__init__(gettext("No model is active yet. Staff can activate one under Model versions in the admin."))


def active_model_version() -> ModelVersion | None:
    """Give the model version that answers new scans."""
    return ModelVersion.objects.active()


def register_model(*, folder: Path, activate: bool = False) -> tuple[ModelVersion, bool]:
    """Make the checkpoint in `folder` known; the second value tells whether it is new.

    A version that was moved is found at its new place from now on. Raises ml.checkpoint.CheckpointError.
    """
    checkpoint = Checkpoint.read(folder)
    checkpoint.verify()
    place = folder.resolve()
    if place.is_relative_to(settings.BASE_DIR):
        place = place.relative_to(settings.BASE_DIR)
    metadata = checkpoint.metadata
    low, high = metadata.uncertain
    with transaction.atomic():
        version, is_new = ModelVersion.objects.update_or_create(
            sha256=checkpoint.sha256,
            # A checkpoint of the same name may have got a reference since.
            defaults={"folder": str(place), "metadata": checkpoint.as_json()},
            create_defaults={
                "folder": str(place),
                "name": metadata.name,
                "threshold": metadata.threshold,
                "uncertain_low": low,
                "uncertain_high": high,
                "metadata": checkpoint.as_json(),
            },
        )
        if activate:
            activate_model(model_version=version)
    return version, is_new


def read_checkpoint(*, model_version: ModelVersion) -> Checkpoint:
    """Give the checkpoint that `model_version` answers with, its files compared.

    Raises ml.checkpoint.CheckpointError where it can't answer any more: the folder is gone or damaged, holds another
    version by now, or is of a format that this software does not read.
    """
    checkpoint = Checkpoint.read(Path(settings.BASE_DIR, model_version.folder))
    if checkpoint.sha256 != model_version.sha256:
        raise CheckpointCorrupt(f"{model_version.folder} now holds version {checkpoint.sha256[:12]}.")
    checkpoint.verify()
    return checkpoint


def activate_model(*, model_version: ModelVersion, activated_by=None) -> None:
    """Let `model_version` answer new scans from now on; old answers stay as they are.

    `activated_by` None: whoever runs the site's commands.
    """
    with transaction.atomic():
        ModelVersion.objects.filter(is_active=True).exclude(pk=model_version.pk).update(is_active=False)
        ModelVersion.objects.filter(pk=model_version.pk).update(is_active=True, activated_at=timezone.now())
        audit.record(action=Action.ACTIVATED, actor=activated_by, model_version=model_version)
    model_version.refresh_from_db()
