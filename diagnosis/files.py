"""Where the files of scans and predictions are kept, and how those go that were made of them."""

import uuid
import zlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver

from ml.preprocess import PREPROCESSING

if TYPE_CHECKING:
    from diagnosis.models import Prediction, Scan


# Speed matters while somebody waits. The noise of an X-ray hardly repeats itself, so that only runs of one level are
# looked for: level 1 that looks for more takes as long or longer, for files that are up to a third larger; level 6
# takes two to three times as long, for files that are no smaller.
PNG_COMPRESSION: dict[str, Any] = {"compress_level": 1, "compress_type": zlib.Z_RLE}


class StorageAway(OSError):
    """The storage can't be reached, or refuses; whether the file is there is unknown. It may pass."""


def picture_path(scan: "Scan", filename: str) -> str:
    """Store under a random name: neither the owner's file name nor the scan's address is in it."""
    name = uuid.uuid4().hex
    return f"scans/{name[:2]}/{name}.png"


def thumbnail_path(scan: "Scan", filename: str) -> str:
    """Store under a random name of its own."""
    name = uuid.uuid4().hex
    return f"thumbnails/{name[:2]}/{name}.jpg"


def model_input_path(scan: "Scan", filename: str) -> str:
    """Store under the name of the scan's picture, in a folder that tells by which steps it was made.

    The same name each time: whoever makes it again writes over what was left by somebody who was killed.
    """
    name = Path(str(scan.picture.name)).stem
    return f"inputs/{PREPROCESSING}/{name[:2]}/{name}.jpg"


def heatmap_path(prediction: "Prediction", filename: str) -> str:
    """Store under the prediction's own id, which is random too: a further attempt writes over what a lost one left."""
    name = prediction.pk.hex
    return f"heatmaps/{name[:2]}/{name}.png"


@receiver(pre_delete, sender="diagnosis.Scan")
def ask_the_storage(sender: type["Scan"], instance: "Scan", **kwargs: Any) -> None:
    """Let nobody be told that a scan is gone, with its owner or by itself, while its files can't be deleted.

    Raises StorageAway, which ends the transaction that deletes.
    """
    instance.picture.storage.exists(instance.picture.name or "")


@receiver(post_delete, sender="diagnosis.Scan")
def delete_model_input(sender: type["Scan"], instance: "Scan", using: str, **kwargs: Any) -> None:
    """Delete the stored model input with its scan, also one that the row did not name yet."""
    delete = partial(sender.model_input.field.storage.delete, model_input_path(instance, ""))
    transaction.on_commit(delete, using=using, robust=True)


@receiver(post_delete, sender="diagnosis.Prediction")
def delete_heatmap(sender: type["Prediction"], instance: "Prediction", using: str, **kwargs: Any) -> None:
    """Delete the heatmap when the prediction's end is committed, however it came, with a scan or with its owner.

    By the name that follows from the prediction: a worker that was killed left a file that the row does not name, and
    one that has just finished named it after the row was read.
    """
    delete = partial(sender.heatmap.field.storage.delete, heatmap_path(instance, ""))
    transaction.on_commit(delete, using=using, robust=True)
