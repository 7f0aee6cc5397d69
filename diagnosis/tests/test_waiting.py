"""When pages and programs look again for an answer that is not there yet."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from diagnosis import waiting
from diagnosis.models import Prediction, Upload
from diagnosis.states import FailureReason, State
from diagnosis.tests.factories import prediction_at, scan_of
from diagnosis.tokens import ApiToken
from diagnosis.waiting import FIRST_LOOK, LATER_LOOK, LONGEST, retry_after, seconds_to_look

pytestmark = pytest.mark.django_db


def prediction_since(owner, seconds: float, state: State = State.QUEUED) -> Prediction:
    """Give a prediction to which nothing has happened for so many seconds."""
    prediction = prediction_at(state, scan_of(owner))
    move = {State.QUEUED: "requested_at", State.RUNNING: "claimed_at"}.get(state, "finished_at")
    Prediction.objects.filter(pk=prediction.pk).update(**{move: timezone.now() - timedelta(seconds=seconds)})
    prediction.refresh_from_db()
    return prediction


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-60, LATER_LOOK), (0, FIRST_LOOK), (1, LATER_LOOK), (5, 1), (20, 4), (60, LONGEST), (1e6, LONGEST)],
)
def test_looks_grow_rare_the_longer_nothing_has_happened(alice, monkeypatch, seconds, expected):
    """Also where another machine's clock is ahead."""
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    assert seconds_to_look([prediction_since(alice, seconds)]) == expected


def test_a_claim_by_a_worker_brings_the_looks_together_again(alice):
    prediction = prediction_since(alice, 3600)
    assert seconds_to_look([prediction]) == LONGEST
    Prediction.objects.claim(prediction.pk, task_id="task")
    prediction.refresh_from_db()
    assert seconds_to_look([prediction]) < 1


@pytest.mark.parametrize("ended", [[], [None], [State.SUCCEEDED], [State.FAILED, None]])
def test_nothing_is_looked_for_once_all_have_ended(alice, ended):
    assert seconds_to_look(state and prediction_since(alice, 0, state) for state in ended) == 0


def test_of_several_the_last_move_tells_how_fast_it_goes(alice):
    slow, ended = prediction_since(alice, 600), prediction_since(alice, 10, State.SUCCEEDED)
    assert seconds_to_look([slow, None, ended]) == pytest.approx(2, abs=0.1)
    assert seconds_to_look([slow, ended], at_least=5) == 5


def test_a_header_has_whole_seconds_and_never_none(alice):
    assert [retry_after(prediction_since(alice, seconds)) for seconds in (0, 11)] == ["1", "3"]
    assert retry_after(prediction_since(alice, 0, State.SUCCEEDED)) == retry_after(None) == ""


def test_a_page_and_a_program_are_told_the_same_but_a_program_no_part_of_a_second(browser, client, alice, monkeypatch):
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    _, secret = ApiToken.objects.issue(user=alice, lifetime=None)
    for seconds, page, program in ((1, 0.3, "1"), (18, 3.6, "4"), (3600, 10, "10")):
        scan = prediction_since(alice, seconds).scan
        poll = browser.get(reverse("diagnosis:scan_status", args=[scan.pk]), {"seen": State.QUEUED})
        told = client.get(f"/api/v1/scans/{scan.pk}/", headers={"Authorization": f"Bearer {secret}"})
        assert poll.status_code == 204
        assert float(poll["X-Look-Again"]) == page
        assert (told.status_code, told["Retry-After"]) == (200, program)


def test_every_page_with_something_that_waits_looks_again_by_itself(browser, alice):
    scan = prediction_since(alice, 30).scan
    upload = Upload.objects.create(owner=alice, given=2)
    upload.scans.add(scan)
    for address in (scan.get_absolute_url(), upload.get_absolute_url(), reverse("diagnosis:scan_list")):
        page = browser.get(address).content.decode()
        assert re.search(r'hx-trigger="load delay:6\.\ds, look-again"', page), address


@pytest.fixture
def just_asked(alice) -> Prediction:
    """Give one that was sent to the workers a moment ago; the moment is long, for machines that are slow."""
    prediction = prediction_at(State.RUNNING, scan_of(alice))
    now = timezone.now()
    Prediction.objects.filter(pk=prediction.pk).update(requested_at=now, enqueued_at=now)
    prediction.refresh_from_db()
    return prediction


@pytest.fixture
def while_it_waits(monkeypatch):
    """Let something happen while a page waits, which has to be once; nothing may wait unless this is called."""
    left = []

    def happens(_seconds) -> None:
        if not left:
            pytest.fail("it waits")
        left.pop()()

    monkeypatch.setattr(waiting, "A_MOMENT", 60)
    monkeypatch.setattr(waiting, "sleep", happens)
    yield left.append
    assert not left, "it does not wait"


def page_of(browser, prediction: Prediction) -> str:
    return browser.get(prediction.scan.get_absolute_url()).content.decode()


def test_the_page_that_an_upload_leads_to_waits_a_moment_and_shows_the_answer(browser, just_asked, while_it_waits):
    held = Prediction.objects.filter(pk=just_asked.pk)
    answer = {"probability": 0.9, "threshold": 0.5, "milliseconds": 12}
    while_it_waits(lambda: held.succeed(just_asked.pk, task_id=just_asked.claimed_by, **answer))

    page = page_of(browser, just_asked)

    assert 'data-state="SUCCEEDED"' in page
    assert "look-again" not in page


def test_a_page_waits_no_longer_than_a_moment(browser, just_asked):
    page = page_of(browser, just_asked)

    assert 'data-state="RUNNING"' in page
    assert "look-again" in page


@pytest.mark.parametrize(
    "change",
    [
        {"requested_at": timedelta(minutes=-2)},
        {"requested_at": timedelta(minutes=2)},
        {"state": State.QUEUED, "enqueued_at": None, "claimed_by": "", "claimed_at": None},
        {"state": State.FAILED, "reason": FailureReason.TIMED_OUT, "finished_at": timedelta()},
    ],
    ids=["asked for before", "by a clock that is ahead", "not sent", "ended"],
)
def test_a_page_waits_for_nothing_that_does_not_come_soon(browser, just_asked, while_it_waits, change):
    moments = {name: timezone.now() + at for name, at in change.items() if isinstance(at, timedelta)}
    Prediction.objects.filter(pk=just_asked.pk).update(**change | moments)

    assert f'data-state="{change.get("state", State.RUNNING)}"' in page_of(browser, just_asked)


def test_a_page_does_not_wait_where_others_wait_too(browser, just_asked, while_it_waits):
    prediction_since(just_asked.scan.owner, 5)

    assert 'data-state="RUNNING"' in page_of(browser, just_asked)


def test_a_page_does_not_wait_in_embedded_mode(browser, just_asked, while_it_waits, settings):
    settings.EMBEDDED = True

    assert 'data-state="RUNNING"' in page_of(browser, just_asked)


def test_a_scan_that_is_erased_while_its_page_waits_is_not_found(browser, just_asked, while_it_waits):
    while_it_waits(lambda: just_asked.scan.delete())

    assert browser.get(just_asked.scan.get_absolute_url()).status_code == 404
