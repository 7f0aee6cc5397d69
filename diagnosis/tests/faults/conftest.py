"""Both sites, started once for all tests here, and the people who upload while they are struck."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from diagnosis.tests.checkpoints import tiny_checkpoint_in
from diagnosis.tests.faults.sites import StruckEmbedded, StruckFull
from diagnosis.tests.people import Person
from diagnosis.tests.servers import wait_for

# No two uploads of these tests are of the same picture.
seeds = count(1000)


@pytest.fixture(scope="session")
def quick_checkpoint(tmp_path_factory):
    """A tiny checkpoint that OpenVINO reads: each worker that was killed is soon replaced."""
    return tiny_checkpoint_in(tmp_path_factory.mktemp("checkpoint"), graph=True)


@pytest.fixture(scope="session")
def embedded_site(tmp_path_factory, quick_checkpoint) -> Iterator[StruckEmbedded]:
    yield from started(StruckEmbedded(tmp_path_factory.mktemp("embedded") / "var", checkpoint=quick_checkpoint))


@pytest.fixture(scope="session")
def full_site(tmp_path_factory, quick_checkpoint) -> Iterator[StruckFull]:
    yield from started(StruckFull(tmp_path_factory.mktemp("full") / "var", checkpoint=quick_checkpoint))


def started(site):
    try:
        site.start()
        yield site
    finally:
        site.kill()


@pytest.fixture(params=["embedded", pytest.param("full", marks=pytest.mark.services)])
def site(request):
    """The site in each mode; at the end of a test nothing of it is open."""
    yield from watched(request.getfixturevalue(f"{request.param}_site"))


@pytest.fixture
def full(full_site):
    """The site in full mode; at the end of a test nothing of it is open."""
    yield from watched(full_site)


@pytest.fixture
def embedded(embedded_site):
    """The site in embedded mode; at the end of a test nothing of it is open."""
    yield from watched(embedded_site)


def watched(site):
    before = len(site.log())
    yield site
    print(site.log()[before:][-20000:])
    wait_for(lambda: not site.open_rows(), 60)


@pytest.fixture(scope="session")
def people() -> Iterator[dict[str, Person]]:
    """Alice's browser at each site."""
    browsers: dict[str, Person] = {}
    yield browsers
    for browser in browsers.values():
        browser.client.close()


@pytest.fixture
def browser_at(people) -> Callable[..., Person]:
    """Give alice's browser at a site."""

    def at(site) -> Person:
        if site.name not in people:
            people[site.name] = Person(site.url, "alice")
        return people[site.name]

    return at


@pytest.fixture(scope="session")
def kept() -> dict[str, list[str]]:
    """Scans at each site that have been answered, for batches."""
    return {}


@pytest.fixture
def answered_scans(site, upload_to, kept) -> list[str]:
    """Scans that a batch can ask for again; more than a group of a batch's."""
    return answered_at(site, upload_to, kept)


@pytest.fixture
def answered_scans_of_full(full, upload_to, kept) -> list[str]:
    """The same in full mode."""
    return answered_at(full, upload_to, kept)


def answered_at(site, upload_to, kept) -> list[str]:
    if site.name not in kept:
        kept[site.name] = upload_to(site, 5)
        site.assert_each_is_answered_once(kept[site.name])
    return kept[site.name]


@pytest.fixture
def upload_to(browser_at) -> Callable[..., list[str]]:
    """Upload a few new pictures to a site and give the paths of their pages."""

    def upload(site, number: int = 1, *, reference: str = "") -> list[str]:
        return [browser_at(site).upload(next(seeds), reference=reference) for _ in range(number)]

    return upload
