"""A poor picture is answered all the same, and the page says in words what is poor."""

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from diagnosis.models import Scan
from diagnosis.quality import sentences
from diagnosis.states import State
from diagnosis.tests.factories import answer_queued, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded
from ml.quality import QualityIssue

pytestmark = pytest.mark.django_db


def said(issue: QualityIssue) -> str:
    return sentences([issue])[issue]


def words(client, address: str) -> str:
    return client.get(address).content.decode().replace("&#x27;", "'")


@pytest.mark.parametrize("issue", QualityIssue)
def test_every_issue_has_a_sentence_of_its_own_for_the_reader(issue):
    assert "picture" in said(issue)
    assert said(issue).endswith(".")
    assert len({said(other) for other in QualityIssue}) == len(QualityIssue)


@pytest.mark.parametrize(
    "codes", ["TOO_SMALL", {"TOO_SMALL": 1}, ["TOO_SMALL", "TOO_SMALL"], ["UGLY"], [3], [["CLIPPED"]]], ids=repr
)
def test_what_is_no_list_of_known_codes_is_refused(alice, codes):
    scan = scan_of(alice)
    scan.quality_issues = codes
    with pytest.raises(ValidationError) as caught:
        scan.full_clean()
    assert list(caught.value.message_dict) == ["quality_issues"]


@pytest.mark.parametrize("codes", [[], ["TOO_SMALL"], ["TOO_SMALL", "CLIPPED", "LOW_CONTRAST"]])
def test_a_list_of_known_codes_is_accepted(alice, codes):
    scan = scan_of(alice, quality_issues=codes)
    scan.full_clean()
    assert len(scan.quality_sentences) == len(codes)


def test_a_code_of_another_version_of_the_software_is_passed_over(alice):
    assert scan_of(alice, quality_issues=["UGLY", "CLIPPED"]).quality_sentences == [said(QualityIssue.CLIPPED)]


def test_a_small_picture_is_answered_and_the_page_says_that_it_is_small(browser, model_version, fake_classifier):
    file = SimpleUploadedFile("small.png", encoded(chest_like(120, 100), "PNG"))
    browser.post("/scans/new/", {"image": [file]})
    scan = Scan.objects.get()
    answer_queued()

    assert scan.quality_issues == ["TOO_SMALL"]
    for name in ("scan_detail", "scan_status"):
        text = words(browser, reverse(f"diagnosis:{name}", args=[scan.pk]))
        assert said(QualityIssue.TOO_SMALL) in text
        assert "120 × 100 pixels" in text
        assert 'data-label="PNEUMONIA"' in text


def test_a_good_picture_has_no_such_words(browser, alice):
    scan = scan_of(alice)
    prediction_at(State.SUCCEEDED, scan)
    assert "The picture itself is poor" not in words(browser, scan.get_absolute_url())


def test_staff_read_it_beside_the_scan_and_beside_the_prediction(client, rita, alice):
    scan = scan_of(alice, quality_issues=["LOW_CONTRAST", "CLIPPED"])
    prediction = prediction_at(State.SUCCEEDED, scan)
    client.force_login(rita)
    for address in (
        reverse("admin:diagnosis_scan_change", args=[scan.pk]),
        reverse("admin:diagnosis_prediction_change", args=[prediction.pk]),
    ):
        text = words(client, address).replace("&#39;", "'")
        for issue in (QualityIssue.CLIPPED, QualityIssue.LOW_CONTRAST):
            assert said(issue) in text
