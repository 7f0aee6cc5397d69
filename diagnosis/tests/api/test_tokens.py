"""Tokens: made and revoked on the account page, shown once, stored as a hash, and the only key to the API."""

import re
from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.test import Client
from django.utils import timezone

from diagnosis.tests.api.problems import problem_of
from diagnosis.tokens import ApiToken

SCANS = "/api/v1/scans/"


def ask_with(secret: str, scheme: str = "Bearer"):
    return Client().get(SCANS, headers={"Authorization": f"{scheme} {secret}"})


def made_on_the_page(browser, lifetime: str = "90") -> str:
    page = browser.post("/accounts/token/", {"lifetime": lifetime}).content.decode()
    return re.search(r'value="(xray_[\w-]{43})"', page)[1]


def test_a_person_makes_a_token_on_the_account_page_and_a_program_uses_it(browser):
    assert ask_with(made_on_the_page(browser)).status_code == 200


def test_the_token_is_shown_once_and_no_cache_keeps_it(browser):
    response = browser.post("/accounts/token/", {"lifetime": ""})
    secret = re.search(r"xray_[\w-]{43}", response.content.decode())[0]
    assert "no-store" in response["Cache-Control"]
    assert secret not in browser.get("/accounts/").content.decode()


def test_the_database_holds_nothing_that_opens_the_api(browser):
    secret = made_on_the_page(browser)
    row = ApiToken.objects.values().get()
    assert all(secret not in str(value) for value in row.values())
    assert ask_with(row["digest"]).status_code == 401


def test_a_revoked_token_opens_nothing(browser):
    secret = made_on_the_page(browser)
    page = browser.post("/accounts/token/revoke/", follow=True).content.decode()
    assert "The API token is revoked" in page
    assert "You have none." in page
    problem_of(ask_with(secret), 401, "INVALID_TOKEN")


def test_a_new_token_takes_the_place_of_the_old_one(browser, alice):
    old, new = made_on_the_page(browser), made_on_the_page(browser)
    assert ask_with(old).status_code == 401
    assert ask_with(new).status_code == 200
    assert ApiToken.objects.filter(user=alice).count() == 1


@pytest.mark.parametrize(("lifetime", "days"), [("30", 30), ("365", 365)])
def test_a_token_lasts_as_long_as_was_asked_for(browser, lifetime, days):
    made_on_the_page(browser, lifetime)
    token = ApiToken.objects.get()
    assert token.expires_at - token.created_at == timedelta(days=days)


def test_a_lifetime_that_is_not_offered_makes_no_token(browser):
    assert browser.post("/accounts/token/", {"lifetime": "99999"}).status_code == 422
    assert not ApiToken.objects.exists()


def test_an_expired_token_opens_nothing(alices):
    now = timezone.now()
    ApiToken.objects.update(created_at=now - timedelta(days=2), expires_at=now - timedelta(seconds=1))
    problem_of(alices.get(SCANS), 401, "INVALID_TOKEN")


def test_the_database_refuses_a_token_that_expired_before_it_was_made(alices):
    with pytest.raises(IntegrityError, match="a_token_expires_after_it_was_created"):
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(days=1))


def test_the_token_of_a_person_who_may_not_sign_in_any_more_opens_nothing(alices, alice):
    alice.is_active = False
    alice.save()
    problem_of(alices.get(SCANS), 401, "INVALID_TOKEN")


def test_the_account_page_tells_when_a_token_was_last_used(browser, alice):
    secret = made_on_the_page(browser)
    assert "never" in browser.get("/accounts/").content.decode()
    ask_with(secret)
    assert ApiToken.objects.get().last_used_at is not None
    assert (
        f'datetime="{ApiToken.objects.get().last_used_at:%Y-%m-%dT%H:%M}' in browser.get("/accounts/").content.decode()
    )


def test_a_busy_program_does_not_write_at_every_request(alices, django_assert_num_queries):
    alices.get("/api/v1/model-versions/active/")
    with django_assert_num_queries(2):  # the token with its user, and the version
        alices.get("/api/v1/model-versions/active/")


def test_without_a_token_the_answer_says_how_to_send_one(client, db):
    response = client.get(SCANS)
    problem_of(response, 401, "NOT_AUTHENTICATED")
    assert response["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.parametrize("secret", ["", "xray_wrong", "\xff\xfe", "a b c", "x" * 5000, "\x00"])
def test_what_is_no_token_is_turned_away(db, secret):
    problem_of(ask_with(secret), 401, "INVALID_TOKEN")


def test_another_scheme_is_no_token(alices):
    problem_of(ask_with(alices.secret, "Basic"), 401, "NOT_AUTHENTICATED")


def test_the_scheme_may_be_written_in_small_letters(alices):
    assert ask_with(alices.secret, "bearer").status_code == 200


@pytest.mark.parametrize("method", ["get", "post", "delete"])
def test_being_signed_in_on_the_site_opens_nothing_in_the_api(browser, method):
    problem_of(getattr(browser, method)(SCANS), 401, "NOT_AUTHENTICATED")


def test_a_token_opens_no_page_of_the_site(alices):
    response = alices.get("/scans/")
    assert response.status_code == 302
    assert "/accounts/login/" in response["Location"]


@pytest.mark.parametrize("path", ["/accounts/", "/accounts/token/", "/accounts/token/revoke/"])
def test_the_account_page_is_for_people_who_signed_in(client, db, path):
    response = client.get(path) if path == "/accounts/" else client.post(path)
    assert response.status_code == 302
    assert "/accounts/login/" in response.url


@pytest.mark.parametrize("path", ["/accounts/token/", "/accounts/token/revoke/"])
def test_a_link_alone_makes_and_revokes_nothing(browser, path):
    assert browser.get(path).status_code == 405
    assert not ApiToken.objects.exists()


def test_another_sites_form_makes_no_token(alice):
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post("/accounts/token/", {"lifetime": "30"}).status_code == 403
    assert not ApiToken.objects.exists()


def test_revoking_takes_only_ones_own_token(browser, bobs):
    browser.post("/accounts/token/revoke/")
    assert bobs.get(SCANS).status_code == 200
