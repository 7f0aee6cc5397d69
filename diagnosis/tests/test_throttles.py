"""Who gives too much at once is asked to wait, by 429 with Retry-After, before anything is kept."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from diagnosis import services
from diagnosis.models import Scan
from diagnosis.states import State, Trigger
from diagnosis.tests.factories import person, prediction_at
from diagnosis.tests.pictures import chest_like, encoded

pytestmark = pytest.mark.django_db


def given(client, seed: int = 1):
    picture = SimpleUploadedFile("chest.jpg", encoded(chest_like(200, 200, seed=seed), "JPEG"))
    return client.post("/scans/new/", {"image": picture, "reference": ""})


def given_to_the_api(client, user, seed: int = 1):
    token = services.issue_token(user=user, lifetime=None)
    picture = SimpleUploadedFile("chest.jpg", encoded(chest_like(200, 200, seed=seed), "JPEG"))
    headers = {"Authorization": f"Bearer {token}"}
    return client.post("/api/v1/scans/", {"image": picture}, headers=headers)


def test_a_person_who_uploads_too_often_waits_and_others_do_not(browser, client, settings, sent):
    settings.UPLOADS_PER_MINUTE = 2
    assert [given(browser, seed).status_code for seed in range(3)] == [302, 302, 429]
    refused = given(browser, seed=9)
    assert 0 < int(refused["Retry-After"]) <= 60
    assert Scan.objects.count() == 2
    assert browser.get("/scans/new/").status_code == 200, "pages are not counted"
    client.force_login(person("bob"))
    assert given(client, seed=4).status_code == 302


@pytest.mark.parametrize("trigger", [Trigger.UPLOAD, Trigger.API])
def test_while_too_many_wait_nothing_more_is_taken_by_page_or_api(browser, client, alice, settings, sent, trigger):
    settings.UPLOADS_WAITING = 2
    waiting = [prediction_at(State.QUEUED, trigger=trigger) for _ in range(2)]
    refused = given(browser)
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    assert "More pictures wait for an answer" in refused.content.decode()
    by_api = given_to_the_api(client, alice)
    assert (by_api.status_code, by_api["Retry-After"], by_api.json()["code"]) == (429, "60", "THROTTLED")
    assert Scan.objects.filter(owner=alice).count() == 0

    services.erase_scan(scan=waiting[0].scan, erased_by=None)

    assert given(browser).status_code == 302


def test_what_a_batch_asks_for_and_what_is_answered_keeps_nobody_from_uploading(browser, settings, sent):
    settings.UPLOADS_WAITING = 1
    prediction_at(State.QUEUED, trigger=Trigger.COMMAND)
    prediction_at(State.RUNNING)
    prediction_at(State.SUCCEEDED)
    assert given(browser).status_code == 302


def test_with_0_any_number_may_wait(browser, settings, sent):
    settings.UPLOADS_WAITING = 0
    prediction_at(State.QUEUED)
    assert given(browser).status_code == 302
