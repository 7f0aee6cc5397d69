"""Count the days of the dashboard."""

import argparse
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from diagnosis.dashboard.counting import count_days


class Command(BaseCommand):
    """Count, tell how many days."""

    help = (
        "Counts for the dashboard what happened on each day that is not final yet; beat does the same every five "
        "minutes, and leaves a long past to this command. Safe to run at any time."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the option."""
        parser.add_argument(
            "--since",
            type=day,
            metavar="DAY",
            help="count the final days from this one on anew too, such as 2026-01-31; what was erased meanwhile is no "
            "longer counted then",
        )

    def handle(self, *, since: date | None, **_options: Any) -> None:
        """Count all of them."""
        self.stdout.write(f"{count_days(since=since).days} days were counted.")


def day(text: str) -> date:
    """Read a day."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2026-01-31.") from error
