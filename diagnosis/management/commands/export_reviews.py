"""Write reviewed pictures as a folder that ml.train takes."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis.review.export import ExportRefused, export_reviews
from ml.labels import LABELS


class Command(BaseCommand):
    """Export, tell how many."""

    help = (
        "Writes the pictures whose label readers have decided into FOLDER/train/NORMAL and FOLDER/train/PNEUMONIA, "
        "without anything that tells whose they are, and a manifest. FOLDER has to be new or empty."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("folder", type=Path, metavar="FOLDER")
        parser.add_argument(
            "--readers", type=int, choices=(1, 2), default=1, help="how many have to have read a picture (default 1)"
        )

    def handle(self, *, folder: Path, readers: int, **_options: Any) -> None:
        """Write the folder."""
        try:
            exported = export_reviews(folder=folder, min_readers=readers)
        except ExportRefused as error:
            raise CommandError(str(error)) from error
        counts = ", ".join(f"{count} {label}" for label, count in exported.labels.items())
        self.stdout.write(f"{exported.labels.total()} pictures ({counts}) are in {folder}.")
        for why, count in sorted(exported.left_out.items()):
            self.stdout.write(f"Left out: {count}, {why}.")
        if not all(exported.labels[label] for label in LABELS):
            self.stdout.write("Training needs pictures of both labels.")
        else:
            self.stdout.write(self.style.SUCCESS(f"python -m ml.train --data {folder / 'train'} --run runs/reviewed"))
