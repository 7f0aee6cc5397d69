"""Delete stored files that no row names."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis import sweeping
from diagnosis.files import StorageAway


class Command(BaseCommand):
    """Sweep, tell how many."""

    help = (
        "Deletes stored files that no row names and that are older than a day: a process that was killed may have left "
        "them. Safe to run at any time, and to run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("--dry-run", action="store_true", help="only name the files")

    def handle(self, *, dry_run: bool, verbosity: int, **_options: Any) -> None:
        """Delete them; a storage that is away is an error."""
        count = 0
        try:
            for name in sweeping.sweep_files(dry_run=dry_run):
                count += 1
                if dry_run or verbosity > 1:
                    self.stdout.write(name)
        except StorageAway as error:
            raise CommandError(f"The storage is away after {count} files; run this again. {error}") from error
        self.stdout.write(f"{count} files that no row names {'were found' if dry_run else 'were deleted'}.")
