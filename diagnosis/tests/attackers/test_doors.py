"""Every way into the site, knocked at by every kind of person: the table of doors, and that it is whole."""

from django.core.cache import cache

from diagnosis.tests.attackers.doors import Door, address_of, ask, doors, routes, said, undone
from diagnosis.tests.attackers.people import NAMES
from diagnosis.tokens import ApiToken

# Where a thing belongs to somebody, a stranger is not told that it is there.
OF_SOMEBODY = ("<uuid:scan_id>", "<uuid:prediction_id>", "<uuid:upload_id>")
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


def test_no_address_of_the_url_conf_is_left_out():
    known, there = {door.route for door in doors()}, set(routes())
    assert there - known == set(), "say in table.txt who gets what there"
    assert known - there == set(), "these are gone"


def test_each_person_is_answered_as_the_table_says_and_who_is_refused_changes_nothing(house, sent, mailoutbox):
    house.sign_all_in()
    before, wrong = house.belongings(), {}
    for door in doors():
        for name in NAMES:
            cache.clear()  # they are many visits for one minute
            with undone():
                answer = said(ask(door, name, house))
                if answer != door.answer_for(name):
                    wrong[f"{door} by {name}"] = f"{answer}, not {door.answer_for(name)}"
                elif not door.opens_for(name) and house.belongings() != before:
                    wrong[f"{door} by {name}"] = "changed something"
    assert wrong == {}


def test_what_the_table_does_not_name_is_no_method_of_the_address(house):
    house.sign_all_in()
    wrong = {}
    for route in sorted(set(routes())):
        named = {door.method for door in doors() if door.route == route}
        # Django's and allauth's views take every method that is not POST for GET.
        others = {"GET", "POST"} if route.startswith(("admin/", "accounts/")) else METHODS
        for method in sorted(others - named):
            for name in ("owner", "superuser"):
                with undone():
                    answer = said(ask(Door(route, method, ()), name, house))
                if answer not in ("405", "404"):
                    wrong[f"{method} /{route} by {name}"] = answer
    assert wrong == {}


def test_a_stranger_is_answered_as_if_it_were_not_there():
    of_somebody = [door for door in doors() if any(name in door.route for name in OF_SOMEBODY)]
    assert len(of_somebody) >= 20
    assert {door.answer_for("anonymous") for door in of_somebody} == {"in", "401"}
    assert {door.answer_for("stranger") for door in of_somebody} == {"404"}


def test_programs_get_nothing_with_a_revoked_token_nor_with_that_of_who_is_locked_out(house):
    alice, client = house.people["owner"], house.client_of("owner")
    revoked = house.bearer_of("owner")
    house.secrets["owner"] = ApiToken.objects.issue(user=alice, lifetime=None)[1]
    closed = [door for door in doors() if door.is_api and door.answer_for("anonymous") == "401"]
    assert len(closed) > 10

    def answers(headers: dict) -> set[int]:
        return {
            getattr(client, door.method.lower())(address_of(door.route, house), headers=headers).status_code
            for door in closed
        }

    assert answers(revoked) == {401}
    alice.is_active = False
    alice.save()
    assert answers(house.bearer_of("owner")) == {401}
