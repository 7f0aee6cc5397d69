"""Addresses of other sites, handed to whatever leads somewhere; and a host's name that is not ours."""

import re

import pytest
from django.core.cache import cache

from diagnosis.tests.attackers.doors import undone
from diagnosis.tests.factories import PASSWORD

ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "///evil.example",
    "/\\evil.example/",
    "\\\\evil.example",
    "https:evil.example",
    "http:///evil.example",
    "https://testserver@evil.example/",
    "https://testserver.evil.example/",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    " //evil.example",
    "\t//evil.example",
    "/\t/evil.example",
    "ftp://testserver/",
)
NEW = {"password1": "another horse, another battery", "password2": "another horse, another battery"}

# Form → what is sent, and whether by somebody who is signed in.
FORMS = {
    "/accounts/login/": ({"login": "bob", "password": PASSWORD}, "anonymous"),
    "/accounts/signup/": ({"username": "carol", "email": "carol@example.org", **NEW}, "anonymous"),
    "/accounts/logout/": ({}, "owner"),
    "/accounts/reauthenticate/": ({"password": PASSWORD}, "owner"),
    "/accounts/password/change/": ({"oldpassword": PASSWORD, **NEW}, "owner"),
    "/accounts/email/": ({"action_add": "", "email": "new@example.org"}, "owner"),
    "/accounts/token/revoke/": ({}, "owner"),
    "/accounts/preferences/": ({"language": "es"}, "owner"),
    "/language/": ({"language": "es"}, "anonymous"),
    "/dashboard/count/": ({}, "superuser"),
    "/admin/password_change/": (
        {"old_password": PASSWORD, "new_password1": NEW["password1"], "new_password2": NEW["password1"]},
        "superuser",
    ),
}


def is_ours(address: str) -> bool:
    """Tell whether a browser that follows `address` stays on the site."""
    return bool(re.match(r"(http://testserver)?/(?![/\\])", address)) and not re.search(r"[\t\n\r\\]", address)


@pytest.mark.parametrize("address", FORMS)
def test_no_form_leads_to_another_site(house, sent, address):
    fields, who = FORMS[address]
    led = {}
    for elsewhere in ELSEWHERE:
        with undone():
            led[elsewhere] = house.client_of(who).post(
                address,
                {**fields, "next": elsewhere},
                query_params={"next": elsewhere},
                headers={"Referer": elsewhere.strip()},
            )
        cache.clear()
    assert {response.status_code for response in led.values()} == {302}, "it was not accepted, so it proves nothing"
    assert {elsewhere: response.url for elsewhere, response in led.items() if not is_ours(response.url)} == {}


@pytest.mark.parametrize("address", ["/accounts/login/", "/accounts/signup/", "/accounts/logout/", "/admin/login/"])
@pytest.mark.parametrize("who", ["anonymous", "owner", "superuser"])
def test_no_page_leads_to_another_site(house, address, who):
    for elsewhere in ELSEWHERE:
        response = house.client_of(who).get(address, {"next": elsewhere})
        if response.status_code == 302:
            assert is_ours(response.url), elsewhere
        else:
            links = re.findall(r'(?:href|action)="([^"]*)"', response.text)
            assert not [link for link in links if link.startswith(elsewhere)], elsewhere


def test_a_verdict_leads_to_the_next_case_of_this_site_whatever_its_address_says(house):
    address = (
        f"/review/{house.prediction.pk}/?next=//evil.example&after=//evil.example&version=//evil.example&show=//evil"
    )
    response = house.client_of("reviewer").post(address, {"label": "NORMAL", "next": "//evil.example"})
    assert response.status_code == 302
    assert re.match("/review/", response.url)
    assert "evil" not in response.url


@pytest.mark.parametrize(
    "path", ["//evil.example/scans", "//evil.example/%2e%2e", "/\\evil.example/scans", "//evil.example/admin"]
)
def test_a_missing_slash_leads_to_no_other_site(house, path):
    response = house.client_of("superuser").get(path.replace("\\", "%5C"))
    assert response.status_code == 404 or is_ours(response.url)


@pytest.mark.parametrize("host", ["evil.example", "testserver.evil.example", "testserver:80@evil.example", "", "a b"])
def test_another_hosts_name_is_refused_before_anything_is_done(client, alice, mailoutbox, host):
    headers = {"Host": host}
    response = client.post("/accounts/password/reset/", {"email": alice.email}, headers=headers)
    assert response.status_code == 400
    assert mailoutbox == []
    if host:
        assert host not in response.text


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-Host": "evil.example"},
        {"Forwarded": "host=evil.example"},
        {"X-Host": "evil.example"},
        {"X-Original-URL": "https://evil.example/"},
        {"X-Forwarded-Server": "evil.example"},
        {"Origin": "https://evil.example", "Referer": "https://evil.example/"},
    ],
)
def test_the_mail_for_a_new_password_leads_to_this_site_whatever_a_header_says(client, alice, mailoutbox, headers):
    response = client.post("/accounts/password/reset/", {"email": alice.email}, headers=headers)
    assert response.status_code == 302
    (mail,) = mailoutbox
    assert "evil" not in mail.body
    assert re.findall(r"https?://([^/\s]+)", mail.body) == ["testserver"] * mail.body.count("://")


def test_a_header_makes_no_address_of_another_site_for_programs(house):
    headers = house.bearer_of("owner") | {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "javascript"}
    response = house.client_of("anonymous").get("/api/v1/scans/", headers=headers)
    assert response.status_code == 200
    assert "evil" not in response.text
    assert "http://testserver/" in response.text
