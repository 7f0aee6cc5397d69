"""The page: for staff alone, of no person, from what was counted, with its numbers as tables."""

import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnosis.dashboard import live
from diagnosis.dashboard.counting import count_days
from diagnosis.models import CountedDay, RefusedFiles
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tests.dashboard.conftest import at, with_reference
from diagnosis.tests.factories import person, scan_of

pytestmark = pytest.mark.django_db

PAGE, NOW, COUNT = "/dashboard/", "/dashboard/now/", "/dashboard/count/"


@pytest.mark.parametrize("address", [PAGE, NOW])
def test_strangers_sign_in_people_find_nothing_and_staff_see_it(client, alice, rita, address):
    assert client.get(address).status_code == 302
    client.force_login(alice)
    assert client.get(address).status_code == 404
    client.force_login(rita)
    response = client.get(address)
    assert response.status_code == 200
    assert "no-store" in response.headers["Cache-Control"]


def test_nobody_but_staff_has_days_counted(client, alice, rita):
    client.force_login(alice)
    assert client.post(COUNT).status_code == 404
    assert CountedDay.objects.count() == 0
    client.force_login(rita)
    assert client.get(COUNT).status_code == 405
    assert client.post(COUNT).headers["Location"] == PAGE
    assert CountedDay.objects.count() == 1


def test_only_staff_are_led_there(client, alice, rita):
    for user, is_led in ((alice, False), (rita, True)):
        client.force_login(user)
        assert (f'href="{PAGE}"' in client.get("/scans/").content.decode()) is is_led


def test_a_new_site_has_a_page_that_says_so_and_raises_no_alarm(staff, monkeypatch):
    monkeypatch.setattr(live, "messages_in_queues", dict)
    monkeypatch.setattr(live, "workers", list)
    page = staff.get(PAGE).content.decode()
    assert "Nothing was counted yet" in page
    assert "None on these days." in page
    assert "seems to be away" not in page + staff.get(NOW).content.decode()


def test_a_site_on_which_nothing_was_counted_for_long_has_no_beat(staff, monkeypatch):
    monkeypatch.setattr(live, "messages_in_queues", dict)
    monkeypatch.setattr(live, "workers", list)
    User.objects.update(date_joined=timezone.now() - timedelta(hours=1))
    for address in (PAGE, NOW):
        assert "every worker seems to be away" in staff.get(address).content.decode()


def test_it_shows_what_was_counted_and_as_of_when(staff, model_version):
    for _ in range(3):
        at(1, probability=0.9, seconds=2)
    at(2, probability=0.2, seconds=2)
    at(1, trigger=Trigger.COMMAND, probability=0.9)
    at(1, State.FAILED, reason=FailureReason.NOT_A_CHEST_XRAY, seconds=2)
    RefusedFiles.objects.note(["WRONG_MODALITY"] * 2)
    count_days()

    response = staff.get(PAGE)

    figures = response.context["figures"]
    assert (figures.scans, figures.answered, figures.again, figures.refusals) == (6, 4, 1, 3)
    assert figures.share == 75
    page = response.content.decode()
    assert re.search(r"Counted\s+(now|[^<]+ ago)\s+\(<time datetime=", page)
    assert "WRONG_MODALITY" in page
    assert "NOT_A_CHEST_XRAY" in page
    assert "seems to be away" not in re.sub(r'<section id="now".*?</section>', "", page, flags=re.DOTALL)


def test_old_figures_are_called_old(staff):
    count_days()
    CountedDay.objects.update(counted_at=CountedDay.objects.get().counted_at - timedelta(hours=1))
    assert "These figures are old" in staff.get(PAGE).content.decode()


def test_days_that_are_still_to_be_counted_are_told(staff, model_version):
    at(9)
    count_days(at_most=timedelta(0))
    assert "9 earlier days are still to be counted." in staff.get(PAGE).content.decode()


@pytest.mark.parametrize(("days", "shown"), [("7", 7), ("365", 365), ("", 30), ("8", 30), ("all", 30), ("-1", 30)])
def test_the_days_to_show_can_be_chosen_and_nonsense_is_thirty(staff, days, shown):
    response = staff.get(PAGE, {"days": days})
    assert len(response.context["figures"].days) == shown


def test_each_graph_has_the_same_numbers_in_a_table(staff, model_version):
    with_reference()
    at(1, probability=0.9)
    at(1, probability=0.1)
    count_days()
    response = staff.get(PAGE, {"days": "7"})
    page = response.content.decode()
    canvases = re.findall(r'<canvas data-graph="([\w-]+)" role="img" aria-label="[^"]{20,}"', page)
    assert len(canvases) >= 10
    for name in canvases:
        data = json.loads(re.search(rf'<script id="{name}" type="application/json">(.*?)</script>', page)[1])
        table = page.split(f'id="{name}"')[1].split("</table>")[0]
        assert table.count('<th scope="row">') == len(data["labels"])
        assert table.count("<td>") == len(data["labels"]) * len(data["series"])
    shares = next(graph for graph in response.context["figures"].graphs if graph.slug == "shares")
    assert shares.rows[-2][1] == "50.0\N{NO-BREAK SPACE}%"
    assert shares.rows[0][1] == "–"


def test_no_script_and_no_style_stands_in_the_page(staff, model_version):
    at(1)
    count_days()
    page = staff.get(PAGE).content.decode()
    assert re.findall(r"<script(?![^>]*(src=|type=\"application/json\"))", page) == []
    assert "style=" not in page
    assert not re.search(r"\son\w+=", page)


def test_it_names_no_person_and_no_scan(staff, model_version):
    secret = scan_of(person("wilhelmina"), original_name="secret-name.jpg", reference="secret reference")
    at(0, scan=secret)
    at(1, State.QUEUED, scan=scan_of(person("wilhelmina"), original_name="secret-name-2.jpg"))
    count_days()
    for address in (PAGE, NOW):
        page = staff.get(address).content.decode()
        assert "wilhelmina" not in page
        assert "secret" not in page
        assert str(secret.pk) not in page


def test_the_number_of_queries_grows_with_nothing(staff, model_version):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            staff.get(PAGE, {"days": "365"})
        return len(captured)

    at(1)
    count_days()
    few = queries()
    for days_ago in range(20):
        at(days_ago)
    count_days()
    assert queries() == few


def test_a_refused_upload_is_counted(browser, model_version):
    from django.core.files.uploadedfile import SimpleUploadedFile

    response = browser.post("/scans/new/", {"image": SimpleUploadedFile("letter.jpg", b"Dear colleague")})
    assert response.status_code == 422
    assert list(RefusedFiles.objects.values_list("code", "files")) == [("NOT_A_PICTURE", 1)]
