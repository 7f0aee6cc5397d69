"""Erase the scans that were kept for RETENTION_DAYS."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis import erasure
from diagnosis.files import StorageAway
from diagnosis.services import Erased


class Command(BaseCommand):
    """Erase, tell how many."""

    help = (
        "Erases scans that are older than RETENTION_DAYS, with their answers and files; beat does the same once a day. "
        "Safe to interrupt and to run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("--dry-run", action="store_true", help="only say how many there are")

    def handle(self, *, dry_run: bool, **_options: Any) -> None:
        """Erase them; a storage that is away is an error."""
        if settings.RETENTION_DAYS is None:
            self.stdout.write("RETENTION_DAYS is not set: scans are kept until somebody deletes them.")
            return
        if dry_run:
            count = erasure.expired_scans().count()
            self.stdout.write(f"{count} scans are older than {settings.RETENTION_DAYS} days.")
            return
        erased = Erased()
        try:
            for more in erasure.erase_expired():
                erased += more
        except StorageAway as error:
            raise CommandError(f"{told(erased)} The storage is away; run this again. {error}") from error
        self.stdout.write(told(erased))


def told(erased: Erased) -> str:
    """Put the counts into a sentence."""
    return f"{erased.scans} scans were erased, with {erased.predictions} predictions and {erased.files} files."
