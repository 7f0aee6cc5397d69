"""Reading scans and answers: what they tell, and to whom."""

import uuid

import pytest

from diagnosis import services
from diagnosis.models import Scan
from diagnosis.states import OPEN_STATES, FailureReason, State
from diagnosis.tests.api.problems import problem_of
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of


@pytest.fixture
def scan(alice, model_version):
    return scan_of(alice, reference="study 7", quality_issues=["LOW_CONTRAST", "OF_ANOTHER_VERSION"])


def path_of(scan, prediction=None, more: str = "") -> str:
    path = f"/api/v1/scans/{scan.pk}/"
    return f"{path}predictions/{prediction.pk}/{more}" if prediction else path + more


def test_a_scan_tells_all_that_its_page_does(alices, scan):
    prediction_at(State.SUCCEEDED, scan, probability=0.9, has_heatmap=True)
    told = alices.get(path_of(scan)).json()
    assert told["id"] == str(scan.pk)
    assert (told["reference"], told["owner"], told["sha256"]) == ("study 7", "alice", scan.sha256)
    assert [issue["code"] for issue in told["quality_issues"]] == ["LOW_CONTRAST"]
    assert "contrast" in told["quality_issues"][0]["sentence"]
    assert told["page_url"] == f"http://testserver/scans/{scan.pk}/"
    assert told["latest_prediction"]["label"] == "PNEUMONIA"


def test_an_answer_comes_with_its_number_its_version_its_limits(alices, scan, model_version):
    prediction = prediction_at(State.SUCCEEDED, scan, probability=0.2, has_heatmap=True)
    told = alices.get(path_of(scan, prediction)).json()
    assert (told["state"], told["label"]) == ("SUCCEEDED", "NORMAL")
    assert told["probability"] == pytest.approx(0.2)
    assert told["confidence"] == pytest.approx(0.8)
    assert told["threshold"] == 0.5
    assert told["uncertain"] is False
    assert told["failure"] is None
    assert told["model_version"]["sha256"] == model_version.sha256
    assert told["model_version"]["card_url"] == f"http://testserver/models/{model_version.sha256}/"
    assert [issue["code"] for issue in told["quality_issues"]] == ["LOW_CONTRAST"]
    assert told["heatmap_url"] == f"http://testserver{path_of(scan, prediction, 'heatmap/')}"
    assert "Not a medical device" in told["disclaimer"]


def test_an_uncertain_answer_says_so(alices, alice):
    version = model_version_of(uncertain_low=0.4, uncertain_high=0.6)
    prediction = prediction_at(State.SUCCEEDED, scan_of(alice), version, probability=0.55)
    assert alices.get(path_of(prediction.scan, prediction)).json()["uncertain"] is True


def test_a_refusal_has_a_code_and_a_sentence_and_no_number(alices, scan):
    prediction = prediction_at(State.FAILED, scan, reason=FailureReason.NOT_A_CHEST_XRAY)
    told = alices.get(path_of(scan, prediction)).json()
    assert told["state"] == "FAILED"
    assert told["failure"]["code"] == "NOT_A_CHEST_XRAY"
    assert told["failure"]["sentence"] == FailureReason.NOT_A_CHEST_XRAY.label
    for field in ("label", "probability", "confidence", "threshold", "heatmap_url"):
        assert told[field] is None


def test_an_answer_that_nobody_reviewed_says_so(alices, scan):
    prediction = prediction_at(State.SUCCEEDED, scan)
    assert alices.get(path_of(scan, prediction)).json()["review"] is None


def test_the_newest_review_stands_with_the_answer_without_the_readers_name(alices, rita, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, probability=0.9)
    services.record_review(prediction=prediction, reviewer=rita, label="PNEUMONIA")
    services.record_review(prediction=prediction, reviewer=rita, label="NORMAL", note="only a shadow")
    response = alices.get(path_of(scan, prediction))
    assert response.json()["review"]["label"] == "NORMAL"
    assert response.json()["review"]["agrees"] is False
    assert "rita" not in response.content.decode()


@pytest.mark.parametrize("state", State)
def test_what_has_ended_names_its_report_and_that_is_there(alices, scan, state):
    told = alices.get(path_of(scan, prediction_at(state, scan))).json()
    if state in OPEN_STATES:
        assert told["report_url"] is None
    else:
        assert alices.get(told["report_url"])["Content-Type"] == "application/pdf"


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_an_open_answer_says_when_to_ask_again(alices, scan, state):
    prediction = prediction_at(state, scan)
    for path in (path_of(scan), path_of(scan, prediction)):
        assert int(alices.get(path)["Retry-After"]) >= 1


def test_all_answers_on_a_scan_are_listed_newest_first(alices, scan):
    old = prediction_at(State.SUCCEEDED, scan, probability=0.2)
    new = prediction_at(State.SUCCEEDED, scan, model_version_of(), probability=0.8)
    listed = alices.get(path_of(scan, more="predictions/")).json()["results"]
    assert [each["id"] for each in listed] == [str(new.pk), str(old.pk)]
    assert [each["label"] for each in listed] == ["PNEUMONIA", "NORMAL"]


