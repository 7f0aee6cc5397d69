"""Write database and files into a folder."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis.files import StorageAway
from diagnosis.operating.backup import MANIFEST, BackupError, back_up
from diagnosis.operating.dumps import DumpError


class Command(BaseCommand):
    """Back up, tell how much."""

    help = (
        "Writes the database and all stored files into a new folder, with the sha256 of each, while the site runs. "
        "Secrets of the environment and the folders of registered checkpoints are not in it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to."""
        parser.add_argument("folder", type=Path, help="is made; it must be empty where it is there")

    def handle(self, *, folder: Path, verbosity: int, **_options: Any) -> None:
        """Write it; what is missing already is told and is no error of the backup."""
        try:
            manifest = back_up(folder, say=self.stdout.write if verbosity else lambda _: None)
        except (BackupError, DumpError, StorageAway, OSError) as error:
            raise CommandError(f"There is no backup. {error}") from error
        self.stdout.write(
            f"Backed up: the database ({manifest.migration}) and {manifest.files} files, {manifest.bytes} bytes."
        )
        if manifest.missing:
            self.stderr.write(f"{len(manifest.missing)} files were missing already; {folder / MANIFEST} names them.")
