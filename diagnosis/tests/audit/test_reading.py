"""Owners read what was done to their scans, staff with the permission read everything; nobody else reads anything."""

import re

import pytest
from django.core.cache import cache
from django.urls import reverse

from diagnosis import services
from diagnosis.audit import Action, AuditEvent, pages, record
from diagnosis.models import Scan
from diagnosis.states import State
from diagnosis.tests.admin.pages import grant, text_at
from diagnosis.tests.factories import person, prediction_at, scan_of

AUDIT = "/admin/diagnosis/auditevent/"


@pytest.fixture
def scan(alice) -> Scan:
    scan = scan_of(alice, reference="left lung", original_name="Miller.jpg")
    prediction_at(State.SUCCEEDED, scan)
    return scan


def rows_of(page: str) -> list[str]:
    """Give the rows of the table of events as text."""
    body = page.split('events">')[1].split("<tbody>")[1].split("</tbody>")[0]
    rows = body.split("<tr>")[1:]
    return [re.sub(r"<[^>]*>", " ", row) for row in rows]


def words_of(page: str) -> list[list[str]]:
    return [
        [
            word
            for word in (
                "You",
                "Staff",
                "A reader",
                "The site itself",
                "Somebody whose account was erased",
                "Viewed",
                "Reviewed",
                "Exported",
                "Uploaded",
                "Deleted",
                "a scan that is gone",
            )
            if word in row
        ]
        for row in rows_of(page)
    ]


# The owner
def test_the_owner_reads_on_the_page_of_a_scan_who_saw_it_by_role_and_not_by_name(browser, alice, rita, scan):
    record(action=Action.UPLOADED, actor=alice, scan=scan)
    record(action=Action.VIEWED, actor=rita, scan=scan)
    services.record_review(prediction=scan.predictions.get(), reviewer=rita, label="NORMAL")
    record(action=Action.EXPORTED, actor=None, scan=scan)
    gone = person("gone")
    record(action=Action.VIEWED, actor=gone, scan=scan)
    gone.delete()
    page = browser.get(scan.get_absolute_url()).text
    assert words_of(page) == [
        ["You", "Viewed"],
        ["Somebody whose account was erased", "Viewed"],
        ["The site itself", "Exported"],
        ["Staff", "Reviewed"],
        ["Staff", "Viewed"],
    ]
    assert "rita" not in page
    assert f'href="/scans/{scan.pk}/events/"' in page, "the older one, the upload, is behind a link"


def test_a_reader_who_is_not_of_the_staff_is_told_as_a_reader(browser, rita, scan):
    rita.is_staff = False
    rita.save()
    services.record_review(prediction=scan.predictions.get(), reviewer=rita, label="NORMAL")
    page = browser.get(scan.get_absolute_url()).text
    assert words_of(page) == [["You", "Viewed"], ["A reader", "Reviewed"]]
    assert "rita" not in page


def test_a_short_list_has_nothing_behind_it(browser, scan):
    page = browser.get(scan.get_absolute_url()).text
    assert words_of(page) == [["You", "Viewed"]]
    assert f"/scans/{scan.pk}/events/" not in page


def test_the_page_of_a_scans_events_shows_them_all_in_pages(browser, alice, scan, monkeypatch):
    monkeypatch.setattr(pages, "EVENTS_PER_PAGE", 2)
    for action in (Action.UPLOADED, Action.EXPORTED, Action.REVIEWED):
        record(action=action, actor=alice, scan=scan)
    first = browser.get(f"/scans/{scan.pk}/events/")
    assert [row[-1] for row in words_of(first.text)] == ["Reviewed", "Exported"]
    older = browser.get(f"/scans/{scan.pk}/events/?page={first.context['page'].next}")
    assert [row[-1] for row in words_of(older.text)] == ["Uploaded"]
    assert "Newest" in older.text


def test_the_account_page_leads_to_all_events_also_of_scans_that_are_gone(browser, alice, sam, scan):
    services.erase_scan(scan=scan, erased_by=sam)
    kept = scan_of(alice, reference="right lung")
    record(action=Action.UPLOADED, actor=alice, scan=kept)
    assert 'href="/accounts/events/"' in browser.get("/accounts/").text
    page = browser.get("/accounts/events/").text
    assert words_of(page) == [["You", "Uploaded"], ["Staff", "Deleted", "a scan that is gone"]]
    assert "right lung" in page
    assert "left lung" not in page


@pytest.mark.parametrize("reader", ["bob", "rita", "sam"])
def test_others_get_404_for_the_events_of_a_scan(client, request, scan, reader):
    client.force_login(request.getfixturevalue(reader))
    assert client.get(f"/scans/{scan.pk}/events/").status_code == 404


def test_a_person_without_scans_has_no_events(browser):
    assert "Nothing yet." in browser.get("/accounts/events/").text


@pytest.mark.parametrize("address", ["/accounts/events/", "/scans/00000000-0000-0000-0000-000000000000/events/"])
def test_who_is_not_signed_in_reads_no_events(client, db, address):
    assert client.get(address).url == f"/accounts/login/?next={address}"


