"""Dates are those of the person's own place, and say which that is."""

import re
from datetime import UTC, datetime

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone, translation

from diagnosis.models import Prediction, Scan
from diagnosis.preferences import Preferences
from diagnosis.states import State
from diagnosis.tests.factories import prediction_at, scan_of
from diagnosis.time_zones import names_by_region, zone_named

pytestmark = pytest.mark.django_db

# Summer in the north; in Tokyo the next day.
MOMENT = datetime(2026, 7, 2, 21, 30, tzinfo=UTC)


@pytest.fixture
def scan(alice) -> Scan:
    scan = scan_of(alice, created_at=MOMENT)
    prediction_at(State.SUCCEEDED, scan, requested_at=MOMENT, finished_at=MOMENT)
    return scan


def shown(client: Client, scan: Scan) -> str:
    """Give the first time of the scan's page, as people read it."""
    page = client.get(scan.get_absolute_url()).content.decode()
    return re.search(r"<time [^>]*>([^<]*)</time>", page)[1]


def test_without_a_word_of_the_browser_dates_are_in_utc_and_say_so(browser, scan):
    assert shown(browser, scan) == "2 July 2026, 21:30 UTC"


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("Europe/Madrid", "2 July 2026, 23:30 CEST"),
        ("Asia/Tokyo", "3 July 2026, 06:30 JST"),
        ("America/Bogota", "2 July 2026, 16:30 -05"),
    ],
)
def test_the_browser_tells_its_zone(browser, scan, zone, written):
    browser.cookies["time_zone"] = zone
    assert shown(browser, scan) == written


@pytest.mark.parametrize(
    "zone", ["Europe/Nowhere", "../../etc/passwd", "/etc/passwd", "localtime", "", "é", "x" * 9999]
)
def test_what_is_no_zone_counts_as_nothing(browser, scan, zone):
    browser.cookies["time_zone"] = zone
    assert shown(browser, scan) == "2 July 2026, 21:30 UTC"
    assert zone_named(zone) is None


def test_what_the_person_chose_goes_before_the_browser_and_everywhere(browser, alice, scan):
    answer = browser.post("/accounts/preferences/", {"language": "", "time_zone": "Asia/Tokyo"})
    assert answer.status_code == 302
    browser.cookies["time_zone"] = "Europe/Madrid"
    assert shown(browser, scan) == "3 July 2026, 06:30 JST"
    elsewhere = Client()
    elsewhere.force_login(alice)
    assert shown(elsewhere, scan) == "3 July 2026, 06:30 JST"


@pytest.mark.parametrize("given", [{"time_zone": "Mars/Olympus"}, {"language": "xx"}])
def test_a_choice_that_is_not_offered_is_refused_and_nothing_is_stored(browser, given):
    answer = browser.post("/accounts/preferences/", {"language": "", "time_zone": ""} | given)
    assert answer.status_code == 422
    assert "Select a valid choice" in answer.content.decode()
    assert not Preferences.objects.exists()


def test_preferences_are_those_of_who_is_signed_in(client, browser, alice, bob):
    assert Client().post("/accounts/preferences/", {"language": "es", "time_zone": ""}).status_code == 302
    assert not Preferences.objects.exists()
    browser.post("/accounts/preferences/", {"language": "es", "time_zone": "UTC"})
    browser.post("/accounts/preferences/", {"language": "", "time_zone": "Asia/Tokyo"})
    assert list(Preferences.objects.values_list("user", "language", "time_zone")) == [(alice.pk, "", "Asia/Tokyo")]


def test_the_page_says_what_time_it_is_for_the_person(browser):
    Preferences.objects.create(user_id=browser.session["_auth_user_id"], time_zone="Asia/Tokyo")
    assert re.search(r"it is now \d+ \w+ \d{4}, \d\d:\d\d JST", browser.get("/accounts/").content.decode())


def test_dates_in_spanish_read_as_in_spanish(browser, scan):
    browser.cookies["time_zone"] = "America/Bogota"
    browser.cookies["django_language"] = "es"
    assert shown(browser, scan) == "2 de julio de 2026, 16:30 -05"


def test_one_persons_zone_is_not_left_to_the_next(browser, scan, bob):
    browser.cookies["time_zone"] = "Asia/Tokyo"
    assert shown(browser, scan).endswith("JST")
    assert timezone.get_current_timezone_name() == "UTC"
    bobs = Client()
    bobs.force_login(bob)
    assert shown(bobs, scan_of(bob, created_at=MOMENT)) == "2 July 2026, 21:30 UTC"


def test_a_page_that_fails_leaves_no_language_and_no_zone_behind(browser, scan, monkeypatch):
    monkeypatch.setattr(Scan, "file_name", property(lambda scan: 1 / 0))
    browser.raise_request_exception = False
    browser.cookies["time_zone"], browser.cookies["django_language"] = "Asia/Tokyo", "es"
    answer = browser.get(scan.get_absolute_url())
    assert answer.status_code == 500
    assert "Algo ha fallado por nuestra parte" in answer.content.decode()
    assert (translation.get_language(), timezone.get_current_timezone_name()) == ("en", "UTC")


def test_the_days_of_the_filter_are_the_persons_own(browser, scan):
    browser.cookies["time_zone"] = "Asia/Tokyo"
    found = {day: b"chest.jpg" in browser.get("/scans/", {"since": day, "until": day}).content for day in DAYS}
    assert found == {"2026-07-02": False, "2026-07-03": True}


DAYS = ("2026-07-02", "2026-07-03")


def test_staff_see_and_filter_by_their_own_days_too(client, rita, scan):
    Preferences.objects.create(user=rita, time_zone="Asia/Tokyo")
    client.force_login(rita)
    address = reverse("admin:diagnosis_prediction_changelist")
    page = client.get(address, {"requested_from": DAYS[1], "requested_to": DAYS[1]}).content.decode()
    assert "<span>2026-07-03</span> <span>06:30 JST</span>" in page
    page = client.get(address, {"requested_from": DAYS[0], "requested_to": DAYS[0]}).content.decode()
    assert "06:30" not in page


def test_what_is_stored_knows_no_zone(browser, scan):
    browser.cookies["time_zone"] = "Asia/Tokyo"
    shown(browser, scan)
    assert Prediction.objects.get().finished_at == MOMENT


def test_every_zone_that_is_offered_can_be_chosen():
    offered = [name for _, names in names_by_region() for name, _ in names]
    assert {"Europe/Madrid", "America/Argentina/Buenos_Aires", "Pacific/Auckland"} <= set(offered)
    assert all(zone_named(name) for name in offered)
