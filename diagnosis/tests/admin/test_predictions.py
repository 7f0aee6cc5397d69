"""The list and the page of predictions: what they show, and what is found."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

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
    assert FailureReason.TIMED_OUT.label in text
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


def test_predictions_are_found_by_model_version_and_date(client, rita, mixed):
    other = prediction_at(State.SUCCEEDED, mixed["low"].scan, model_version_of(name="other"))
    Prediction.objects.filter(pk=other.pk).update(requested_at=timezone.now() - timedelta(days=90))
    client.force_login(rita)
    assert shown(client, PREDICTIONS, model_version__id__exact=str(other.model_version.pk)) == {other.pk}
    month_ago = (timezone.now() - timedelta(days=30)).isoformat()
    assert shown(client, PREDICTIONS, requested_at__lt=month_ago) == {other.pk}


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
    response = client.get(PREDICTIONS, {"o": "-4"})
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


def test_a_click_on_an_owner_narrows_the_list_to_them(client, sam, alice, bob):
    for owner in (alice, bob):
        prediction_at(State.SUCCEEDED, scan_of(owner, reference=f"scan of {owner}"))
    client.force_login(sam)
    assert 'href="?owner=alice"' in client.get(PREDICTIONS).text
    rows = client.get(PREDICTIONS, {"owner": "alice"}).context["cl"].result_list
    assert [row.scan.owner for row in rows] == [alice]


def test_reviewed_ones_can_be_listed_whatever_the_verdict(client, sam, alice):
    reviewed, _ = (prediction_at(State.SUCCEEDED, scan_of(alice)) for _ in range(2))
    record_review(prediction=reviewed, reviewer=sam, label="NORMAL")
    client.force_login(sam)
    rows = client.get(PREDICTIONS, {"review": "any"}).context["cl"].result_list
    assert list(rows) == [reviewed]
