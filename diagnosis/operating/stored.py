"""Every stored file that a row names, with the scan that it belongs to."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from uuid import UUID

from django.core.files.storage import Storage
from django.db import models

from diagnosis.models import Prediction, Scan

# Read page by page: no cursor stays open while files are copied, which a pool of connections would not allow.
PAGE = 1000


@dataclass(frozen=True)
class Stored:
    """A file: `name` in the `storage`, the column that names it, and its scan."""

    name: str
    column: str
    scan_id: UUID
    storage: Storage


def stored_files() -> Iterator[list[Stored]]:
    """Give all, a page at a time; those of rows that come meanwhile may be among them."""
    return chain(
        _named_by(Scan, ("picture", "thumbnail", "model_input"), scan="pk"),
        _named_by(Prediction, ("heatmap",), scan="scan_id"),
    )


def _named_by(model: type[models.Model], columns: tuple[str, ...], *, scan: str) -> Iterator[list[Stored]]:
    rows = model._default_manager.order_by("pk").values_list("pk", scan, *columns)
    page = list(rows[:PAGE])
    while page:
        yield [
            Stored(name, column, scan_id, model._meta.get_field(column).storage)  # type: ignore[union-attr]
            for _, scan_id, *names in page
            for column, name in zip(columns, names, strict=True)
            if name
        ]
        page = list(rows.filter(pk__gt=page[-1][0])[:PAGE])


def still_named(files: list[Stored]) -> list[Stored]:
    """Keep those that a row still names."""
    kept = []
    for file in files:
        model: type[models.Model] = Prediction if file.column == "heatmap" else Scan
        if model._default_manager.filter(**{file.column: file.name}).exists():
            kept.append(file)
    return kept
