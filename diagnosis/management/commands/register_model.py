"""Make a trained checkpoint known to the site."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis import services
from ml.checkpoint import CheckpointError


class Command(BaseCommand):
    """Register, tell what it is."""

    help = "Registers the checkpoint in DIR as a model version; safe to run twice."

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("folder", type=Path, metavar="DIR", help="holds checkpoint.json and the weights")
        parser.add_argument("--activate", action="store_true", help="let it answer new scans from now on")

    def handle(self, *, folder: Path, activate: bool, **_options: Any) -> None:
        """Check the files, write the row."""
        try:
            version, is_new = services.register_model(folder=folder, activate=activate)
        except CheckpointError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(
            f"{'Registered' if is_new else 'Known already'}: {version.name}\n"
            f"  sha256     {version.sha256}\n"
            f"  threshold  {version.threshold:.4f}\n"
            f"  uncertain  {version.uncertain_low:.4f} to {version.uncertain_high:.4f}\n"
            f"  folder     {version.folder}"
        )
        if version.is_active:
            self.stdout.write(self.style.SUCCESS("It answers new scans. For the old ones: reprocess_scans"))
        else:
            self.stdout.write("It is not active: --activate lets it answer new scans.")
