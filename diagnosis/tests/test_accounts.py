"""Accounts through the pages: sign up, in, out, change and reset the password, and too many failures."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.urls import reverse

from diagnosis.tests.factories import PASSWORD

pytestmark = pytest.mark.django_db

SIGN_UP, LOG_IN, LOG_OUT = "/accounts/signup/", "/accounts/login/", "/accounts/logout/"
NEW_PASSWORD = "another horse, another battery"


def sign_up(client, **changes):
    fields = {"username": "carol", "email": "carol@example.org", "password1": PASSWORD, "password2": PASSWORD}
    return client.post(SIGN_UP, fields | changes)


def log_in(client, login: str = "alice", password: str = PASSWORD, **fields):
    return client.post(LOG_IN, {"login": login, "password": password, **fields})


def is_signed_in(client) -> bool:
    return "_auth_user_id" in client.session


def test_a_new_person_signs_up_and_is_signed_in(client):
    response = sign_up(client)
    assert response.status_code == 302
    assert response.url == "/scans/"
    assert is_signed_in(client)
    carol = get_user_model().objects.get(username="carol")
    assert carol.email == "carol@example.org"
    assert not carol.is_staff
    assert PASSWORD not in carol.password


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"username": ""}, "This field is required."),
        ({"email": "nowhere"}, "Enter a valid email address."),
        ({"password1": "12345678", "password2": "12345678"}, "This password is too common."),
        ({"password2": "something else"}, "You must type the same password each time."),
        ({"username": "alice"}, "A user with that username already exists."),
    ],
)
def test_a_sign_up_that_lacks_something_is_explained(client, alice, changes, words):
    response = sign_up(client, **changes)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert not is_signed_in(client)
    assert get_user_model().objects.count() == 1


@pytest.mark.parametrize("login", ["alice", "alice@example.org"])
def test_a_person_signs_in_by_name_or_email(client, alice, login):
    response = log_in(client, login)
    assert response.url == "/scans/"
    assert is_signed_in(client)


def test_signing_in_leads_back_to_where_it_was_asked_for(client, alice):
    asked = client.get("/scans/new/")
    page = client.get(asked.url).content.decode()
    assert '<input type="hidden" name="next" value="/scans/new/">' in page
    assert log_in(client, next="/scans/new/").url == "/scans/new/"


def test_signing_in_never_leads_to_another_site(client, alice):
    assert log_in(client, next="https://example.org/").url == "/scans/"


def test_a_wrong_password_does_not_sign_in(client, alice):
    response = log_in(client, password="wrong")
    assert response.status_code == 200
    assert "password you specified are not correct" in response.content.decode()
    assert not is_signed_in(client)


def test_too_many_failures_stop_even_the_right_password(client, alice):
    for _ in range(5):
        log_in(client, password="wrong")
    response = log_in(client)
    assert "Too many failed login attempts. Try again later." in response.content.decode()
    assert not is_signed_in(client)


def test_too_many_sign_ups_are_told_to_wait(client):
    responses = [sign_up(client, email="nowhere") for _ in range(21)]
    assert responses[-1].status_code == 429
    assert "Please wait some minutes" in responses[-1].content.decode()


def test_signing_out_needs_a_click_not_only_a_link(client, alice):
    client.force_login(alice)
    assert client.get(LOG_OUT).status_code == 200
    assert is_signed_in(client)
    response = client.post(LOG_OUT)
    assert response.url == "/"
    assert not is_signed_in(client)


def test_a_person_changes_the_password(client, alice):
    client.force_login(alice)
    form = {"oldpassword": PASSWORD, "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    response = client.post(reverse("account_change_password"), form, follow=True)
    assert "Password successfully changed." in response.content.decode()
    client.post(LOG_OUT)
    log_in(client)
    assert not is_signed_in(client)
    log_in(client, password=NEW_PASSWORD)
    assert is_signed_in(client)


def test_the_old_password_is_needed_for_a_new_one(client, alice):
    client.force_login(alice)
    form = {"oldpassword": "wrong", "password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    response = client.post(reverse("account_change_password"), form)
    assert "Please type your current password." in response.content.decode()
    assert alice.check_password(PASSWORD)


def reset_link(client, mailoutbox) -> str:
    response = client.post(reverse("account_reset_password"), {"email": "alice@example.org"})
    assert response.url == reverse("account_reset_password_done")
    (mail,) = mailoutbox
    assert mail.to == ["alice@example.org"]
    return re.search(r"http://testserver(/accounts/password/reset/key/\S+)", mail.body)[1]


def test_a_forgotten_password_is_reset_by_mail(client, alice, mailoutbox):
    page = client.get(reset_link(client, mailoutbox), follow=True)
    form = {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD}
    done = client.post(page.redirect_chain[-1][0], form, follow=True)
    assert "Your password is changed" in done.content.decode()
    log_in(client, password=NEW_PASSWORD)
    assert is_signed_in(client)


def test_a_reset_link_works_once(client, alice, mailoutbox):
    link = reset_link(client, mailoutbox)
    page = client.get(link, follow=True)
    client.post(page.redirect_chain[-1][0], {"password1": NEW_PASSWORD, "password2": NEW_PASSWORD})
    client.logout()
    again = client.get(link, follow=True).content.decode()
    assert "This link is not valid any more" in again
    assert "password1" not in again


def test_a_reset_tells_nobody_who_has_an_account(client, alice, mailoutbox):
    known = client.post(reverse("account_reset_password"), {"email": "alice@example.org"}, follow=True)
    unknown = client.post(reverse("account_reset_password"), {"email": "nobody@example.org"}, follow=True)
    assert unknown.redirect_chain == known.redirect_chain
    assert [str(message) for message in unknown.context["messages"]] == [
        str(message).replace("alice", "nobody") for message in known.context["messages"]
    ]


def test_an_error_is_tied_to_its_field_for_who_reads_by_ear(client, db):
    page = client.post(
        "/accounts/signup/", {"username": "", "password1": "short", "password2": "short"}
    ).content.decode()
    for field in ("username", "password1"):
        tag = re.search(rf'<input[^>]*name="{field}"[^>]*>', page)[0]
        assert 'aria-invalid="true"' in tag
        described = re.search(r'aria-describedby="([^"]*)"', tag)[1].split()
        assert f"id_{field}_error" in described
        assert all(f'id="{each}"' in page for each in described)
