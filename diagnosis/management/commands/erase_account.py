"""Erase a person's account with all that belongs to it."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis import erasure
from diagnosis.files import StorageAway


class Command(BaseCommand):
    """Erase, tell how much."""

    help = (
        "Erases an account with every scan, answer, file, token, session and address; for accounts with more scans "
        "than a page can wait for. Safe to interrupt and to run again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("username", help="whose account; it is not asked again")

    def handle(self, *, username: str, **_options: Any) -> None:
        """Erase it; the last superuser and a storage that is away are errors."""
        user = get_user_model().objects.filter(username=username).first()
        if user is None:
            raise CommandError(f"There is no user {username!r}.")
        try:
            erased = erasure.erase_account(user=user, erased_by=None)
        except erasure.LastSuperuser as error:
            raise CommandError(str(error)) from error
        except StorageAway as error:
            raise CommandError(f"The storage is away; the account is still there, run this again. {error}") from error
        self.stdout.write(
            f"The account was erased: {erased.scans} scans, {erased.predictions} predictions, {erased.files} files, "
            f"{erased.others} other rows."
        )
