"""A new password locks out whoever was in by the old one, on whatever device and in whatever program."""

import re

import pytest
from django.contrib.auth import authenticate
from django.core.management import call_command

from diagnosis.tests.attackers.people import House
from diagnosis.tests.factories import PASSWORD

NEW = "another horse, another battery"
PAIR = {"password1": NEW, "password2": NEW}


def changed_on_the_page(house: House, browser, mailoutbox, monkeypatch) -> None:
    browser.post("/accounts/password/change/", {"oldpassword": PASSWORD, **PAIR})


def reset_by_mail(house: House, browser, mailoutbox, monkeypatch) -> None:
    stranger = house.client_of("anonymous")
    stranger.post("/accounts/password/reset/", {"email": house.people["owner"].email})
    link = re.search(r"http://testserver(/\S+)", mailoutbox[0].body)[1]
    page = stranger.get(link, follow=True)
    stranger.post(page.redirect_chain[-1][0], PAIR)


def set_by_a_superuser(house: House, browser, mailoutbox, monkeypatch) -> None:
    address = f"/admin/auth/user/{house.people['owner'].pk}/password/"
    house.client_of("superuser").post(address, {**PAIR, "usable_password": "true"})


def set_by_the_command(house: House, browser, mailoutbox, monkeypatch) -> None:
    monkeypatch.setattr("getpass.getpass", lambda prompt: NEW)
    call_command("changepassword", "alice")


WAYS = [changed_on_the_page, reset_by_mail, set_by_a_superuser, set_by_the_command]


@pytest.mark.parametrize("change", WAYS)
def test_a_new_password_ends_the_sessions_on_all_other_devices(house, mailoutbox, monkeypatch, change):
    browser, phone, bobs = house.client_of("owner"), house.client_of("owner"), house.client_of("stranger")
    assert phone.get("/scans/").status_code == 200

    change(house, browser, mailoutbox, monkeypatch)

    assert authenticate(None, username="alice", password=NEW), "the password was not changed"
    assert phone.get("/scans/").url == "/accounts/login/?next=/scans/"
    assert browser.get("/scans/").status_code == (200 if change is changed_on_the_page else 302)
    assert bobs.get("/scans/").status_code == 200


@pytest.mark.parametrize("change", WAYS)
def test_a_new_password_revokes_the_token_which_whoever_was_in_may_have_made(house, mailoutbox, monkeypatch, change):
    client = house.client_of("anonymous")
    assert client.get("/api/v1/scans/", headers=house.bearer_of("owner")).status_code == 200

    change(house, house.client_of("owner"), mailoutbox, monkeypatch)

    assert client.get("/api/v1/scans/", headers=house.bearer_of("owner")).status_code == 401
    assert client.get("/api/v1/scans/", headers=house.bearer_of("stranger")).status_code == 200
    events = house.people["owner"]
    page = house.client_of("owner")
    events.refresh_from_db()
    page.force_login(events)
    assert (
        "An API token was revoked" in page.get("/accounts/events/").text
        or "token" in page.get("/accounts/events/").text
    )


def test_a_stronger_hash_of_the_same_password_is_no_new_password(house, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher", *settings.PASSWORD_HASHERS]
    browser = house.client_of("anonymous")
    before = house.people["owner"].password

    browser.post("/accounts/login/", {"login": "alice", "password": PASSWORD})

    house.people["owner"].refresh_from_db()
    assert house.people["owner"].password != before, "it was not hashed anew"
    assert browser.get("/api/v1/scans/", headers=house.bearer_of("owner")).status_code == 200


def test_signing_in_gives_a_session_of_a_new_name(house):
    browser = house.client_of("anonymous")
    browser.post("/language/", {"language": "es"})
    browser.session.save()
    browser.cookies["sessionid"] = planted = "0" * 32
    browser.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    assert browser.cookies["sessionid"].value != planted
    assert browser.get("/scans/").status_code == 200


def test_what_was_signed_out_is_over_also_for_who_copied_the_cookie(house):
    browser = house.client_of("owner")
    copied = browser.cookies["sessionid"].value
    browser.post("/accounts/logout/")
    thief = house.client_of("anonymous")
    thief.cookies["sessionid"] = copied
    assert thief.get("/scans/").status_code == 302


def test_who_is_locked_out_is_out_at_once(house):
    browser = house.client_of("owner")
    house.people["owner"].is_active = False
    house.people["owner"].save()
    assert browser.get("/scans/").status_code == 302
