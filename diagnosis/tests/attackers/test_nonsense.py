"""Values that make no sense, in addresses and in forms: an answer, and never a fault of ours."""

from collections.abc import Iterator

import pytest
from django.core.cache import cache

from diagnosis.tests.attackers.doors import Door, address_of, ask, doors, sent_to, undone

NONSENSE = ("\0", "NaN", "9" * 400 + "'/../\u202e{{7*7}}")
# What the pages read from an address.
READ = (
    *("q", "page", "label", "state", "since", "until", "show", "version", "after", "before", "days", "heatmap"),
    *("beside", "seen", "center", "width", "next", "limit", "cursor", "reference", "given_after", "script"),
)
# What the lists of the admin read; they stop at the first value that they can't make sense of.
LISTS_READ = (
    *("q", "o", "p", "page", "all", "probability", "review", "requested_from", "actor", "owner", "state__exact"),
    *("scan__owner__id__exact", "latest_prediction__state", "created_at__gte", "id__exact", "_to_field"),
)


def queries(door: Door, nonsense: str) -> Iterator[dict[str, str]]:
    """Give what to ask `door` for."""
    yield dict.fromkeys(READ, nonsense)
    if door.route.startswith("admin/diagnosis/") and door.route.count("/") == 3:
        yield from ({name: nonsense} for name in LISTS_READ)


def opener_of(door: Door) -> str:
    return next(filter(door.opens_for, ("superuser", "owner", "anonymous")), "owner")


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda value: ascii(value)[:20])
def test_nonsense_in_an_address_is_no_fault_of_ours(house, nonsense):
    wrong, tried = {}, 0
    for door in doors():
        if door.method != "GET" or "dashboard/now/" in door.route or "report" in door.route:  # they take their time
            continue
        name = opener_of(door)
        browser = house.client_of("anonymous" if door.is_api else name)
        headers = house.bearer_of(name) if door.is_api else {}
        for query in queries(door, nonsense):
            tried += 1
            with undone():
                response = browser.get(address_of(door.route, house), query, headers=headers)
                if response.streaming:
                    response.getvalue()
            if response.status_code >= 500 and str(response.status_code) != door.answer_for(name):
                wrong[f"{door} {list(query)}"] = response.status_code
    assert wrong == {}
    assert tried > 150


@pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda value: ascii(value)[:20])
def test_nonsense_in_a_form_is_no_fault_of_ours(house, sent, mailoutbox, nonsense):
    house.sign_all_in()
    wrong = {}
    for door in doors():
        if door.method != "POST":
            continue
        cache.clear()
        fields = sent_to(door.route, house)
        with undone():
            response = ask(door, opener_of(door), house, data=dict.fromkeys(fields, nonsense) | {"next": nonsense})
        if response.status_code >= 500:
            wrong[str(door)] = response.status_code
    assert wrong == {}


@pytest.mark.parametrize(
    "path",
    [
        "/models/%00/",
        "/models/..%2f..%2fsettings/",
        "/scans/%00/",
        "/scans/00000000-0000-0000-0000-00000000000g/",
        "/admin/diagnosis/scan/%00/change/",
        "/admin/diagnosis/scan/1_27/change/",
        "/admin/auth/user/%00/change/",
        "/admin/auth/user/99999999999999999999999/change/",
        "/admin/auth/user/x/password/",
        "/admin/r/%00/1/",
        "/admin/r/999999999999999999999/1/",
        "/admin/diagnosis/modelversion/99999999999999999999/activate/",
        "/admin/diagnosis/prediction/%00/review/",
        "/accounts/confirm-email/%00/",
        "/accounts/password/reset/key/zzzzzzzzzzzzzzzzzzzzzz-1/",
        "/accounts/password/reset/key/1-%00/",
        "/static/%00",
        "/static/..%2f..%2fsecret_key",
        "/%ff%fe/",
        "/api/v1/scans/%00/",
        "/api/v1/model-versions/%00/",
    ],
)
def test_an_address_of_nonsense_leads_nowhere(house, path):
    for name in ("anonymous", "superuser"):
        response = house.client_of(name).get(path, follow=True)
        assert response.status_code in (200, 400, 404, 405), name
        assert "Traceback" not in response.text
