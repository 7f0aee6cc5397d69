"""Put a backup into an empty database and the storage."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis.files import StorageAway
from diagnosis.operating.backup import BackupError
from diagnosis.operating.dumps import DumpError
from diagnosis.operating.restoring import restore


class Command(BaseCommand):
    """Restore, tell what is missing."""

    help = "Restores what `backup` has written into an empty database and the storage; overwrites nothing."

    # Those would look for tables that are still to come.
    requires_system_checks = []
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        """Where from."""
        parser.add_argument("folder", type=Path, help="that backup has written")

    def handle(self, *, folder: Path, verbosity: int, **_options: Any) -> None:
        """Restore; the exit status is not 0 when a file is missing, and then all else is restored."""
        try:
            missing = restore(folder, say=self.stdout.write if verbosity else lambda _: None)
        except (BackupError, DumpError) as error:
            raise CommandError(f"Nothing was restored. {error}") from error
        except StorageAway as error:
            raise CommandError(f"Not all files were restored: empty the database and begin anew. {error}") from error
        for sentence in missing:
            self.stdout.write(sentence)
        if missing:
            raise CommandError(f"Restored, except for {len(missing)} files, which are named above.")
        self.stdout.write("Restored. Now run manage.py migrate, then start the site.")
