"""Collect the texts to translate: Django's command, with what only this project knows."""

from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import makemessages

NOT_OURS = (".venv/*", "var/*", "runs/*", "static/vendor/*", "bench/*", "ml/*", "docs/*", "*/tests/*", "shared/*")


class Command(makemessages.Command):
    """Adds the sentences of refusals, which are no calls of gettext, and defaults that fit this project."""

    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=Refusal:2", "--keyword=too_many_pixels:1"]
    # A guess from a similar text has to be found and mended; a gap is found by the tests.
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def add_arguments(self, parser: CommandParser) -> None:
        """Take all languages, drop what is not used any more, name files without their lines, which change often."""
        super().add_arguments(parser)
        parser.set_defaults(all=True, no_obsolete=True, add_location="file", no_wrap=False)

    def handle(self, *args: Any, **options: Any) -> None:
        """Pass over what is not a page's."""
        options["ignore_patterns"] = [*options["ignore_patterns"], *NOT_OURS]
        super().handle(*args, **options)
