"""A picture that is no frontal chest X-ray gets NOT_A_CHEST_XRAY, and no number anywhere."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image

from diagnosis.models import Prediction, Scan
from diagnosis.states import FailureReason, State
from diagnosis.tests.factories import answer_queued, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, colourful, encoded

pytestmark = pytest.mark.django_db


@pytest.fixture
def refused(alice, fake_classifier) -> Prediction:
    """A prediction that the model refused, though it had a number to say."""
    fake_classifier.probability, fake_classifier.is_chest_xray = 0.8731, False
    prediction_at(State.QUEUED, scan_of(alice))
    (prediction,) = answer_queued()
    return prediction


def upload(browser, picture: Image.Image, **options) -> Scan:
    file = SimpleUploadedFile("holiday.png", encoded(picture, "PNG", **options))
    assert browser.post("/scans/new/", {"image": [file]}).status_code == 302
    return Scan.objects.get()


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_worker_stores_the_code_and_neither_number_nor_heatmap(refused, media):
    assert (refused.state, refused.reason) == (State.FAILED, FailureReason.NOT_A_CHEST_XRAY)
    assert (refused.label, refused.probability, refused.threshold, refused.heatmap.name) == ("", None, None, "")
    assert not (media / "heatmaps").exists()


def test_no_page_shows_the_number_that_the_model_had(browser, rita, client, refused):
    pages = [
        browser.get(reverse(f"diagnosis:{name}", args=[refused.scan_id])) for name in ("scan_detail", "scan_status")
    ]
    pages.append(browser.get("/scans/"))
    client.force_login(rita)
    pages += [
        client.get(reverse("admin:diagnosis_prediction_change", args=[refused.pk])),
        client.get("/admin/diagnosis/prediction/"),
        client.get(reverse("admin:diagnosis_scan_change", args=[refused.scan_id])),
    ]
    for page in pages:
        assert page.status_code == 200
        text = page.content.decode()
        assert not re.search(r"87[.,]3|0[.,]873|12[.,]7\D", text)
        assert "confident" not in text
        assert "data-probability" not in text


def test_the_page_says_what_it_means_and_what_to_do(browser, refused):
    page = browser.get(reverse("diagnosis:scan_status", args=[refused.scan_id])).content.decode()
    text = words(page)

    assert 'data-reason="NOT_A_CHEST_XRAY"' in page
    assert "not a frontal chest X-ray" in text
    assert "This is no medical finding" in text
    assert "Most photographs" in text
    assert "Reason: NOT_A_CHEST_XRAY" in text
    assert "Upload the frontal chest X-ray itself" in text
    assert 'href="/scans/new/"' in page


def test_the_history_names_it(browser, refused):
    assert "Not a chest X-ray" in browser.get("/scans/").content.decode()


def test_a_colour_photograph_ends_with_the_same_code_and_is_shown_to_no_model(browser, model_version, fake_classifier):
    scan = upload(browser, colourful())

    (prediction,) = answer_queued()

    assert (scan.is_colour, prediction.reason) == (True, FailureReason.NOT_A_CHEST_XRAY)
    assert fake_classifier.pictures == []
    page = browser.get(scan.get_absolute_url()).content.decode()
    assert 'data-reason="NOT_A_CHEST_XRAY"' in page


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_a_grey_picture_in_a_colour_format_is_read(browser, model_version, fake_classifier, mode):
    scan = upload(browser, chest_like(300, 260).convert(mode))

    (prediction,) = answer_queued()

    assert (scan.is_colour, prediction.state) == (False, State.SUCCEEDED)
