"""People who use a running site from outside, for tests."""

import re

import httpx

from diagnosis.tests.factories import PASSWORD
from diagnosis.tests.pictures import chest_like, encoded


class Person:
    """Somebody with a browser that knows no JavaScript."""

    def __init__(self, url: str, username: str) -> None:
        self.client = httpx.Client(base_url=url, follow_redirects=True, timeout=60)
        fields = {"username": username, "email": f"{username}@example.org"}
        page = self.send("/accounts/signup/", fields | {"password1": PASSWORD, "password2": PASSWORD})
        assert page.url.path == "/scans/", page.text

    def send(self, address: str, fields: dict[str, str], files: list | None = None) -> httpx.Response:
        """Fill in the form at `address`."""
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.client.get(address).text).group(1)
        return self.client.post(address, data=fields | {"csrfmiddlewaretoken": token}, files=files)

    def give(self, seed: int, *, reference: str = "") -> httpx.Response:
        """Upload a picture and give the page that comes of it."""
        picture = encoded(chest_like(640, 560, seed=seed), "JPEG")
        return self.send("/scans/new/", {"reference": reference}, [("image", ("chest.jpg", picture, "image/jpeg"))])

    def give_many(self, seeds: list[int]) -> httpx.Response:
        """Upload several pictures at once and give the page that comes of them."""
        pictures = [encoded(chest_like(640, 560, seed=seed), "JPEG") for seed in seeds]
        files = [
            ("image", (f"chest-{seed}.jpg", file, "image/jpeg")) for seed, file in zip(seeds, pictures, strict=True)
        ]
        return self.send("/scans/new/", {"reference": ""}, files)

    def upload(self, seed: int, *, reference: str = "") -> str:
        """Upload a picture and give the address of its scan."""
        page = self.give(seed, reference=reference)
        assert page.status_code == 200, page.text
        assert page.url.path != "/scans/new/", page.text
        return page.url.path

    def state(self, address: str) -> str:
        """Give the state on a scan's page."""
        return re.search(r'data-state="(\w+)"', self.client.get(address).text).group(1)


def scans_on(page: httpx.Response) -> list[str]:
    """Give the addresses of the scans that a page leads to."""
    return sorted(set(re.findall(r'href="(/scans/[0-9a-f-]{36}/)"', page.text)))
