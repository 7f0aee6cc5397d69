"""Requests that another site's page makes a browser send: refused at every address that writes."""

import pytest

from diagnosis.tests.attackers.doors import ask, doors, undone
from diagnosis.tests.factories import PASSWORD

WRITING = [door for door in doors() if door.method == "POST" and not door.is_api]


def test_a_forged_request_is_refused_everywhere_and_changes_nothing(house, sent, mailoutbox):
    house.sign_all_in()
    before, wrong, tried = house.belongings(), {}, 0
    for door in WRITING:
        for name in filter(door.opens_for, ("anonymous", "owner", "superuser")):
            tried += 1
            with undone():
                response = ask(door, name, house, checks_forgery=True)
                if response.status_code != 403 or b"This form could not be accepted" not in response.content:
                    wrong[f"{door} by {name}"] = response.status_code
                elif house.belongings() != before or "sessionid" in response.cookies:
                    wrong[f"{door} by {name}"] = "changed something"
    assert wrong == {}
    assert mailoutbox == []
    assert tried > 60, "hardly anything was tried"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://testserver.evil.example"])
def test_a_token_does_not_help_a_form_of_another_origin(house, origin):
    browser = house.client_of("owner", checks_forgery=True)
    browser.get("/accounts/")
    sent = {"csrfmiddlewaretoken": browser.cookies["csrftoken"].value, "lifetime": ""}
    assert browser.post("/accounts/token/", sent).status_code == 200
    assert browser.post("/accounts/token/", sent, headers={"Origin": origin}).status_code == 403


def test_other_sites_send_no_cookie_along_and_no_script_reads_the_session(house):
    browser = house.client_of("anonymous")
    browser.get("/accounts/login/")
    browser.post("/accounts/login/", {"login": "bob", "password": PASSWORD})
    session = browser.cookies["sessionid"]
    assert session["httponly"]
    assert session["samesite"] == "Lax"
    assert browser.cookies["csrftoken"]["samesite"] == "Lax"
