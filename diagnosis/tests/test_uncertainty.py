"""Around its operating point a version is uncertain, says so in words, and asks for a human reader."""

import re

import pytest
from django.db import IntegrityError, transaction
from django.urls import reverse

from diagnosis.models import ModelVersion
from diagnosis.states import State
from diagnosis.tests.factories import answer_queued, model_version_of, prediction_at, scan_of

pytestmark = pytest.mark.django_db

WORDS = "Uncertain — ask a human reader"


@pytest.fixture
def banded() -> ModelVersion:
    """The active version, uncertain from 0.3 to 0.6."""
    return model_version_of(name="banded", active=True, threshold=0.4, uncertain_low=0.3, uncertain_high=0.6)


def plain(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


@pytest.mark.parametrize(
    ("low", "high"), [(0.5, 0.6), (0.2, 0.3), (0.6, 0.2), (-0.1, 0.6), (0.3, 1.1), (None, 0.6), (0.3, None)]
)
def test_the_database_refuses_a_band_that_does_not_hold_the_threshold(low, high):
    with pytest.raises(IntegrityError, match="the_uncertain_band_holds_the_threshold"), transaction.atomic():
        model_version_of(threshold=0.4, uncertain_low=low, uncertain_high=high)


@pytest.mark.parametrize(("low", "high"), [(None, None), (0.4, 0.4), (0, 1)])
def test_no_band_a_band_of_one_point_and_the_whole_range_are_bands(low, high):
    assert model_version_of(threshold=0.4, uncertain_low=low, uncertain_high=high).pk


def test_the_database_refuses_doubt_without_an_answer():
    with (
        pytest.raises(IntegrityError, match="only_an_answer_is_uncertain_or_has_a_heatmap"),
        transaction.atomic(),
    ):
        prediction_at(State.FAILED, is_uncertain=True)


@pytest.mark.parametrize(
    ("probability", "is_uncertain"),
    [(0.2999, False), (0.3, True), (0.39, True), (0.4, True), (0.6, True), (0.6001, False)],
)
def test_both_edges_of_the_band_are_uncertain(fake_classifier, banded, probability, is_uncertain):
    fake_classifier.probability = probability
    prediction_at(State.QUEUED)

    (prediction,) = answer_queued()

    assert prediction.is_uncertain is is_uncertain


def test_a_version_without_a_band_is_never_uncertain(fake_classifier, model_version):
    fake_classifier.probability = model_version.threshold
    prediction_at(State.QUEUED)

    (prediction,) = answer_queued()

    assert not prediction.is_uncertain


@pytest.mark.parametrize("probability", [0.35, 0.55, 0.1, 0.9])
def test_page_poll_and_history_say_it_in_words_beside_the_label(browser, alice, banded, probability):
    scan = scan_of(alice)
    prediction = prediction_at(State.SUCCEEDED, scan, banded, probability=probability)
    pages = [reverse(f"diagnosis:{name}", args=[scan.pk]) for name in ("scan_detail", "scan_status")]
    for address in (*pages, "/scans/"):
        text = plain(browser.get(address).content.decode())
        assert (WORDS in text) is (0.3 <= probability <= 0.6)
        assert prediction.get_label_display() in text


def test_the_bar_shows_the_band_around_the_operating_point(browser, alice, banded):
    scan = scan_of(alice)
    prediction_at(State.SUCCEEDED, scan, banded, probability=0.9)
    page = browser.get(scan.get_absolute_url()).content.decode().replace("\N{NO-BREAK SPACE}", " ")

    assert re.search(r'<rect class="bar-band" [^>]*x="300" width="300"', page)
    assert "operating point 40.0 %, uncertain from 30.0 % to 60.0 %" in page


def test_an_earlier_answer_keeps_the_doubt_of_its_own_version(browser, alice, banded):
    scan = scan_of(alice)
    prediction_at(State.SUCCEEDED, scan, banded, probability=0.5)
    prediction_at(State.SUCCEEDED, scan, model_version_of(name="sure"), probability=0.5)
    page = browser.get(scan.get_absolute_url()).content.decode()
    latest, earlier = page.split("Earlier answers")

    assert WORDS not in latest
    assert WORDS in earlier


def test_staff_see_it_and_narrow_the_list_by_it(client, rita, alice, banded):
    unsure = prediction_at(State.SUCCEEDED, scan_of(alice), banded, probability=0.5)
    sure = prediction_at(State.SUCCEEDED, scan_of(alice), banded, probability=0.9)
    client.force_login(rita)

    response = client.get("/admin/diagnosis/prediction/", {"is_uncertain__exact": "1"})
    assert [row.pk for row in response.context["cl"].result_list] == [unsure.pk]
    assert WORDS in response.content.decode()
    for prediction, expected in ((unsure, True), (sure, False)):
        page = client.get(reverse("admin:diagnosis_prediction_change", args=[prediction.pk])).content.decode()
        assert (WORDS in page) is expected
        assert re.search(r'<rect class="chance-band" x="300" width="300"', page)
