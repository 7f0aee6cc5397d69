"""Run a worker that answers predictions."""

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """What `celery worker` does with the options of this site.

    It starts sooner: Celery's own command line loads a shell with completion and colours first.
    """

    help = "Answers predictions until it is told to stop. `celery -A pneumonia_site worker` has more options."

    # Whoever migrated the database has run them, and a worker that starts loads no page.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("--queues", metavar="Q", help=f"of {queues()}, comma between; default: all")
        parser.add_argument("--hostname", metavar="NAME", default="celery@%h", help="its name; default: %(default)r")

    def handle(self, **options: Any) -> None:
        """Work until SIGTERM; exit as Celery says."""
        from celery.utils.nodenames import default_nodename, host_format

        from pneumonia_site.celery import app

        worker = app.Worker(
            hostname=host_format(default_nodename(options["hostname"])),
            queues=options["queues"],
            loglevel="INFO",
            quiet=True,
            # Asking the other workers at the start takes a second, and nobody reads what they tell each other.
            without_mingle=True,
            without_gossip=True,
            # Needs a broker that is a server.
            without_heartbeat=settings.EMBEDDED,
        )
        worker.start()
        sys.exit(worker.exitcode)


def queues() -> str:
    """Name those that there are."""
    return ", ".join(queue.name for queue in settings.CELERY_TASK_QUEUES)
