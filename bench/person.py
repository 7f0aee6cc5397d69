"""Somebody in front of the site: uploads, waits for the answer as the page does, or more eagerly."""

import html
import re
import time
from typing import NamedTuple, Self

import httpx

PASSWORD = "correct horse battery staple"  # noqa: S105 - of somebody who is gone in a minute
PATIENCE_SECONDS = 300

OPEN = {"QUEUED", "RUNNING"}


class Answered(NamedTuple):
    """How long it took from the first byte of the upload until the answer was there, and how it ended."""

    milliseconds: float
    state: str


class Person:
    """A signed-in person at `url`; close it with `with`."""

    def __init__(self, url: str, username: str, *, session: str = "") -> None:
        """Sign up as `username`, or be who has the `session` of that key."""
        self.client = httpx.Client(base_url=url, follow_redirects=True, timeout=60)
        if session:
            self.client.cookies.set("sessionid", session)
        else:
            self._sign_up(username)
        self._fields = self._form("/scans/new/", {"reference": ""})

    def _sign_up(self, username: str) -> None:
        fields = {"username": username, "email": f"{username}@example.org", "password1": PASSWORD}
        form = self._form("/accounts/signup/", fields | {"password2": PASSWORD})
        page = self.client.post("/accounts/signup/", data=form)
        if page.url.path != "/scans/":
            raise RuntimeError(f"Signing up led to {page.url.path} with status {page.status_code}.")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def _form(self, address: str, fields: dict[str, str]) -> dict[str, str]:
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.client.get(address).text)
        if not token:
            raise RuntimeError(f"There is no form at {address}.")
        return fields | {"csrfmiddlewaretoken": token[1]}

    def upload(self, picture: bytes) -> str:
        """Upload a JPEG and give the page that this leads to."""
        files = {"image": ("chest.jpg", picture, "image/jpeg")}
        page = self.client.post("/scans/new/", data=self._fields, files=files)
        page.raise_for_status()
        return page.text

    def upload_and_wait(self, picture: bytes, *, every: float | None = None) -> Answered:
        """Upload a JPEG and wait until its page shows the answer.

        It asks again when the page says, as site.js does, or after `every` seconds, to learn when it was there.
        """
        began = time.perf_counter()
        state = self.until_answered(self.upload(picture), every=every)
        return Answered((time.perf_counter() - began) * 1000, state)

    def until_answered(self, shown: str, *, every: float | None = None) -> str:
        """Wait until the page that an upload led to shows the answer, as upload_and_wait does; give its state."""
        began = time.perf_counter()
        news: httpx.Response | None = None
        while (state := _state(shown)) in OPEN:
            if time.perf_counter() - began > PATIENCE_SECONDS:
                raise TimeoutError(f"It is still {state} after {PATIENCE_SECONDS} s.")
            if news is None or news.status_code == httpx.codes.OK:
                address, wait = _next_look(shown)
            else:
                wait = float(news.headers["X-Look-Again"])
            time.sleep(wait if every is None else every)
            news = self.client.get(address)
            news.raise_for_status()
            shown = news.text if news.status_code == httpx.codes.OK else shown
        reason = re.search(r'id="answer"[^>]*data-reason="(\w+)"', shown)
        if reason and reason[1] != "NOT_A_CHEST_XRAY":
            raise RuntimeError(f"Instead of an answer there is {reason[1]}.")  # which is fast
        return state


def _state(shown: str) -> str:
    found = re.search(r'id="answer"[^>]*data-state="(\w+)"', shown)
    if not found:
        raise RuntimeError("The page shows no answer, and none to come.")
    return found[1]


def _next_look(shown: str) -> tuple[str, float]:
    """Give where the page asks for news, and after how many seconds."""
    address = re.search(r'id="answer"[^>]*hx-get="([^"]+)"', shown)
    delay = re.search(r'id="answer"[^>]*hx-trigger="[^"]*?(?:every |delay:)(\d+(?:\.\d+)?)(ms|s)', shown)
    if not address or not delay:
        raise RuntimeError("The page does not say where and when it asks again.")
    return html.unescape(address[1]), float(delay[1]) / (1000 if delay[2] == "ms" else 1)
