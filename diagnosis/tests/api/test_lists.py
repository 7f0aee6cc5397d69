"""The list of scans: filters, pages by cursor, and what it costs."""

from datetime import timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnosis.states import State
from diagnosis.tests.api.problems import problem_of
from diagnosis.tests.factories import prediction_at, scan_of

SCANS = "/api/v1/scans/"
NOW = timezone.now().replace(microsecond=0)


def references(response) -> list[str]:
    assert response.status_code == 200, response.content
    return [scan["reference"] for scan in response.json()["results"]]


def days_ago(days: int) -> str:
    return (NOW - timedelta(days=days)).isoformat()


@pytest.fixture
def scans(alice, model_version):
    """Scans "0", of today, to "4", of four days ago: two answered, one waiting, one failed, one never asked."""
    scans = [scan_of(alice, reference=str(number), created_at=NOW - timedelta(days=number)) for number in range(5)]
    prediction_at(State.SUCCEEDED, scans[0], probability=0.9)
    prediction_at(State.SUCCEEDED, scans[1], probability=0.1)
    prediction_at(State.QUEUED, scans[2])
    prediction_at(State.FAILED, scans[3])
    return scans


def test_scans_are_listed_newest_first(alices, scans):
    assert references(alices.get(SCANS)) == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "SUCCEEDED"}, ["0", "1"]),
        ({"state": "FAILED"}, ["3"]),
        ({"label": "PNEUMONIA"}, ["0"]),
        ({"label": "NORMAL", "state": "SUCCEEDED"}, ["1"]),
        ({"since": days_ago(1)}, ["0", "1"]),
        ({"until": days_ago(1)}, ["2", "3", "4"]),
        ({"since": days_ago(3), "until": days_ago(1)}, ["2", "3"]),
        ({"reference": "2"}, ["2"]),
        ({"reference": "nothing"}, []),
        ({"owner": "alice", "state": "QUEUED"}, ["2"]),
        ({"owner": "bob"}, []),
    ],
)
def test_a_filter_keeps_what_was_asked_for(alices, scans, query, expected):
    assert references(alices.get(SCANS, **query)) == expected


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"state": "DONE"}, "state"),
        ({"label": "pneumonia"}, "label"),
        ({"since": "yesterday"}, "since"),
        ({"since": days_ago(1), "until": days_ago(2)}, "until"),
        ({"reference": "\x00"}, "reference"),
        ({"page_size": "0"}, "page_size"),
        ({"page_size": "100000"}, "page_size"),
        ({"lable": "NORMAL"}, "lable"),
        ({"state": ["QUEUED", "FAILED"]}, "state"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "cD1ub25zZW5zZQ=="}, "cursor"),  # p=nonsense
        ({"cursor": "\xe9"}, "cursor"),
        ({"cursor": ""}, "cursor"),
        ({"cursor": "cD0yMDI2LTAxLTAxKzAwJTNBMDA="}, "cursor"),  # a moment without a time zone
        ({"cursor": "cD0wMDAxLTAxLTAxVDAwJTNBMDAlMkIxNCUzQTAw"}, "cursor"),  # a moment before the first year
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
    ],
)
def test_a_filter_that_can_not_be_meant_is_an_error_and_never_every_row(alices, scans, query, field):
    problem = problem_of(alices.get(SCANS, **query), 422, "INVALID")
    assert [error["field"] for error in problem["errors"]] == [field]


def test_pages_lead_through_all_rows_once_and_back(alices, scans):
    seen, page = [], alices.get(SCANS, page_size=2)
    while True:
        seen += references(page)
        following = page.json()["next"]
        if not following:
            break
        page = alices.get(SCANS, **dict(parse_qsl(urlsplit(following).query)))
    assert seen == ["0", "1", "2", "3", "4"]
    before = alices.get(SCANS, **dict(parse_qsl(urlsplit(page.json()["previous"]).query)))
    assert references(before) == ["2", "3"]


def test_pages_keep_their_filter(alices, scans):
    following = alices.get(SCANS, page_size=1, state="SUCCEEDED").json()["next"]
    assert references(alices.get(SCANS, **dict(parse_qsl(urlsplit(following).query)))) == ["1"]


def test_a_scan_that_comes_in_meanwhile_shifts_no_page(alices, alice, scans):
    following = alices.get(SCANS, page_size=2).json()["next"]
    scan_of(alice, reference="new", created_at=NOW + timedelta(seconds=1))
    assert references(alices.get(SCANS, **dict(parse_qsl(urlsplit(following).query)))) == ["2", "3"]


def test_scans_of_the_same_moment_are_all_listed(alices, alice, model_version):
    for number in range(5):
        scan_of(alice, reference=str(number), created_at=NOW)
    seen, page = [], alices.get(SCANS, page_size=2)
    while following := page.json()["next"]:
        seen += references(page)
        page = alices.get(SCANS, **dict(parse_qsl(urlsplit(following).query)))
    assert sorted(seen + references(page)) == ["0", "1", "2", "3", "4"]


def test_a_page_counts_no_rows_and_asks_no_row_for_more(alices, alice, model_version):
    for number in range(6):
        prediction_at(State.SUCCEEDED, scan_of(alice, reference=str(number)), has_heatmap=True)
    alices.get(SCANS)
    with CaptureQueriesContext(connection) as few:
        alices.get(SCANS, page_size=2)
    with CaptureQueriesContext(connection) as many:
        assert len(references(alices.get(SCANS))) == 6
    assert len(few) == len(many)
    assert not any("COUNT" in query["sql"].upper() for query in many)
    assert not any('"metadata"' in query["sql"] for query in many)


def test_a_stranger_lists_nothing_of_others(bobs, scans):
    assert references(bobs.get(SCANS)) == []


def test_staff_who_may_view_scans_list_all_and_narrow_them_to_one_owner(ritas, rita, scans):
    scan_of(rita, reference="own")
    assert len(references(ritas.get(SCANS))) == 6
    assert references(ritas.get(SCANS, owner="rita")) == ["own"]
