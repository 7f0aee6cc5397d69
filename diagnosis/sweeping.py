"""Finding stored files that no row names: what a process left that was killed between a file and its row."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice

from django.core.files.storage import Storage
from django.db import models
from django.utils import timezone

from diagnosis.models import Prediction, Scan

# Below the number of values that any database takes in a query.
FILES_AT_ONCE = 5000

# A file is stored before its row is; an upload of many files takes minutes at most.
YOUNG = timedelta(days=1)

# Each folder of the storage, with the column that names its files. Others are none of ours.
FOLDERS: tuple[tuple[str, type[models.Model], str], ...] = (
    ("scans", Scan, "picture"),
    ("thumbnails", Scan, "thumbnail"),
    ("inputs", Scan, "model_input"),
    ("heatmaps", Prediction, "heatmap"),
)


def sweep_files(*, dry_run: bool = False) -> Iterator[str]:
    """Delete each file that no row names and that is older than a day; give its name.

    With `dry_run` it is only named. Memory stays flat: it holds the names of one folder at a time, of which there are
    hundreds. Raises files.StorageAway.
    """
    for folder, model, column in FOLDERS:
        storage = model._meta.get_field(column).storage  # type: ignore[union-attr]
        names = names_in(storage, folder)
        while some := list(islice(names, FILES_AT_ONCE)):
            # The files were listed before the rows are asked for: a row that came in between is found.
            rows = model._default_manager.filter(**{f"{column}__in": some})
            named = set(rows.values_list(column, flat=True))
            for name in some:
                if name not in named and is_old(storage, name):
                    if not dry_run:
                        storage.delete(name)
                    yield name


def names_in(storage: Storage, folder: str) -> Iterator[str]:
    """Give the names of all files in `folder` and in the folders below it."""
    try:
        folders, files = storage.listdir(folder)
    except FileNotFoundError:
        return
    yield from (f"{folder}/{file}" for file in files)
    for below in sorted(folders):
        yield from names_in(storage, f"{folder}/{below}")


def is_old(storage: Storage, name: str) -> bool:
    """Tell whether the file is still there, unchanged for longer than any upload takes."""
    try:
        return storage.get_modified_time(name) < timezone.now() - YOUNG
    except FileNotFoundError:
        return False
