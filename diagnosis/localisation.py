"""Each page in the language of the person who reads it, with the dates of their time zone."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import cast

from django.conf import settings
from django.http import FileResponse, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.middleware.locale import LocaleMiddleware
from django.utils import timezone, translation

from diagnosis.preferences import Preferences
from diagnosis.time_zones import zone_named

# What the browser's script says of its own zone; see site.js.
TIME_ZONE_COOKIE = "time_zone"

# Programs read English and UTC whatever their headers say: codes are for them, and sentences go into their logs.
FOR_PROGRAMS = ("/api/", "/healthz", "/readyz", "/metrics")


class PersonsLanguageAndTimeZone(LocaleMiddleware):
    """What the person chose; else what the cookie says; else the browser's language, and UTC.

    After AuthenticationMiddleware. What held before holds again afterwards: a thread serves many people, and what is
    answered before this middleware comes to its turn must not be in the last one's language.
    """

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Serve one request."""
        with ExitStack() as stack:
            stack.enter_context(translation.override(translation.get_language()))
            stack.enter_context(timezone.override(None))
            response = cast(HttpResponseBase, super().__call__(request))
            # Made while it is sent, when all of this is over.
            if isinstance(response, StreamingHttpResponse) and not isinstance(response, FileResponse):
                parts = cast(Iterator[bytes], response.streaming_content)
                response.streaming_content = _said_in(translation.get_language(), parts)
            return response

    def process_request(self, request: HttpRequest) -> None:
        """Choose."""
        if request.path_info.startswith(FOR_PROGRAMS):
            translation.activate(settings.LANGUAGE_CODE)
            return
        super().process_request(request)
        chosen = Preferences.of(request.user)
        if chosen.language in dict(settings.LANGUAGES):
            translation.activate(chosen.language)
        request.LANGUAGE_CODE = translation.get_language()
        zone = zone_named(chosen.time_zone) or zone_named(request.COOKIES.get(TIME_ZONE_COOKIE, ""))
        if zone:
            timezone.activate(zone)


def _said_in(language: str, parts: Iterator[bytes]) -> Iterator[bytes]:
    """Make each of `parts` in `language`; between two of them the thread may do something else. Times stay in UTC."""
    while True:
        with translation.override(language):
            part = next(parts, None)
        if part is None:
            return
        yield part
