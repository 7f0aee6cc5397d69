"""The list and the page of predictions: what they show, and what is found."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlencode

import pytest
from django.urls import reverse
from django.utils import timezone

from diagnosis.admin.filters import OwnerFilter, RequestedFilter
from diagnosis.models import Prediction
from diagnosis.services import record_review
from diagnosis.states import FailureReason, State, Trigger
from diagnosis.tests.admin.pages import (
    METRICS,
    PREDICTIONS,
    SCANS,
    TRAINING,
    VERSIONS,
    activate_address,
    page_of,
    shown,
    text_at,
)
from diagnosis.tests.factories import model_version_of, person, prediction_at, scan_of

OWNER = OwnerFilter.parameter_name


# Reading
def test_a_reviewer_sees_the_list_the_page_and_the_pictures(client, rita, answered):
    client.force_login(rita)
    listed = text_at(client, PREDICTIONS)
    assert "97.3 %" in listed
    assert "alice" in listed
    page = text_at(client, page_of(answered))
    for view in ("scan_picture", "scan_thumbnail"):
        response = client.get(reverse(f"diagnosis:{view}", args=[answered.scan.pk]))
        assert response.status_code == 200
        assert b"".join(response.streaming_content)
    assert reverse("diagnosis:scan_thumbnail", args=[answered.scan.pk]) in listed
    assert reverse("diagnosis:scan_picture", args=[answered.scan.pk]) in page


def test_the_page_shows_all_predictions_of_the_scan(client, rita, answered):
    newer = prediction_at(State.SUCCEEDED, answered.scan, model_version_of(name="second"), probability=0.125)
    client.force_login(rita)
    text = text_at(client, page_of(answered))
    assert page_of(newer) in text
    assert "12.5 %" in text


def test_a_failed_prediction_shows_its_reason_and_no_number(client, rita, alice):
    failed = prediction_at(State.FAILED, scan_of(alice), reason=FailureReason.TIMED_OUT)
    client.force_login(rita)
    text = text_at(client, page_of(failed))
    assert str(FailureReason.TIMED_OUT.label) in text
    assert '<svg class="chance"' not in text
    assert not re.search(r"\d %", text)


def test_no_page_of_ours_has_inline_styles_or_scripts(client, sam, answered):
    record_review(prediction=answered, reviewer=sam, label="NORMAL", note="a note")
    other = model_version_of(metadata={"metrics": METRICS, "training": TRAINING})
    client.force_login(sam)
    scan_page = reverse("admin:diagnosis_scan_change", args=[answered.scan.pk])
    version_page = reverse("admin:diagnosis_modelversion_change", args=[other.pk])
    for address in (PREDICTIONS, page_of(answered), SCANS, scan_page, VERSIONS, version_page, activate_address(other)):
        text = text_at(client, address)
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script>", text), address


# Finding
@pytest.fixture
def mixed(alice, bob, rita) -> dict[str, Prediction]:
    """Give predictions on both sides of the operating point 0.5, one that failed and one that waits."""
    rows = {
        name: prediction_at(State.SUCCEEDED, scan_of(alice), probability=probability)
        for name, probability in {"low": 0.05, "ten": 0.1, "below": 0.45, "above": 0.55, "ninety": 0.9}.items()
    }
    rows["failed"] = prediction_at(State.FAILED, scan_of(bob, reference="Right lung", original_name="scan-7.png"))
    rows["waiting"] = prediction_at(State.QUEUED, scan_of(bob), trigger=Trigger.COMMAND)
    # Of several reviews the newest stands.
    record_review(prediction=rows["low"], reviewer=rita, label="PNEUMONIA")
    record_review(prediction=rows["low"], reviewer=rita, label="NORMAL")
    record_review(prediction=rows["above"], reviewer=rita, label="PNEUMONIA")
    record_review(prediction=rows["above"], reviewer=rita, label="NORMAL")
    return rows


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"probability": "under-10"}, "low"),
        ({"probability": "10-50"}, "ten below"),
        ({"probability": "50-90"}, "above"),
        ({"probability": "over-90"}, "ninety"),
        ({"probability": "near"}, "below above"),
        ({"probability": "nonsense"}, "low ten below above ninety failed waiting"),
        ({"review": "none"}, "ten below ninety"),
        ({"review": "missing"}, "ten below ninety failed waiting"),
        ({"review": "any"}, "low above"),
        ({"review": "agreed"}, "low"),
        ({"review": "corrected"}, "above"),
        ({"state__exact": "FAILED"}, "failed"),
        ({"label__exact": "PNEUMONIA"}, "above ninety"),
        ({"trigger__exact": "COMMAND"}, "waiting"),
        ({"q": "bob"}, "failed waiting"),
        ({"q": "right"}, "failed"),
        ({"q": "scan-7"}, "failed"),
    ],
)
def test_predictions_are_found(client, rita, mixed, query, expected):
    client.force_login(rita)
    assert shown(client, PREDICTIONS, **query) == {mixed[name].pk for name in expected.split()}


def test_a_whole_user_name_finds_that_persons_rows_alone_and_in_quotes_all_that_hold_it(client, rita, alice, bob):
    own, note = (
        prediction_at(State.SUCCEEDED, scan_of(bob)),
        prediction_at(State.FAILED, scan_of(alice, reference="bob's")),
    )
    client.force_login(rita)
    for address, rows in ((PREDICTIONS, (own, note)), (SCANS, (own.scan, note.scan))):
        mine, both = rows[0].pk, {row.pk for row in rows}
        assert shown(client, address, q="bob") == {mine}
        assert shown(client, address, q='"bob"') == both
        assert shown(client, address, q="bo") == both


def test_predictions_are_found_by_model_version(client, rita, mixed):
    other = prediction_at(State.SUCCEEDED, mixed["low"].scan, model_version_of(name="other"))
    client.force_login(rita)
    assert shown(client, PREDICTIONS, model_version__id__exact=str(other.model_version.pk)) == {other.pk}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"requested_from": "2026-02-30"}, "Enter a valid date."),
        ({"requested_to": "<script>"}, "Enter a valid date."),
        ({"requested_from": "2026-03-02", "requested_to": "2026-03-01"}, "The last day lies before the first."),
    ],
    ids=str,
)
def test_days_that_make_no_sense_find_nothing_and_are_explained(client, rita, mixed, query, words):
    client.force_login(rita)
    assert shown(client, PREDICTIONS, **query) == set()
    assert words in text_at(client, f"{PREDICTIONS}?{urlencode(query)}")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"requested_from": "2026-03-01"}, "first last later"),
        ({"requested_to": "2026-03-01"}, "earlier first last"),
        ({"requested_from": "2026-03-01", "requested_to": "2026-03-01"}, "first last"),
        ({"requested_from": "", "requested_to": ""}, "earlier first last later"),
        ({"requested_from": "0001-01-01", "requested_to": "9999-12-31"}, "earlier first last later"),
    ],
    ids=str,
)
def test_predictions_are_found_by_days_both_included(client, rita, alice, query, expected):
    moments = {
        "earlier": datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC),
        "first": datetime(2026, 3, 1, tzinfo=UTC),
        "last": datetime(2026, 3, 1, 23, 59, 59, 999_999, tzinfo=UTC),
        "later": datetime(2026, 3, 2, tzinfo=UTC),
    }
    rows = {name: prediction_at(State.FAILED, scan_of(alice), requested_at=at) for name, at in moments.items()}
    client.force_login(rita)
    assert shown(client, PREDICTIONS, **query) == {rows[name].pk for name in expected.split()}


def test_the_usual_days_are_one_click_away_and_keep_what_else_was_chosen(client, rita, mixed):
    Prediction.objects.filter(pk=mixed["low"].pk).update(requested_at=timezone.now() - timedelta(days=9))
    client.force_login(rita)
    page = client.get(PREDICTIONS, {"state__exact": "SUCCEEDED", "p": "1"})
    (filtered,) = (spec for spec in page.context["cl"].filter_specs if isinstance(spec, RequestedFilter))
    links = {choice["display"]: choice["query_string"] for choice in filtered.choices(page.context["cl"])}
    assert filtered.kept == [("state__exact", "SUCCEEDED")]
    query = {name: value for name, (value,) in parse_qs(links["Past 7 days"].removeprefix("?")).items()}
    assert shown(client, PREDICTIONS, **query) == {mixed[name].pk for name in ("ten", "below", "above", "ninety")}


def test_an_owners_name_leads_to_that_owners_predictions_alone(client, rita, bob, mixed):
    client.force_login(rita)
    address = f"{PREDICTIONS}?{OWNER}={bob.pk}"
    assert f'<a href="{address}">bob</a>' in text_at(client, PREDICTIONS)
    assert f'<a href="{address}">bob</a>' in text_at(client, page_of(mixed["failed"]))
    assert shown(client, address) == {mixed["failed"].pk, mixed["waiting"].pk}
    assert shown(client, PREDICTIONS, **{OWNER: str(bob.pk), "state__exact": "FAILED"}) == {mixed["failed"].pk}


def test_the_chosen_owner_is_named_and_can_be_let_go(client, rita, bob, mixed):
    client.force_login(rita)
    chosen = text_at(client, f"{PREDICTIONS}?{OWNER}={bob.pk}&state__exact=FAILED&p=1")
    assert "Only scans of <strong>bob</strong>" in chosen
    assert '<a href="?state__exact=FAILED">Show all owners</a>' in chosen
    for query in ("", f"?{OWNER}="):
        assert "Only scans of" not in text_at(client, f"{PREDICTIONS}{query}")


@pytest.mark.parametrize("owner", ["999999", "9" * 30, "-1", "bob", "²"])
def test_an_unknown_owner_has_no_predictions(client, rita, mixed, owner):
    client.force_login(rita)
    assert shown(client, PREDICTIONS, **{OWNER: owner}) == set()


def test_no_other_column_of_the_owner_narrows_the_list(client, rita, mixed):
    client.force_login(rita)
    assert client.get(PREDICTIONS, {"scan__owner__password__startswith": "md5"}).status_code == 400


def test_a_whole_id_finds_exactly_its_row(client, rita, mixed):
    client.force_login(rita)
    wanted = mixed["failed"]
    assert shown(client, PREDICTIONS, q=f" {wanted.pk} ") == {wanted.pk}
    assert shown(client, PREDICTIONS, q=wanted.scan.pk.hex) == {wanted.pk}
    assert shown(client, SCANS, q=str(wanted.scan.pk)) == {wanted.scan.pk}
    assert shown(client, SCANS, q=str(wanted.pk)) == {wanted.scan.pk}
    assert shown(client, PREDICTIONS, q="00000000-0000-0000-0000-000000000000") == set()


def test_the_list_says_what_the_reviews_said_and_sorts_by_probability(client, sam, mixed):
    client.force_login(sam)
    response = client.get(PREDICTIONS, {"o": "-5"})
    rows = list(response.context["cl"].result_list)
    assert [row.probability for row in rows[:5]] == [0.9, 0.55, 0.45, 0.1, 0.05]
    assert "Corrected to Normal" in response.text
    assert "Agreed" in response.text


@pytest.mark.parametrize("address", [PREDICTIONS, SCANS])
def test_a_list_takes_the_same_number_of_queries_for_any_number_of_rows(
    client, sam, alice, address, django_assert_max_num_queries
):
    def add(owner):
        prediction = prediction_at(State.SUCCEEDED, scan_of(owner))
        record_review(prediction=prediction, reviewer=sam, label="NORMAL")

    client.force_login(sam)
    add(alice)
    client.get(address)
    with django_assert_max_num_queries(100) as few:
        client.get(address)
    for number in range(8):
        add(person(f"owner-{number}"))
    with django_assert_max_num_queries(len(few)):
        assert len(shown(client, address)) == 9


def test_the_page_of_a_scan_takes_the_same_number_of_queries_for_any_history(
    client, sam, answered, django_assert_max_num_queries
):
    client.force_login(sam)
    addresses = (page_of(answered), reverse("admin:diagnosis_scan_change", args=[answered.scan.pk]))
    for address in addresses:
        client.get(address)
    with django_assert_max_num_queries(100) as few:
        for address in addresses:
            client.get(address)
    for number in range(5):
        prediction_at(State.SUCCEEDED, answered.scan, model_version_of(name=f"version-{number}"))
    with django_assert_max_num_queries(len(few)):
        for address in addresses:
            assert "version-4" in text_at(client, address)
