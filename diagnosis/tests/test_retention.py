"""Scans that were kept for RETENTION_DAYS are erased; without the setting nothing ever is by itself."""

from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from diagnosis import erasure, tasks
from diagnosis.audit import Action, AuditEvent
from diagnosis.files import StorageAway
from diagnosis.models import Prediction, Scan
from diagnosis.states import State
from diagnosis.tests.audit.events import events
from diagnosis.tests.factories import prediction_at, scan_of

pytestmark = pytest.mark.django_db


def aged(owner, days: float) -> Scan:
    return scan_of(owner, created_at=timezone.now() - timedelta(days=days))


@pytest.fixture
def month(settings) -> None:
    settings.RETENTION_DAYS = 30


# The command and the task
def test_without_the_setting_nothing_is_erased(alice, capsys):
    aged(alice, 10_000)
    call_command("erase_expired")
    tasks.erase_expired_scans()
    assert "until somebody deletes them" in capsys.readouterr().out
    assert Scan.objects.exists()


def test_what_is_too_old_is_erased_with_its_answers_and_files_and_the_rest_is_kept(
    alice, bob, month, media, capsys, django_capture_on_commit_callbacks
):
    kept = aged(bob, 29.9)
    for owner in (alice, bob):
        prediction_at(State.SUCCEEDED, aged(owner, 30.1), has_heatmap=True)
    with django_capture_on_commit_callbacks(execute=True):
        call_command("erase_expired")
    assert "2 scans were erased, with 2 predictions and 6 files." in capsys.readouterr().out
    assert Scan.objects.get() == kept
    assert not Prediction.objects.exists()
    assert sum(path.is_file() for path in media.rglob("*")) == 2
    assert [event[1] for event in events(action=Action.DELETED)] == [None, None]
    assert set(AuditEvent.objects.filter(action=Action.DELETED).values_list("detail", flat=True)) == {"RETENTION"}


def test_a_second_run_finds_nothing_to_do(alice, month, capsys):
    aged(alice, 31)
    for count in (1, 0):
        call_command("erase_expired")
        assert f"{count} scans were erased" in capsys.readouterr().out


def test_a_dry_run_counts_and_erases_nothing(alice, month, capsys):
    aged(alice, 31)
    aged(alice, 1)
    call_command("erase_expired", dry_run=True)
    assert "1 scans are older than 30 days." in capsys.readouterr().out
    assert Scan.objects.count() == 2


def test_what_was_erased_before_the_storage_went_away_stays_erased(alice, month, monkeypatch):
    for days in (40, 50, 60):
        aged(alice, days)
    erase, calls = erasure.services.erase_scan, []

    def goes_away(**given):
        calls.append(given["scan"])
        if len(calls) == 2:
            raise StorageAway("nobody there")
        return erase(**given)

    monkeypatch.setattr(erasure.services, "erase_scan", goes_away)
    with pytest.raises(CommandError, match=r"1 scans were erased.* The storage is away; run this again"):
        call_command("erase_expired")
    call_command("erase_expired")
    assert not Scan.objects.exists()


def test_many_are_read_in_pages(alice, month, monkeypatch):
    monkeypatch.setattr(erasure, "PAGE", 2)
    for _ in range(5):
        aged(alice, 31)
    assert sum(erased.scans for erased in erasure.erase_expired()) == 5


def test_the_task_erases_a_part_and_sends_itself_for_the_rest(alice, month, monkeypatch):
    sent = []
    monkeypatch.setattr(tasks, "ERASED_AT_ONCE", 2)
    monkeypatch.setattr(tasks.erase_expired_scans, "apply_async", lambda **options: sent.append(options))
    for _ in range(3):
        aged(alice, 31)
    tasks.erase_expired_scans()
    assert (Scan.objects.count(), sent) == (1, [{"queue": "reprocess"}])
    tasks.erase_expired_scans()
    assert (Scan.objects.count(), len(sent)) == (0, 1)


def test_beat_erases_once_a_day_behind_what_people_wait_for(settings):
    entry = settings.CELERY_BEAT_SCHEDULE["erase-expired-scans"]
    assert entry["task"] == tasks.erase_expired_scans.name
    assert entry["options"] == {"queue": settings.QUEUE_OF_BATCHES}
    assert (len(entry["schedule"].hour), len(entry["schedule"].minute)) == (1, 1)


# What people are told
def test_the_pages_say_until_when_a_scan_is_kept(browser, alice, month):
    scan = aged(alice, 0)
    page = browser.get(scan.get_absolute_url()).text
    assert f"{scan.created_at + timedelta(days=30):%Y-%m-%d}" in page.split("Kept until")[1][:80]
    for address in ("/scans/new/", "/accounts/"):
        assert "Each scan is kept for 30 days, then it is erased." in browser.get(address).text


def test_without_the_setting_the_pages_promise_no_end(browser, alice):
    assert "Kept until" not in browser.get(aged(alice, 0).get_absolute_url()).text
    for address in ("/scans/new/", "/accounts/"):
        assert "is kept for" not in browser.get(address).text


# Sessions
def test_sessions_that_are_over_are_forgotten(browser, client, bob):
    from diagnosis.sessions import Session

    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    client.force_login(bob)
    tasks.forget_expired_sessions()
    assert Session.objects.get().user == bob
