"""The history: one's own scans, newest first, found again by filter, in a constant number of queries."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from diagnosis import history
from diagnosis.expressions import holds
from diagnosis.models import Prediction, Scan
from diagnosis.states import State
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of
from diagnosis.views import SCANS_PER_PAGE

LIST = "/scans/"


def names(response) -> list[str]:
    """Give the original names on the page, in its order."""
    assert response.status_code == 200
    return [scan.original_name for scan in response.context["page"]]


def shown(browser, **query) -> list[str]:
    return names(browser.get(LIST, query))


def on(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, 12, tzinfo=UTC)


def test_a_new_person_is_led_to_the_upload(browser):
    page = browser.get(LIST).content.decode()
    assert "No scans yet" in page
    assert page.count('href="/scans/new/"') >= 2
    assert '<form method="get"' not in page


def test_the_newest_scan_comes_first(browser, alice):
    for days, name in ((1, "newer"), (3, "oldest"), (0, "newest")):
        scan_of(alice, original_name=name, created_at=timezone.now() - timedelta(days=days))
    assert shown(browser) == ["newest", "newer", "oldest"]


def test_each_sees_only_their_own_scans_staff_too(client, alice, bob, rita, sam):
    for person in (alice, bob, rita, sam):
        scan_of(person, original_name=f"of-{person.username}")
    for person in (alice, bob, rita, sam):
        client.force_login(person)
        assert shown(client) == [f"of-{person.username}"]


def test_an_answered_scan_shows_label_and_confidence_a_failed_one_no_number(browser, alice):
    prediction_at(State.SUCCEEDED, scan_of(alice, original_name="a"), probability=0.031)
    card = browser.get(LIST).content.decode()
    assert re.search(r'badge-normal">Normal<', card)
    assert "96.9\N{NO-BREAK SPACE}% confident" in card
    Scan.objects.all().delete()
    prediction_at(State.FAILED, scan_of(alice, original_name="b"))
    card = browser.get(LIST).content.decode()
    assert "Not answered" in card
    assert "confident" not in card


@pytest.mark.parametrize("state", State)
def test_the_list_looks_again_only_while_something_is_open(browser, alice, state):
    prediction_at(state, scan_of(alice))
    assert ("hx-trigger" in browser.get(LIST).content.decode()) is (state in (State.QUEUED, State.RUNNING))


def test_search_finds_name_and_reference_whatever_the_case(browser, alice):
    scan_of(alice, original_name="IM-0115.jpeg")
    scan_of(alice, original_name="other.png", reference="Follow-up of im-0115")
    scan_of(alice, original_name="third.png", reference="Ward 4")
    assert set(shown(browser, q="im-0115")) == {"IM-0115.jpeg", "other.png"}
    assert shown(browser, q="ward") == ["third.png"]
    assert shown(browser, q="  Ward 4 ") == ["third.png"]


def test_a_per_cent_sign_is_searched_for_as_it_is(browser, alice):
    scan_of(alice, original_name="a.png")
    scan_of(alice, original_name="100%.png")
    assert shown(browser, q="%") == ["100%.png"]


NAMES = {
    "IM-0115-0001.jpeg": "",
    "im-0115-0002.JPEG": "Ward 4, bed 12",
    "100%_of it.png": "it's \\'quoted\\' \\",
    "100 percent_.png": "a & b | !c:* <-> (d)",
    "abcdefXabcdeg.png": "bcdefg",
    "Äußere-Aufnahme.png": "肺の写真その一",
    "x" * 200 + "END": "  two  spaces  ",
    "a.b": "\U0001fac1\U0001fac1\U0001fac1\U0001fac1\U0001fac1\U0001fac1",
}
SOUGHT = [
    *["0115", "im-0115", "IM-0115-0001", "0001.JPEG", "-0115-0003", "ward 4, BED", "ward  4"],
    *["100%_of", "100%_o_", "100%%%", "______", "t_.png", "it's \\'", "\\'quoted\\' \\", "\\\\\\\\\\\\", ""],
    *["a & b | !c:*", "<-> (d)", "100 & percent", "abcdefg", "abcdeg", "bcdefx", "Äußere", "äußere-auf", "AUFNAHME"],
    *[
        "肺の写真その一",
        "肺の写真その二",
        "x" * 99,
        "x" * 100 + "e",
        "x" * 100,
        "  two  ",
        "two  spaces",
        "\U0001fac1" * 6,
    ],
]


@pytest.mark.parametrize("word", SOUGHT)
def test_long_and_short_words_are_found_wherever_a_comparison_of_all_names_finds_them(alice, word):
    for name, reference in NAMES.items():
        scan_of(alice, original_name=name, reference=reference)
    compared = Scan.objects.filter(Q(original_name__icontains=word) | Q(reference__icontains=word))
    assert set(Scan.objects.filter(holds(word))) == set(compared)
    predictions = {prediction_at(State.QUEUED, scan) for scan in compared}
    assert set(Prediction.objects.filter(holds(word, to_scan="scan__"))) == predictions


def test_some_of_the_words_are_found_and_some_are_not(alice):
    for name, reference in NAMES.items():
        scan_of(alice, original_name=name, reference=reference)
    found = [Scan.objects.filter(holds(word)).exists() for word in SOUGHT]
    assert found.count(True) > len(SOUGHT) / 2
    assert found.count(False) > 5


def test_a_long_word_is_searched_for_together_with_the_other_filters(browser, alice, bob):
    for owner, name, label in ((alice, "ill", 0.9), (alice, "well", 0.1), (bob, "of another", 0.9)):
        prediction_at(State.SUCCEEDED, scan_of(owner, original_name=f"IM-0115 {name}"), probability=label)
    assert shown(browser, q="im-0115", label="PNEUMONIA") == ["IM-0115 ill"]
    assert shown(browser, q="im-0115", label="NORMAL") == ["IM-0115 well"]
    assert shown(browser, q="im-0115 of", label="PNEUMONIA") == []


def test_the_label_filter_goes_by_the_latest_answer(browser, alice):
    changed = scan_of(alice, original_name="changed")
    prediction_at(State.SUCCEEDED, changed, model_version_of(), probability=0.9)
    prediction_at(State.SUCCEEDED, changed, model_version_of(), probability=0.1)
    prediction_at(State.SUCCEEDED, scan_of(alice, original_name="ill"), probability=0.9)
    prediction_at(State.QUEUED, scan_of(alice, original_name="open"))
    assert shown(browser, label="NORMAL") == ["changed"]
    assert shown(browser, label="PNEUMONIA") == ["ill"]


@pytest.mark.parametrize("state", State)
def test_the_state_filter_keeps_that_state(browser, alice, state):
    for each in State:
        prediction_at(each, scan_of(alice, original_name=each.value))
    assert shown(browser, state=state) == [state.value]


def test_the_dates_of_the_filter_belong_to_it(browser, alice):
    for day in (1, 2, 3):
        scan_of(alice, original_name=str(day), created_at=on(2026, 5, day))
    assert shown(browser, since="2026-05-02") == ["3", "2"]
    assert shown(browser, until="2026-05-02") == ["2", "1"]
    assert shown(browser, since="2026-05-02", until="2026-05-02") == ["2"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ({"since": "2026-13-45"}, "Enter a valid date."),
        ({"until": "yesterday"}, "Enter a valid date."),
        ({"label": "HEALTHY"}, "Select a valid choice."),
        ({"state": "BROKEN"}, "Select a valid choice."),
        ({"q": "a\0b"}, "Null characters are not allowed."),
        ({"since": "2026-05-02", "until": "2026-05-01"}, "This day is before the first one."),
    ],
)
def test_a_filter_that_makes_no_sense_is_explained(browser, alice, query, error):
    scan_of(alice)
    response = browser.get(LIST, query)
    assert response.status_code == 200
    assert error in response.content.decode()


def test_a_wrong_date_does_not_undo_the_rest_of_the_filter(browser, alice):
    scan_of(alice, original_name="a")
    scan_of(alice, original_name="b")
    assert shown(browser, q="b", since="nonsense") == ["b"]


def test_a_filter_that_finds_nothing_offers_to_clear_it(browser, alice):
    scan_of(alice)
    page = browser.get(LIST, {"q": "nowhere"}).content.decode()
    assert "Nothing found" in page
    assert 'href="/scans/">Show all my scans' in page
    assert 'value="nowhere"' in page


def test_pages_hold_a_fixed_number_and_keep_the_filter(browser, alice):
    for number in range(SCANS_PER_PAGE + 1):
        scan_of(alice, original_name=f"ward-{number}")
    scan_of(alice, original_name="other")
    first = browser.get(LIST, {"q": "ward", "state": ""})
    assert len(names(first)) == SCANS_PER_PAGE
    link = re.search(r'rel="next" href="([^"]+)"', first.content.decode())[1].replace("&amp;", "&")
    second = browser.get(f"{LIST}{link}")
    assert names(second) == ["ward-0"]
    assert 'value="ward"' in second.content.decode()


@pytest.mark.parametrize(
    "mark", ["0", "-1", "99", "two", "", "after_t0_" + "0" * 32, "before_t9_x", "after_f0.5_" + "0" * 32]
)
def test_a_page_that_is_not_there_still_shows_a_page(browser, alice, mark):
    scan_of(alice, original_name="a")
    assert shown(browser, page=mark) == ["a"]


def test_the_answers_by_month_are_drawn_and_told_in_a_table(browser, alice):
    for month, probability in ((3, 0.9), (3, 0.1), (5, 0.1)):
        prediction_at(State.SUCCEEDED, scan_of(alice, created_at=on(2026, month, 2)), probability=probability)
    prediction_at(State.FAILED, scan_of(alice, created_at=on(2026, 5, 2)))
    prediction_at(State.QUEUED, scan_of(alice, created_at=on(2026, 6, 2)))
    scan_of(alice)

    response = browser.get(LIST)

    graph = response.context["graph"]
    assert graph.rows == [["Mar 2026", "1", "1", "0"], ["Apr 2026", "0", "0", "0"], ["May 2026", "1", "0", "1"]]
    assert [graph.columns[0], *(series.name for series in graph.series)] == graph.columns
    page = response.content.decode()
    assert '<canvas data-graph="by-month-data" role="img" aria-label="Answers by month. ' in page
    assert '<th scope="row">Mar 2026</th><td>1</td><td>1</td><td>0</td>' in page


@pytest.mark.parametrize("state", [State.QUEUED, State.FAILED])
def test_nothing_is_drawn_where_there_is_no_answer(browser, alice, state):
    prediction_at(state, scan_of(alice))
    page = browser.get(LIST).content.decode()
    assert "data-graph" not in page
    assert "chart.min.js" not in page


def test_nothing_is_drawn_beside_what_was_searched_for(browser, alice):
    prediction_at(State.SUCCEEDED, scan_of(alice, original_name="ward"))
    assert browser.get(LIST).context["graph"] is not None
    assert browser.get(LIST, {"q": "ward"}).context["graph"] is None


def test_the_graph_is_of_ones_own_newest_scans_and_two_years_at_most(browser, alice, bob, monkeypatch):
    prediction_at(State.SUCCEEDED, scan_of(bob))
    assert browser.get(LIST).context["graph"] is None
    for year in (2020, 2025, 2026):
        prediction_at(State.SUCCEEDED, scan_of(alice, created_at=on(year, 1, 2)))
    graph = browser.get(LIST).context["graph"]
    assert (graph.labels[0], graph.labels[-1], len(graph.labels)) == ("Feb 2024", "Jan 2026", 24)
    monkeypatch.setattr(history, "MOST_SCANS", 1)
    assert browser.get(LIST).context["graph"].labels == ["Jan 2026"]


def test_the_number_of_queries_does_not_grow_with_the_scans(browser, alice):
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            browser.get(LIST)
        return len(captured)

    def answered(count: int) -> None:
        for _ in range(count):
            prediction_at(State.SUCCEEDED, scan_of(alice))

    answered(2)
    few = queries()
    answered(28)
    assert queries() == few


def test_a_hostile_search_is_only_text(browser, alice):
    scan_of(alice, original_name="<script>alert(1)</script>")
    page = browser.get(LIST, {"q": "<script>alert(1)</script>"}).content.decode()
    assert "<script>alert" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
