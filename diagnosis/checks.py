"""System checks: what `manage.py check` says about the place that the site runs in."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from django.apps import AppConfig
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Tags, register
from django.core.files.storage import FileSystemStorage, default_storage

from ml.checkpoint import Checkpoint, CheckpointError

if TYPE_CHECKING:
    from diagnosis.bucket import BucketStorage

NO_MAIL = tuple(f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy"))


@register(Tags.files)
def check_checkpoint(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """The shipped checkpoint has metadata that this version reads, and its other files are there.

    A warning, not an error: the site still takes pictures, and training has to start from somewhere.
    """
    try:
        checkpoint = Checkpoint.read(settings.MODEL_CHECKPOINT)
        absent = [path for path in checkpoint.sha256_by_path if not os.access(path, os.R_OK)]
        problem = " ".join(f"{path} is missing or can't be read." for path in absent)
    except CheckpointError as error:
        problem = str(error)
    if not problem:
        return []
    problem = f"The shipped checkpoint can't answer. {problem}"
    hint = (
        "Restore its files, set MODEL_CHECKPOINT to the folder of another checkpoint, or train one (python -m ml.train "
        "--help); then run manage.py install_shipped_model. An active version in another folder goes on answering."
    )
    return [checks.Warning(problem, hint=hint, id="diagnosis.W001")]


@register(Tags.files)
def check_media_is_writable(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Pictures can be stored, where storage is a folder of this machine."""
    if not isinstance(default_storage, FileSystemStorage):
        return []
    folder = Path(default_storage.location)
    # The folder may not be there yet: then the nearest one above it has to let us make it.
    nearest = next(place for place in (folder, *folder.parents) if place.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return []
    problem = f"Pictures can't be stored in {folder}: {nearest} can't be written to by this user."
    hint = "Give the user that runs the site write access, or set MEDIA_ROOT or VAR_DIR to another folder."
    return [checks.Error(problem, hint=hint, id="diagnosis.E001")]


@register(Tags.files)
def check_bucket_is_reachable(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Where files are kept in a bucket, it is there and lets us look for files."""
    storage = bucket_in_use()
    if storage is None:
        return []
    from diagnosis.bucket import fault_of

    fault = fault_of(storage)
    return [checks.Error(fault.problem, hint=fault.hint, id="diagnosis.E003")] if fault else []


@register(Tags.security, deploy=True)
def check_bucket_takes_files_and_keeps_them_private(
    app_configs: Sequence[AppConfig] | None, **kwargs: Any
) -> list[CheckMessage]:
    """A file can be stored in the bucket, read by us, not by strangers, and deleted."""
    storage = bucket_in_use()
    if storage is None:
        return []
    from diagnosis.bucket import fault_of, fault_of_a_file_in

    # Without a bucket that can be reached the other check has said all there is to say.
    fault = None if fault_of(storage) else fault_of_a_file_in(storage)
    return [checks.Error(fault.problem, hint=fault.hint, id="diagnosis.E004")] if fault else []


def bucket_in_use() -> "BucketStorage | None":
    """Give the bucket that holds the files, if one does; else nothing is loaded that only a bucket needs."""
    if settings.STORAGES["default"]["BACKEND"] != "diagnosis.bucket.BucketStorage":
        return None
    return cast("BucketStorage", default_storage)


@register(Tags.compatibility)
def check_time_limits(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """A prediction that may still be running never counts as lost."""
    if settings.PREDICTION_STALE_SECONDS > 1.1 * settings.PREDICTION_HARD_TIME_LIMIT:
        return []
    problem = "PREDICTION_STALE_SECONDS is so short that predictions which still run would be put back."
    hint = "Make it more than 1.1 × PREDICTION_HARD_TIME_LIMIT; five times is the default."
    return [checks.Error(problem, hint=hint, id="diagnosis.E002")]


@register(Tags.security, deploy=True)
def check_mail_reaches_people(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Outside embedded mode, the mail with a link for a new password is sent."""
    if settings.EMBEDDED or settings.EMAIL_BACKEND not in NO_MAIL:
        return []
    problem = "Mail is sent to nobody, so nobody can reset a forgotten password."
    return [
        checks.Warning(
            problem, hint="Set EMAIL_URL, for example smtp+tls://user:password@host:587.", id="diagnosis.W002"
        )
    ]
