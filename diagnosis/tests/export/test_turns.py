"""Downloads that take long: one at a time for a person, a few for a process, none for ever."""

import pytest
from django.core.cache import cache
from django.core.signals import request_finished
from django.db import close_old_connections
from django.test import Client
from redis.exceptions import RedisError

from diagnosis.audit import Action
from diagnosis.audit.reading import events_of
from diagnosis.export import turns
from diagnosis.export.turns import Stream, TooSlow, Turn

pytestmark = pytest.mark.django_db

DOWNLOADS = ["/scans/export.csv", "/scans/export.json", "/accounts/everything.zip"]


@pytest.fixture(autouse=True)
def all_given_back():
    """No test leaves a turn taken."""
    yield
    assert Turn._taken == 0


def abandon(response) -> None:
    """Close it as a server does whose client has gone; the test's transaction stays open."""
    request_finished.disconnect(close_old_connections)
    response.close()
    request_finished.connect(close_old_connections)


def signed_in(user) -> Client:
    client = Client()
    client.force_login(user)
    return client


@pytest.mark.parametrize("second", DOWNLOADS)
def test_a_second_download_waits_for_the_first(browser, second):
    first = browser.get(DOWNLOADS[2])
    refused = browser.get(second)
    assert refused.status_code == 429
    assert refused["Retry-After"] == str(turns.RETRY_SECONDS)
    assert "A download of yours is still running." in refused.content.decode()
    b"".join(first.streaming_content)
    assert b"".join(browser.get(second).streaming_content)


def test_a_download_that_nobody_receives_gives_its_turn_back(browser):
    abandon(browser.get(DOWNLOADS[0]))
    response = browser.get(DOWNLOADS[0])
    assert response.status_code == 200
    abandon(response)


def test_two_people_download_at_once_and_a_third_is_told_to_wait(alice, bob, rita, settings):
    settings.EXPORTS_AT_ONCE = 2
    running = [signed_in(user).get(DOWNLOADS[0]) for user in (alice, bob)]
    refused = signed_in(rita).get(DOWNLOADS[0])
    assert refused.status_code == 429
    assert "Others are downloading right now." in refused.content.decode()
    for response in running:
        abandon(response)
    assert b"".join(signed_in(rita).get(DOWNLOADS[0]).streaming_content)


def test_a_download_that_takes_too_long_is_cut_off_and_gives_its_turn_back(alice, settings):
    settings.EXPORT_MAX_SECONDS = 0
    stream = Stream(iter([b"first", b"second"]), Turn.take(alice))
    with pytest.raises(TooSlow):
        b"".join(stream)
    stream.close()
    Turn.take(alice).give_back()


def test_a_turn_that_a_killed_process_held_ends_by_itself(alice, settings, monkeypatch):
    settings.EXPORT_MAX_SECONDS = 60
    kept = []
    monkeypatch.setattr(type(cache._connections["default"]), "add", lambda _self, *given: kept.append(given) or True)
    Turn.take(alice).give_back()
    [(_key, _value, seconds)] = kept
    assert seconds == 60 + turns.RETRY_SECONDS


def test_every_download_is_written_down_and_one_that_is_refused_is_not(browser, alice, client):
    running = browser.get(DOWNLOADS[0])
    browser.get(DOWNLOADS[1])
    abandon(running)
    for address in DOWNLOADS[1:]:
        abandon(browser.get(address))
    assert [event.detail for event in events_of(owner=alice).filter(action=Action.EXPORTED).order_by("at")] == [
        "CSV",
        "JSON",
        "ZIP",
    ]


def test_a_download_that_can_not_be_written_down_is_not_given(alice, monkeypatch):
    def away(**_event):
        raise RuntimeError

    monkeypatch.setattr("diagnosis.audit.record", away)
    with pytest.raises(RuntimeError):
        signed_in(alice).get(DOWNLOADS[0])
    Turn.take(alice).give_back()


def test_giving_back_twice_does_not_take_anothers_turn_away(alice):
    first = Turn.take(alice)
    first.give_back()
    second = Turn.take(alice)
    first.give_back()
    with pytest.raises(turns.Busy):
        Turn.take(alice)
    second.give_back()


def test_without_a_cache_people_still_get_their_data(browser, monkeypatch):
    def away(*_args, **_kwargs):
        raise RedisError("nobody there")

    for name in ("add", "get", "delete"):
        monkeypatch.setattr(type(cache._connections["default"]), name, away, raising=False)
    assert b"".join(browser.get(DOWNLOADS[0]).streaming_content)


@pytest.mark.parametrize("address", DOWNLOADS)
def test_only_get_downloads(browser, address):
    assert browser.post(address).status_code == 405
    assert browser.head(address).status_code == 405