def test_the_picture_and_the_heatmap_can_be_downloaded(alices, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    told = alices.get(path_of(scan)).json()
    for address, stored in (
        (told["picture_url"], scan.picture),
        (told["latest_prediction"]["heatmap_url"], prediction.heatmap),
    ):
        response = alices.get(address)
        assert response["Content-Type"] == "image/png"
        assert "private" in response["Cache-Control"]
        with stored.open() as file:
            assert b"".join(response) == file.read()


def test_a_file_that_is_missing_is_said_to_be(alices, scan):
    scan.picture.storage.delete(scan.picture.name)
    problem_of(alices.get(path_of(scan, more="picture/")), 404, "FILE_MISSING")


def test_an_answer_without_a_heatmap_has_none_to_download(alices, scan):
    prediction = prediction_at(State.SUCCEEDED, scan)
    problem_of(alices.get(path_of(scan, prediction, "heatmap/")), 404, "NO_HEATMAP")


def paths_of_all(scan, prediction) -> list[str]:
    parts = ("", "picture/", "predictions/", f"predictions/{prediction.pk}/", f"predictions/{prediction.pk}/heatmap/")
    return [path_of(scan, more=part) for part in parts]


def test_a_stranger_is_told_the_same_as_of_a_scan_that_does_not_exist(bobs, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    for path in paths_of_all(scan, prediction):
        strange = problem_of(bobs.get(path), 404, "NOT_FOUND")
        missing = problem_of(bobs.get(path.replace(str(scan.pk), str(uuid.uuid4()))), 404, "NOT_FOUND")
        assert strange["detail"] == missing["detail"]
    problem_of(bobs.delete(path_of(scan)), 404, "NOT_FOUND")
    assert Scan.objects.filter(pk=scan.pk).exists()


def test_staff_who_may_view_scans_read_them_all(ritas, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    for path in paths_of_all(scan, prediction):
        response = ritas.get(path)
        assert response.status_code == 200
        assert b"".join(response)


def test_a_prediction_is_found_under_its_own_scan_only(alices, alice, scan):
    prediction = prediction_at(State.SUCCEEDED, scan)
    problem_of(alices.get(path_of(scan_of(alice), prediction)), 404, "NOT_FOUND")


def test_the_owner_deletes_a_scan_with_all_its_files(alices, scan, media, django_capture_on_commit_callbacks):
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    with django_capture_on_commit_callbacks(execute=True):
        response = alices.delete(path_of(scan))
    assert (response.status_code, response.content) == (204, b"")
    assert [path for path in media.rglob("*") if path.is_file()] == []
    problem_of(alices.get(path_of(scan)), 404, "NOT_FOUND")
    problem_of(alices.delete(path_of(scan)), 404, "NOT_FOUND")


def test_staff_see_a_scan_of_others_and_may_not_delete_it(ritas, scan):
    problem_of(ritas.delete(path_of(scan)), 403, "PERMISSION_DENIED")
    assert Scan.objects.filter(pk=scan.pk).exists()


def test_the_active_version_and_all_others_are_told_with_their_cards(alices, model_version):
    model_version_of(name="newer")
    active = alices.get("/api/v1/model-versions/active/").json()
    assert (active["sha256"], active["is_active"]) == (model_version.sha256, True)
    assert alices.client.get(active["card_url"]).status_code == 200
    assert alices.get(active["url"]).json() == active
    listed = alices.get("/api/v1/model-versions/").json()["results"]
    assert [version["name"] for version in listed] == ["newer", "tiny"]


def test_no_active_version_has_a_code_of_its_own(alices):
    problem_of(alices.get("/api/v1/model-versions/active/"), 404, "NO_ACTIVE_MODEL")


def test_no_cache_keeps_what_was_told(alices, scan):
    assert alices.get(path_of(scan))["Cache-Control"] == "no-store"


def test_no_other_sites_page_is_allowed_to_read_the_api(alices, scan):
    headers = alices.headers | {"Origin": "https://elsewhere.example"}
    response = alices.client.get(path_of(scan), headers=headers)
    assert [name for name in response.headers if name.lower().startswith("access-control")] == []


def test_a_finished_prediction_has_a_report_and_an_open_one_says_that_it_is_too_early(alices, bobs, alice):
    prediction = prediction_at(State.SUCCEEDED, scan_of(alice))
    path = f"/api/v1/scans/{prediction.scan_id}/predictions/{prediction.pk}/report/"
    response = alices.get(path)
    assert response.status_code == 200
    assert response["Content-Type"] == "application/pdf"
    assert response.content.startswith(b"%PDF-")
    assert bobs.get(path).status_code == 404
    waiting = prediction_at(State.QUEUED, prediction.scan, model_version_of())
    early = alices.get(f"/api/v1/scans/{prediction.scan_id}/predictions/{waiting.pk}/report/")
    assert early.status_code == 404
    assert early.json()["code"] == "NOT_FINISHED"
