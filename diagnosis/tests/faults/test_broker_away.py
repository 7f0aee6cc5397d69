"""A broker that is away, hangs or comes back empty: uploads are accepted, their pages say so, and they are answered."""

import re
import time
from collections.abc import Iterator

import httpx
import pytest

from diagnosis.tests.factories import PASSWORD
from diagnosis.tests.faults.conftest import seeds
from diagnosis.tests.faults.sites import answers, took
from diagnosis.tests.faults.stages import REST_SECONDS
from diagnosis.tests.people import scans_on
from diagnosis.tests.servers import wait_for

WORDS = "Your scan is kept. It is read by itself as soon as that part is back"

# It takes five time-outs of a second: one of the throttle, three of the message, one of the look at the page.
PATIENCE = 10


@pytest.fixture(scope="module", autouse=True)
def the_next_tests_messages_are_sent() -> Iterator[None]:
    """Leave sites behind that try their broker again."""
    yield
    time.sleep(REST_SECONDS)


def says_so(browser, scan: str) -> bool:
    return WORDS in browser.client.get(scan).text


@pytest.mark.services
def test_redis_is_stopped_and_comes_back_empty(full, browser_at, upload_to):
    browser = browser_at(full)
    with full.held("in inference") as is_held:
        before = upload_to(full, 2)
        is_held()
        with full.redis.away():
            meanwhile = upload_to(full, 2)
            assert all(says_so(browser, scan) for scan in meanwhile)

    full.assert_each_is_answered_once(before + meanwhile + upload_to(full))
    assert not says_so(browser, meanwhile[0])


@pytest.mark.services
def test_redis_loses_all_it_has_with_everybody_connected(full, upload_to):
    with full.held("in inference") as is_held:
        before = upload_to(full, 3)
        is_held()
        with full.redis.client() as client:
            client.flushall()
        after = upload_to(full)

    full.assert_each_is_answered_once(before + after)


@pytest.mark.services
def test_without_redis_nobody_signs_in_and_the_page_says_so(full, browser_at):
    signed_in = browser_at(full)
    with httpx.Client(base_url=full.url, follow_redirects=True, timeout=60) as client:
        page = client.get("/accounts/login/").text
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page).group(1)
        fields = {"login": "alice", "password": PASSWORD, "csrfmiddlewaretoken": token}
        with full.redis.away():
            refused = client.post("/accounts/login/", data=fields)
            assert signed_in.client.get("/scans/").status_code == 200

        assert refused.status_code == 503
        assert "whoever is signed in goes on" in refused.text
        assert refused.headers["Retry-After"] == "60"
        assert client.post("/accounts/login/", data=fields).url.path == "/scans/"


@pytest.mark.services
def test_redis_hangs(full, browser_at, upload_to):
    browser = browser_at(full)
    before = upload_to(full)
    with full.redis.stopped_still():
        meanwhile = []
        assert took(lambda: meanwhile.extend(upload_to(full))) < PATIENCE
        assert says_so(browser, meanwhile[0])

    full.assert_each_is_answered_once(before + meanwhile + upload_to(full))


@pytest.mark.services
def test_many_files_at_once_wait_for_a_redis_that_hangs_only_once(full, browser_at):
    browser = browser_at(full)
    full.restart_web()  # else it may know already
    wait_for(lambda: answers(full))
    with full.redis.stopped_still():
        page = None

        def give() -> None:
            nonlocal page
            page = browser.give_many([next(seeds) for _ in range(8)])

        assert took(give) < PATIENCE
        assert "they are read by themselves as soon as it is back" in page.text

    scans = scans_on(page)
    assert len(scans) == 8
    full.assert_each_is_answered_once(scans)


@pytest.mark.services
def test_redis_holds_its_clients_while_a_scan_is_read(full, upload_to):
    with full.held("before the record") as is_held:
        scans = upload_to(full, 2)
        is_held()
        with full.redis.client() as client:
            client.client_pause(6000)

    full.assert_each_is_answered_once(scans + upload_to(full))


def test_the_folder_of_messages_is_gone(embedded, browser_at, upload_to):
    folder, aside = embedded.messages_folder, embedded.messages_folder.with_suffix(".aside")
    folder.rename(aside)
    folder.touch()
    try:
        scans = upload_to(embedded, 2)
        assert says_so(browser_at(embedded), scans[0])
    finally:
        folder.unlink()
        aside.rename(folder)

    embedded.assert_each_is_answered_once(scans + upload_to(embedded))