def test_staff_on_the_page_of_a_scan_read_no_events_without_the_permission(client, rita, scan):
    client.force_login(rita)
    assert "Who saw it" not in client.get(scan.get_absolute_url()).text
    grant(rita, "view_auditevent")
    assert f"{AUDIT}?q={scan.pk}" in client.get(scan.get_absolute_url()).text


def test_many_events_cost_no_further_query(browser, alice, rita, scan, django_assert_num_queries):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    browser.get(scan.get_absolute_url())
    with CaptureQueriesContext(connection) as few:
        browser.get(scan.get_absolute_url())
        browser.get("/accounts/events/")
    for _ in range(10):
        record(action=Action.EXPORTED, actor=rita, scan=scan)
        record(action=Action.EXPORTED, actor=alice, scan=scan_of(alice))
    with django_assert_num_queries(len(few)):
        browser.get(scan.get_absolute_url())
        browser.get("/accounts/events/")


# Staff
@pytest.mark.parametrize("reader", ["alice", "rita"])
def test_who_has_not_the_permission_reads_no_list(client, request, reader, scan):
    client.force_login(request.getfixturevalue(reader))
    assert client.get(AUDIT).status_code in (302, 403)


def shown(client, query: str = "") -> list[tuple[str, str | None]]:
    """Give action and actor's name of each row of the list."""
    rows = client.get(f"{AUDIT}{query}").context["cl"].result_list
    return [(row.action, row.actor.user.username if row.actor else None) for row in rows]


@pytest.fixture
def events(alice, bob, rita, scan) -> None:
    """Alice uploads and exports, rita looks at it, bob makes a token, nobody in particular deletes bob's scan."""
    record(action=Action.UPLOADED, actor=alice, scan=scan)
    record(action=Action.EXPORTED, actor=alice, scan=scan, detail="PDF")
    record(action=Action.VIEWED, actor=rita, scan=scan)
    services.issue_token(user=bob, lifetime=None)
    services.erase_scan(scan=scan_of(bob), erased_by=None, detail="RETENTION")


def test_staff_with_the_permission_read_who_did_what_to_whose_scan(client, rita, scan, events):
    grant(rita, "view_auditevent")
    client.force_login(rita)
    page = text_at(client, AUDIT)
    for words in ("alice", "bob", "rita", "The site itself", "Deleted", "PDF", "RETENTION", f"{str(scan.pk)[:8]}…"):
        assert words in page
    for word in ("Miller", "left lung"):
        assert word not in page


def test_the_list_is_narrowed_by_action_person_day_word_and_scan(client, sam, alice, rita, scan, events):
    client.force_login(sam)
    assert shown(client, "?action__exact=TOKEN_MADE") == [("TOKEN_MADE", "bob")]
    assert shown(client, f"?actor={rita.pseudonym.pk}") == [("VIEWED", "rita")]
    of_alice = [("VIEWED", "rita"), ("EXPORTED", "alice"), ("UPLOADED", "alice")]
    assert shown(client, f"?owner={alice.pseudonym.pk}") == of_alice
    assert shown(client, f"?q={scan.pk}") == of_alice
    assert shown(client, "?q=Rita") == [("VIEWED", "rita")]
    assert shown(client, "?q=nobody") == []
    assert shown(client, "?requested_to=2020-01-01") == []


@pytest.mark.parametrize("query", ["?actor=nonsense", "?owner=7", f"?actor={'0' * 32}", "?p=nonsense"])
def test_an_address_that_makes_no_sense_is_no_fault(client, sam, events, query):
    client.force_login(sam)
    assert client.get(f"{AUDIT}{query}").status_code == 200


def test_an_erased_person_is_no_name_in_the_list_and_can_still_be_followed(client, sam, rita, alice, scan, events):
    known = rita.pseudonym.pk
    rita.delete()
    client.force_login(sam)
    page = text_at(client, AUDIT)
    assert "An erased account" in page
    assert shown(client, f"?actor={known}") == [("VIEWED", None)]
    assert "An erased account" in text_at(client, f"{AUDIT}?actor={known}")


def test_nobody_adds_changes_or_deletes_an_event_in_the_admin(client, sam, scan, events):
    client.force_login(sam)
    before = list(AuditEvent.objects.values())
    event = before[0]["id"]
    assert client.get(reverse("admin:diagnosis_auditevent_change", args=[event])).status_code == 200
    for address in ("add/", f"{event}/change/", f"{event}/delete/"):
        assert client.post(f"{AUDIT}{address}", {"post": "yes", "action": "VIEWED"}).status_code == 403
    client.post(AUDIT, {"action": "delete_selected", "_selected_action": [event], "post": "yes"})
    assert list(AuditEvent.objects.values()) == before


def test_reading_the_audit_is_no_look_at_a_scan(client, sam, scan):
    cache.clear()
    client.force_login(sam)
    client.get(AUDIT)
    assert not AuditEvent.objects.filter(action=Action.VIEWED).exists()
