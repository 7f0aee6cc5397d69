"""What an answer is written as: always JSON, since there is nothing to choose between."""

from collections.abc import Iterable

from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class JsonForAll(BaseContentNegotiation):
    """Whatever a client says it accepts, so that an error is never hidden behind 406."""

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        """Give the parser that reads the body's media type; None: no parser does, which is answered with 415."""
        wanted = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Give the first."""
        first = next(iter(renderers))
        return first, first.media_type or ""
