"""Send lost predictions to the workers again."""

import argparse
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from diagnosis import services


class Command(BaseCommand):
    """Requeue, tell how many."""

    help = (
        "Puts predictions back into the queue whose worker or message was lost; beat does the same every minute. "
        "Safe to run at any time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument(
            "--older-than",
            type=seconds,
            metavar="SECONDS",
            help=f"presumed lost after this time (default {settings.PREDICTION_STALE_SECONDS}); "
            "0 is right only when no worker runs",
        )

    def handle(self, *, older_than: timedelta | None, **_options: Any) -> None:
        """Send them; a broker that is away is an error."""
        requeued = services.requeue_stale(older_than=older_than)
        text = f"{requeued.sent} predictions were sent to the workers again, {requeued.given_up} were given up."
        if requeued.unsent:
            raise CommandError(
                f"{text} {requeued.unsent} still wait: the broker is away. Nothing is lost; run this again."
            )
        self.stdout.write(text)


def seconds(text: str) -> timedelta:
    """Read a time in seconds, 0 or more."""
    try:
        age = timedelta(seconds=float(text))
    except (ValueError, OverflowError):
        age = timedelta(seconds=-1)
    if age < timedelta(0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more.")
    return age
