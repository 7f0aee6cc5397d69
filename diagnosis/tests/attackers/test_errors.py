"""Every error that can be provoked: a page of ours in a few words, and nothing of what is behind it."""

import logging

import pytest
from django.conf import settings as site
from django.core.files.uploadedfile import SimpleUploadedFile

from diagnosis.files import StorageAway
from diagnosis.tests.attackers.test_headers import complaints
from diagnosis.tests.pictures import chest_like, encoded

SECRET = "a detail that is nobody's business"
DISCLAIMER = "Not a medical device"
TELLING = ("Traceback", SECRET, "site-packages", str(site.BASE_DIR), "SELECT ", "Exception", "DEBUG", "postgres://")


def fails(*arguments, **named):
    raise RuntimeError(SECRET)


def is_away(*arguments, **named):
    raise StorageAway(SECRET)


def bad_host(house, monkeypatch):
    return house.client_of("anonymous").get("/", headers={"Host": SECRET})


def too_many_fields(house, monkeypatch):
    return house.client_of("owner").post("/accounts/token/", {f"field{number}": "" for number in range(2000)})


def too_many_files(house, monkeypatch):
    monkeypatch.setattr(site, "DATA_UPLOAD_MAX_NUMBER_FILES", 2)
    files = [SimpleUploadedFile(f"{number}.png", b"x") for number in range(3)]
    return house.client_of("owner").post("/scans/new/", {"image": files})


def too_large_a_form(house, monkeypatch):
    return house.client_of("owner").post(
        "/accounts/token/", "lifetime=" + "9" * 3_000_000, content_type="application/x-www-form-urlencoded"
    )


def broken_form(house, monkeypatch):
    return house.client_of("owner").post("/scans/new/", b"--x\r\nnonsense", content_type="multipart/form-data")


def forged(house, monkeypatch):
    return house.client_of("owner", checks_forgery=True).post("/accounts/token/")


def not_for_them(house, monkeypatch):
    return house.client_of("staff").get("/admin/auth/user/")


def nothing_there(house, monkeypatch):
    return house.client_of("owner").get(f"/no/such/page/?q={SECRET}")


def too_often(house, monkeypatch):
    browser = house.client_of("anonymous")
    return [browser.post("/accounts/signup/", {"email": "nowhere"}) for _ in range(22)][-1]


def fault_in_a_view(house, monkeypatch):
    monkeypatch.setattr("diagnosis.services.active_model_version", fails)
    return house.client_of("owner").get("/")


def fault_in_a_template(house, monkeypatch):
    monkeypatch.setattr("diagnosis.models.Scan.__str__", fails)
    return house.client_of("owner").get("/scans/")


def fault_in_the_database(house, monkeypatch):
    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", fails)
    return house.client_of("anonymous").get(f"/models/{house.version.sha256}/")


def storage_away(house, monkeypatch):
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.open", is_away)
    return house.client_of("owner").get(f"/scans/{house.scan.pk}/picture/")


def storage_away_at_an_upload(house, monkeypatch):
    monkeypatch.setattr("django.core.files.storage.FileSystemStorage._save", is_away)
    chest = SimpleUploadedFile("chest.png", encoded(chest_like(), "PNG"))
    return house.client_of("owner").post("/scans/new/", {"image": chest})


PROVOKED = {
    bad_host: 400,
    too_many_fields: 400,
    too_many_files: 400,
    too_large_a_form: 400,
    broken_form: 400,
    forged: 403,
    not_for_them: 403,
    nothing_there: 404,
    too_often: 429,
    fault_in_a_view: 500,
    fault_in_a_template: 500,
    fault_in_the_database: 500,
    storage_away: 503,
    storage_away_at_an_upload: 503,
}


@pytest.mark.parametrize(("provoke", "status"), PROVOKED.items(), ids=lambda value: getattr(value, "__name__", value))
def test_an_error_is_a_page_of_ours_that_tells_nothing(house, monkeypatch, sent, provoke, status):
    logging.getLogger("django.request").setLevel(logging.CRITICAL)
    with monkeypatch.context() as broken:
        response = provoke(house, broken)
    logging.getLogger("django.request").setLevel(logging.NOTSET)
    assert response.status_code == status
    assert response["Content-Type"] == "text/html; charset=utf-8"
    assert DISCLAIMER in response.text
    assert '<link rel="stylesheet"' in response.text
    assert [word for word in TELLING if word in response.text] == []
    assert complaints(response) == []


@pytest.mark.parametrize("status", [413, 500])
def test_an_error_of_the_api_is_a_problem_that_tells_nothing(house, monkeypatch, settings, status):
    headers = house.bearer_of("owner")
    with monkeypatch.context() as broken:
        if status == 500:
            broken.setattr("diagnosis.models.ScanQuerySet.visible_to", fails)
            response = house.client_of("anonymous").get(f"/api/v1/scans/{house.scan.pk}/", headers=headers)
        else:
            settings.INTAKE_MAX_BYTES = 1000
            picture = SimpleUploadedFile("a.png", b"\x89PNG\r\n\x1a\n" + bytes(5000))
            response = house.client_of("anonymous").post("/api/v1/scans/", {"image": picture}, headers=headers)
    assert response.status_code == status
    assert response["Content-Type"] == "application/problem+json"
    assert [word for word in TELLING if word in response.text] == []
    assert complaints(response) == []


def test_the_site_never_runs_with_debug_on():
    assert site.DEBUG is False
    text = (site.BASE_DIR / "pneumonia_site" / "settings.py").read_text()
    assert "\nDEBUG = False\n" in text, "no variable of the environment may switch it on"
