"""Giving a scan: what is kept, what is refused, and what the program is told."""

import json
import re
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

import diagnosis
from diagnosis.api.document import REFUSALS
from diagnosis.models import Prediction, RefusedFiles, Scan
from diagnosis.states import State, Trigger
from diagnosis.tests import factories
from diagnosis.tests.api.problems import problem_of
from diagnosis.tests.dicom_files import dicom_file
from diagnosis.tests.pictures import chest_like, encoded

SCANS = "/api/v1/scans/"


def a_file(content: bytes, name: str = "chest.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def an_xray(seed: int = 0, name: str = "chest.png") -> SimpleUploadedFile:
    return a_file(encoded(chest_like(seed=seed), "PNG"), name)


def files_in(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def test_a_new_scan_is_kept_and_its_answer_is_on_its_way(alices, alice, model_version):
    response = alices.post(SCANS, {"image": an_xray(), "reference": "study 7"})
    scan = Scan.objects.get()
    assert response.status_code == 202
    assert response["Location"] == f"http://testserver/api/v1/scans/{scan.pk}/"
    assert int(response["Retry-After"]) >= 1
    assert response.json()["id"] == str(scan.pk)
    assert response.json()["latest_prediction"]["state"] == "QUEUED"
    assert (scan.owner, scan.reference, scan.original_name) == (alice, "study 7", "chest.png")
    prediction = Prediction.objects.get()
    assert (prediction.trigger, prediction.requested_by) == (Trigger.API, alice)


def test_the_workers_are_told_when_the_scan_is_stored(alices, model_version, sent, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        alices.post(SCANS, {"image": an_xray()})
    assert sent == [str(Prediction.objects.get().pk)]


def test_following_the_location_leads_to_the_answer(alices, model_version, fake_classifier):
    posted = alices.post(SCANS, {"image": an_xray()})
    waiting = alices.get(posted["Location"])
    assert waiting.status_code == 200
    assert waiting["Retry-After"]
    factories.answer_queued()
    answered = alices.get(posted["Location"])
    assert "Retry-After" not in answered
    assert answered.json()["latest_prediction"]["state"] == "SUCCEEDED"
    assert answered.json()["latest_prediction"]["label"] == "PNEUMONIA"


def test_without_an_active_model_the_scan_is_kept_and_there_is_nothing_to_wait_for(alices):
    response = alices.post(SCANS, {"image": an_xray()})
    assert response.status_code == 201
    assert response["Location"].endswith(f"{Scan.objects.get().pk}/")
    assert "Retry-After" not in response
    assert response.json()["latest_prediction"] is None


def test_the_same_file_again_leads_to_the_scan_that_is_there_unchanged(alices, model_version, media):
    first = alices.post(SCANS, {"image": an_xray(), "reference": "first"})
    again = alices.post(SCANS, {"image": an_xray(name="renamed.png"), "reference": "second"})
    assert again.status_code == 200
    assert again["Location"] == first["Location"]
    assert again["Retry-After"], "it is still being read"
    assert again.json() == first.json()
    assert Scan.objects.count() == Prediction.objects.count() == 1
    assert len(files_in(media)) == 3


def test_the_same_file_after_its_answer_brings_the_answer_at_once(alices, model_version, fake_classifier):
    alices.post(SCANS, {"image": an_xray()})
    factories.answer_queued()
    again = alices.post(SCANS, {"image": an_xray()})
    assert again.status_code == 200
    assert "Retry-After" not in again
    assert again.json()["latest_prediction"]["state"] == "SUCCEEDED"


def test_the_same_file_of_another_person_is_another_scan(alices, bobs, model_version):
    alices.post(SCANS, {"image": an_xray()})
    assert bobs.post(SCANS, {"image": an_xray()}).status_code == 202
    assert Scan.objects.count() == 2


def test_a_scan_given_on_the_page_is_known_to_the_api_too(browser, alices, model_version):
    browser.post("/scans/new/", {"image": an_xray()})
    response = alices.post(SCANS, {"image": an_xray()})
    assert response.status_code == 200
    assert response.json()["latest_prediction"]["trigger"] == "UPLOAD"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "EMPTY", "empty"),
        (b"This is not a picture.", "NOT_A_PICTURE", "not a picture"),
        (b"%PDF-1.7 and so on", "UNSUPPORTED_FORMAT", "PDF"),
        (encoded(chest_like(), "PNG")[:500], "DAMAGED", "damaged"),
        (encoded(chest_like(40, 40), "PNG"), "TOO_SMALL", "40 × 40"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isupper() else "",
)
def test_a_refused_file_has_its_code_and_its_sentence_and_leaves_nothing_behind(
    alices, model_version, media, content, code, words
):
    problem = problem_of(alices.post(SCANS, {"image": a_file(content)}), 422, code)
    assert words in problem["detail"]
    assert problem["instance"] == SCANS
    assert not Scan.objects.exists()
    assert files_in(media) == []


@pytest.mark.parametrize(
    ("elements", "code"),
    [
        ({"Modality": "CT"}, "WRONG_MODALITY"),
        ({"BodyPartExamined": "HAND"}, "WRONG_BODY_PART"),
        ({"ViewPosition": "LL"}, "NOT_FRONTAL"),
        ({"PixelData": None}, "NO_PIXELS"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_dicom_file_is_a_problem_with_its_code(alices, model_version, media, elements, code):
    name = "Doe^Jane.dcm"
    problem = problem_of(alices.post(SCANS, {"image": a_file(dicom_file(**elements), name)}), 422, code)
    assert "Doe" not in json.dumps(problem)
    assert files_in(media) == []


def test_a_refused_file_is_counted_for_the_dashboard(alices, model_version):
    alices.post("/api/v1/scans/", {"image": SimpleUploadedFile("letter.jpg", b"Dear colleague")})
    assert list(RefusedFiles.objects.values_list("code", "files")) == [("NOT_A_PICTURE", 1)]


def test_the_document_names_every_code_that_a_file_is_refused_with():
    root = Path(diagnosis.__file__).parent
    files = ("intake.py", "headers.py", "refusals.py", "decoding/*.py", "dicom/*.py")
    sources = [source for pattern in files for source in root.glob(pattern)]
    codes = {code for source in sources for code in re.findall(r'Refusal\(\s*"([A-Z_]+)"', source.read_text())}
    assert len(codes) > 15
    assert codes - {"TOO_LARGE"} == set(re.findall(r"[A-Z]+(?:_[A-Z]+)*[A-Z]", REFUSALS)) - {"INVALID", "DICOM"}


def test_a_dicom_file_is_kept_with_its_facts_and_a_name_of_ours(alices, model_version):
    data = dicom_file(PatientAge="061Y", ImagerPixelSpacing=[0.2, 0.2], PatientName="Doe^Jane")
    response = alices.post(SCANS, {"image": a_file(data, "Doe^Jane.dcm")})
    assert response.status_code == 202
    scan = response.json()
    assert scan["original_name"] == f"DICOM {scan['sha256'][:8]}"
    assert "Doe" not in response.content.decode()
    assert scan["dicom"] == {
        "modality": "CR",
        "view_position": "PA",
        "photometric_interpretation": "MONOCHROME2",
        "row_spacing": 0.2,
        "column_spacing": 0.2,
        "patient_age": 61,
    }


def test_what_a_dicom_file_does_not_say_is_null_and_another_picture_has_no_facts(alices, model_version):
    silent = alices.post(SCANS, {"image": a_file(dicom_file(Modality=None, ViewPosition=None), "1")}).json()
    assert silent["dicom"] == {
        "modality": "CR",  # its class says so
        "view_position": None,
        "photometric_interpretation": "MONOCHROME2",
        "row_spacing": None,
        "column_spacing": None,
        "patient_age": None,
    }
    assert alices.post(SCANS, {"image": an_xray()}).json()["dicom"] is None


def test_while_the_storage_is_away_the_program_is_told_when_to_try_again(alices, model_version, media, monkeypatch):
    def refuse(*_args, **_options):
        raise OSError("no space left on device")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.save", refuse)
    response = alices.post(SCANS, {"image": an_xray()})
    problem_of(response, 503, "STORAGE_AWAY")
    assert int(response["Retry-After"]) > 0
    assert not Scan.objects.exists()


def test_too_large_a_file_is_413(alices, settings, media):
    settings.INTAKE_MAX_BYTES = 1000
    problem_of(alices.post(SCANS, {"image": an_xray()}), 413, "TOO_LARGE")
    assert files_in(media) == []


def test_far_too_large_a_request_is_413_before_it_is_read(alices):
    response = alices.client.post(
        SCANS, b"", "multipart/form-data; boundary=x", headers=alices.headers, CONTENT_LENGTH=str(10**10)
    )
    problem = problem_of(response, 413, "TOO_LARGE")
    assert " 25 MB" in problem["detail"]


def test_a_request_without_a_picture_names_the_field(alices):
    problem = problem_of(alices.post(SCANS, {"reference": "study 7"}), 422, "INVALID")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("image", "REQUIRED")]


def test_a_request_without_a_body_names_the_field_too(alices):
    response = alices.client.generic("POST", SCANS, headers=alices.headers)
    assert problem_of(response, 422, "INVALID")["errors"][0]["field"] == "image"


def test_a_picture_sent_as_text_is_no_picture(alices):
    problem = problem_of(alices.post(SCANS, {"image": "chest.png"}), 422, "INVALID")
    assert problem["errors"][0]["field"] == "image"


def test_too_long_a_reference_keeps_nothing(alices, media):
    problem = problem_of(alices.post(SCANS, {"image": an_xray(), "reference": "r" * 101}), 422, "INVALID")
    assert [(error["field"], error["code"]) for error in problem["errors"]] == [("reference", "MAX_LENGTH")]
    assert files_in(media) == []


def test_a_misspelt_field_is_named_instead_of_ignored(alices):
    problem = problem_of(alices.post(SCANS, {"image": an_xray(), "refrence": "study 7"}), 422, "INVALID")
    assert problem["errors"][0]["field"] == "refrence"
    assert not Scan.objects.exists()


def test_two_pictures_in_one_request_are_refused_instead_of_one_being_dropped(alices):
    problem = problem_of(alices.post(SCANS, {"image": [an_xray(1), an_xray(2)]}), 422, "INVALID")
    assert problem["errors"][0]["field"] == "image"
    assert not Scan.objects.exists()


@pytest.mark.parametrize("content_type", ["application/json", "image/png", "application/x-www-form-urlencoded", ""])
def test_a_body_that_is_no_form_with_a_file_is_415(alices, content_type):
    body = json.dumps({"image": "AAAA"})
    problem_of(alices.client.post(SCANS, body, content_type, headers=alices.headers), 415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_broken_form_is_400(alices):
    response = alices.client.post(SCANS, b"nonsense", "multipart/form-data", headers=alices.headers)
    problem_of(response, 400, "PARSE_ERROR")


def test_a_form_with_endless_fields_is_400_in_the_same_shape(alices):
    problem_of(alices.post(SCANS, {f"field{number}": "x" for number in range(1100)}), 400, "BAD_REQUEST")


def test_nothing_of_the_files_name_but_its_last_part_is_kept(alices, model_version):
    alices.post(SCANS, {"image": an_xray(name="C:\\patients\\../../etc/chest.png")})
    assert Scan.objects.get().original_name == "chest.png"


def test_an_upload_needs_no_csrf_token_because_no_browser_sends_the_token_by_itself(alice, alices, model_version):
    alices.client.handler.enforce_csrf_checks = True
    assert alices.post(SCANS, {"image": an_xray()}).status_code == 202
    assert Prediction.objects.get().state == State.QUEUED
