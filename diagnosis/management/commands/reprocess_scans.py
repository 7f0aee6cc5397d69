"""Let a model version answer old scans again; the old answers stay as history."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from tqdm import tqdm

from diagnosis import batch, services
from diagnosis.models import Label, ModelVersion
from diagnosis.states import FailureReason, State
from ml.checkpoint import CheckpointError

# So many wait in the queue at a time, by default: a message of them for each of so many workers.
WORKERS = 5
AHEAD = WORKERS * services.SCANS_OF_A_MESSAGE

# A refusal is none of these: the version looked at the picture, and would say the same again.
FAILURES = [reason for reason in FailureReason.values if reason != FailureReason.NOT_A_CHEST_XRAY]

SILENCE_SECONDS = 30
PLAIN_LINE_SECONDS = 10


class Command(BaseCommand):
    """Choose, ask, show progress, count."""

    help = (
        "Asks a model version for a new answer to each chosen scan that it has not answered yet; failed ones are asked "
        "again, those that it refused as no chest X-ray are not. Safe to interrupt and to run twice: it goes on where "
        "it stopped. Exits with 1 when some failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Name the options."""
        parser.add_argument("--model", metavar="V", help="name, id or start of the sha256; default: the active one")
        parser.add_argument(
            "--since", type=moment, metavar="D", help="scans uploaded since: 2026-01-31[T18:00[+01:00]]"
        )
        parser.add_argument("--user", metavar="U", help="scans of this user (username)")
        parser.add_argument("--state", choices=State.values, help="scans whose latest prediction is in this state")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most N scans, the oldest first")
        way = parser.add_mutually_exclusive_group()
        way.add_argument("--inline", action="store_true", help="answer in this process instead of by the workers")
        way.add_argument("--no-wait", action="store_true", help="put all into the queue at once and don't follow")
        parser.add_argument(
            "--ahead",
            type=positive,
            metavar="N",
            default=AHEAD,
            help=f"so many in the queue at a time (%(default)s, enough for {WORKERS} workers: "
            f"{services.SCANS_OF_A_MESSAGE} for each)",
        )
        parser.add_argument("--dry-run", action="store_true", help="only tell what would be done")

    def handle(self, **options: Any) -> None:
        """Run the batch; BatchStopped and Ctrl-C end it early without loss."""
        choice = batch.Choice(
            model_version=model_version(options["model"]),
            since=options["since"],
            owner=owner(options["user"]),
            state=options["state"],
            limit=options["limit"],
        )
        answered, total = choice.answered().count(), choice.size()
        self.stdout.write(
            f"{choice.model_version}: {total} scans to answer ({choice.unfinished().count()} of them already asked for "
            f"by an earlier run), {answered} skipped as already answered or refused by it."
        )
        if options["dry_run"] or not total:
            return
        tally: Counter[str] = Counter()
        try:
            if options["no_wait"]:
                self.only_ask(choice)
                return
            self.await_all(choice, options, total, tally)
        except KeyboardInterrupt:
            self.stdout.write(f"Interrupted. {told(tally)} Run the same command again: it goes on where it stopped.")
            sys.exit(130)
        except (batch.BatchStopped, CheckpointError) as error:
            raise CommandError(f"{told(tally)} {error}".strip()) from error
        failed = sum(tally[reason] for reason in FAILURES)
        if failed:
            raise CommandError(f"{told(tally)} Run the same command again to ask for the failed ones once more.")
        self.stdout.write(self.style.SUCCESS(told(tally)))

    def only_ask(self, choice: batch.Choice) -> None:
        """Put everything into the queue."""
        asked = 0
        for _ in batch.ask(choice, limit=choice.limit):
            asked += 1
        self.stdout.write(f"{asked} scans are in the queue.")

    def await_all(self, choice: batch.Choice, options: dict[str, Any], total: int, tally: Counter[str]) -> None:
        """Follow the batch to its end."""
        if options["inline"]:
            looks = batch.in_this_process(choice)
        else:
            looks = batch.through_the_queue(choice, ahead=options["ahead"])
        for outcomes in shown(looks, total):
            tally.update(outcomes)


def shown(looks: Iterator[list[str]], total: int) -> Iterator[list[str]]:
    """Pass the outcomes on and show progress: a bar on a terminal, a line now and then elsewhere."""
    bar = tqdm(total=total, unit="scan", file=sys.stderr, disable=None, dynamic_ncols=True)
    began = last_line = last_answer = time.monotonic()
    done, warned = 0, False
    with bar:
        for outcomes in looks:
            now = time.monotonic()
            done += len(outcomes)
            bar.update(len(outcomes))
            if outcomes:
                last_answer, warned = now, False
            if now - last_answer > SILENCE_SECONDS and not warned:
                bar.write(f"No answer for {SILENCE_SECONDS} s. Is a worker running?", file=sys.stderr)
                warned = True
            if bar.disable and now - last_line > PLAIN_LINE_SECONDS:
                print(plain_line(done, total, now - began), file=sys.stderr, flush=True)
                last_line = now
            yield outcomes


def plain_line(done: int, total: int, seconds: float) -> str:
    """Give the progress as a line for a log."""
    layout = "{n_fmt} of {total_fmt} scans, {rate_fmt}, {remaining} left"
    return tqdm.format_meter(done, total, seconds, unit="scan", bar_format=layout)


def told(tally: Counter[str]) -> str:
    """Put the counts into a sentence or two."""
    answered = {label: tally[label] for label in Label.values}
    refused = tally[FailureReason.NOT_A_CHEST_XRAY]
    failed = {reason: tally[reason] for reason in FAILURES if tally[reason]}
    text = f"{sum(answered.values())} answered ({listed(answered)})"
    if refused:
        text += f", {refused} refused as no chest X-ray"
    if failed:
        text += f", {sum(failed.values())} failed ({listed(failed)})"
    if tally[batch.ERASED]:
        text += f", {tally[batch.ERASED]} deleted meanwhile"
    return f"{text}."


def listed(counts: dict[str, int]) -> str:
    """Give "3 NORMAL, 4 PNEUMONIA"."""
    return ", ".join(f"{count} {word}" for word, count in counts.items())


def model_version(wanted: str | None) -> ModelVersion:
    """Give the version that is meant, the active one by default. Raises CommandError with what there is."""
    found = batch.find_model_version(wanted) if wanted else services.active_model_version()
    if found:
        return found
    known = "\n".join(f"  {v.pk}  {v}{'  active' if v.is_active else ''}" for v in ModelVersion.objects.all())
    if not known:
        raise CommandError("No model version is registered yet: register_model DIR --activate")
    problem = f"{wanted!r} is not exactly one model version" if wanted else "No model version is active"
    raise CommandError(f"{problem}. There are (id, name, sha256):\n{known}")


def owner(username: str | None) -> Any:
    """Give the user, or None for all of them. Raises CommandError."""
    if username is None:
        return None
    found = get_user_model().objects.filter(username=username).first()
    if not found:
        raise CommandError(f"There is no user {username!r}.")
    return found


def moment(text: str) -> datetime:
    """Read a date or a date with time, in the site's time zone where it names none."""
    try:
        found = parse_datetime(text)
    except ValueError:
        found = None
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date like 2026-01-31 or 2026-01-31T18:00.")
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def positive(text: str) -> int:
    """Read a whole number above 0."""
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0.")
    return int(text)
