"""Trying again and again: 429, with the time after which it is worth another try."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from redis.exceptions import ConnectionError as NoRedis

from diagnosis.models import Scan
from diagnosis.tests.archive_files import zipped
from diagnosis.tests.factories import PASSWORD
from diagnosis.tests.pictures import chest_like, encoded

LOG_IN, NEW = "/accounts/login/", "/scans/new/"
GUESSED_IN = [
    (LOG_IN, "anonymous", {"login": "alice", "password": "wrong"}, {"login": "alice", "password": PASSWORD}),
    ("/accounts/reauthenticate/", "owner", {"password": "wrong"}, {"password": PASSWORD}),
    ("/accounts/erase/", "owner", {"password": "wrong"}, {"password": PASSWORD}),
    (
        "/accounts/password/change/",
        "owner",
        {"oldpassword": "wrong"},
        {"oldpassword": PASSWORD, "password1": "another horse, a battery", "password2": "another horse, a battery"},
    ),
]
ASKED_TOO_OFTEN = [
    ("/accounts/signup/", {"username": "", "email": "nowhere"}),
    ("/accounts/password/reset/", {"email": "alice@example.org"}),
]


def is_told_when_to_come_again(response) -> bool:
    return response.status_code == 429 and 0 < int(response["Retry-After"]) <= 300


def a_picture(seed: int = 0) -> SimpleUploadedFile:
    return SimpleUploadedFile("chest.png", encoded(chest_like(seed=seed), "PNG"))


@pytest.mark.parametrize(("address", "who", "wrong", "right"), GUESSED_IN, ids=lambda value: str(value)[:30])
def test_guessing_at_a_password_ends_soon_also_with_the_right_one(house, address, who, wrong, right):
    browser, before = house.client_of(who), house.belongings()
    answers = [browser.post(address, wrong) for _ in range(6)]
    assert answers[0].status_code in (200, 422)
    assert is_told_when_to_come_again(answers[-1])
    answer = browser.post(address, right)
    assert is_told_when_to_come_again(answer)
    assert "testserver" not in answer.text
    assert house.belongings() == before


def test_guessing_from_many_addresses_at_one_account_ends_too(house, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    browser = house.client_of("anonymous")
    for number in range(6):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        answer = browser.post(LOG_IN, {"login": "alice", "password": "wrong"}, headers=headers)
    assert is_told_when_to_come_again(answer)


def test_guessing_at_many_accounts_from_one_address_ends_too_whatever_address_it_claims(house):
    browser = house.client_of("anonymous")
    for number in range(11):
        headers = {"X-Forwarded-For": f"203.0.113.{number}"}
        answer = browser.post(LOG_IN, {"login": f"user{number}", "password": "wrong"}, headers=headers)
    assert is_told_when_to_come_again(answer)


@pytest.mark.parametrize(("address", "fields"), ASKED_TOO_OFTEN)
def test_asking_too_often_is_told_when_to_come_again(house, mailoutbox, address, fields):
    browser = house.client_of("anonymous")
    answers = [browser.post(address, fields) for _ in range(25)]
    assert is_told_when_to_come_again(answers[-1])
    assert "Please wait some minutes" in answers[-1].text
    assert len(mailoutbox) <= 20


def test_staff_change_their_password_where_guesses_are_counted(house):
    for who in ("reviewer", "superuser"):
        for method in ("get", "post"):
            assert getattr(house.client_of(who), method)("/admin/password_change/").url == "/accounts/password/change/"


def test_uploads_of_a_person_are_limited_and_nothing_of_one_too_many_is_kept(house, settings, sent):
    settings.UPLOADS_PER_MINUTE = 2
    browser = house.client_of("owner")
    for seed in (1, 2):
        assert browser.post(NEW, {"image": a_picture(seed)}).status_code == 302
    before = Scan.objects.count()

    answer = browser.post(NEW, {"image": a_picture(3)})

    assert is_told_when_to_come_again(answer)
    assert "Please wait" in answer.text
    assert Scan.objects.count() == before
    assert browser.get(NEW).status_code == 200, "the page itself is there"
    assert house.client_of("stranger").post(NEW, {"image": a_picture(3)}).status_code == 302


def test_an_archive_is_one_upload(house, settings, sent):
    settings.UPLOADS_PER_MINUTE = 1
    pictures = {f"{seed}.png": encoded(chest_like(seed=seed), "PNG") for seed in range(3)}
    answer = house.client_of("owner").post(NEW, {"image": SimpleUploadedFile("study.zip", zipped(pictures))})
    assert answer.status_code == 302
    assert answer.url.startswith("/uploads/")


def test_while_the_cache_is_away_uploads_are_taken_all_the_same(house, settings, sent, monkeypatch):
    settings.UPLOADS_PER_MINUTE = 1
    browser = house.client_of("owner")

    def away(*arguments, **named):
        raise NoRedis

    monkeypatch.setattr("rest_framework.throttling.SimpleRateThrottle.allow_request", away)
    assert [browser.post(NEW, {"image": a_picture(seed)}).status_code for seed in (1, 2)] == [302, 302]
