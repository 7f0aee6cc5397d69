"""Pages speak the language of whoever reads them; what is stored, and what programs read, has none."""

import io
import json
import re
import zipfile

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import translation

from diagnosis.api.document import Document
from diagnosis.models import Scan, Upload
from diagnosis.preferences import Preferences
from diagnosis.refusals import check_sides
from diagnosis.sentences import explained, file_name, in_words
from diagnosis.states import FailureReason, State
from diagnosis.templatetags.probabilities import percent
from diagnosis.tests.archive_files import zipped
from diagnosis.tests.dicom_files import dicom_file
from diagnosis.tests.factories import answer_queued, model_version_of, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.tokens import ApiToken

pytestmark = pytest.mark.django_db

SPANISH = {"headers": {"accept-language": "es-MX,es;q=0.9,en;q=0.5"}}
SWITCH = "/language/"


def text_of(response) -> str:
    return response.content.decode().replace("&#x27;", "'").replace("\N{NO-BREAK SPACE}", " ")


def language_of(response) -> str:
    return re.search(r'<html lang="([^"]*)"', text_of(response))[1]


@pytest.fixture
def spaniard(alice) -> Client:
    """Alice's browser, set to Spanish."""
    client = Client(headers={"accept-language": "es"})
    client.force_login(alice)
    return client


# Who gets which language


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("es", "es"),
        ("es-AR", "es"),
        ("ca,es;q=0.8", "es"),
        ("en-GB,es;q=0.8", "en"),
        ("fr", "en"),
        ("", "en"),
        ("*", "en"),
    ],
)
def test_a_stranger_reads_what_their_browser_asks_for_and_english_otherwise(client, accepted, language):
    response = client.get("/", headers={"accept-language": accepted})
    assert language_of(response) == language
    assert response["Content-Language"] == language
    assert "Accept-Language" in response["Vary"]
    assert ("No es un diagnóstico." in text_of(response)) == (language == "es")


def test_the_switch_on_each_page_needs_no_script_and_is_remembered(client):
    page = text_of(client.get("/models/none/"))
    form = re.search(r'<form class="language-switch" method="post" action="([^"]+)".*?</form>', page, re.S)
    assert form[1] == SWITCH
    assert '<button name="language" value="es" lang="es">Español</button>' in form[0]

    answer = client.post(SWITCH, {"language": "es"}, headers={"referer": "http://testserver/accounts/login/"})
    assert (answer.status_code, answer["Location"]) == (302, "http://testserver/accounts/login/")
    assert language_of(client.get("/")) == "es"
    # Against what the browser says, and for longer than the session.
    assert language_of(client.get("/", headers={"accept-language": "en"})) == "es"
    assert client.cookies["django_language"]["max-age"] > 300 * 24 * 3600


def test_the_switch_leads_nowhere_else(client):
    assert client.post(SWITCH, {"language": "es", "next": "https://elsewhere.example/"})["Location"] == "/"


def test_from_the_answer_to_a_form_the_switch_leads_to_the_start(browser):
    page = text_of(browser.post("/accounts/preferences/", {"language": "xx"}))
    assert '<input type="hidden" name="next" value="/">' in page


@pytest.mark.parametrize("language", ["fr", "", "../../etc", "e" * 1000])
def test_a_language_that_is_not_there_changes_nothing(browser, alice, language):
    assert browser.post(SWITCH, {"language": language}).status_code == 302
    assert not Preferences.objects.exists()
    assert language_of(browser.get("/")) == "en"


def test_the_switch_can_only_be_posted_by_a_page_of_ours(alice):
    strict = Client(enforce_csrf_checks=True)
    assert strict.post(SWITCH, {"language": "es"}).status_code == 403
    assert strict.get(SWITCH).status_code == 405


def test_a_person_finds_the_chosen_language_in_every_browser(browser, alice):
    browser.post(SWITCH, {"language": "es"})
    elsewhere = Client(headers={"accept-language": "en"})
    elsewhere.force_login(alice)
    assert language_of(elsewhere.get("/scans/")) == "es"


def test_the_choice_is_no_one_elses(browser, alice, bob):
    browser.post(SWITCH, {"language": "es"})
    bobs = Client()
    bobs.force_login(bob)
    assert language_of(bobs.get("/scans/")) == "en"


def test_who_wants_it_as_in_the_browser_gets_it_so_again(browser, alice):
    browser.post(SWITCH, {"language": "es"})
    browser.post("/accounts/preferences/", {"language": "", "time_zone": ""})
    assert language_of(browser.get("/scans/")) == "en"
    assert language_of(browser.get("/scans/", **SPANISH)) == "es"


def test_the_confirmation_is_in_the_language_that_was_chosen(browser):
    page = browser.post("/accounts/preferences/", {"language": "es", "time_zone": ""}, follow=True)
    assert "Se han guardado su idioma y su zona horaria." in text_of(page)


def test_one_persons_language_is_not_left_to_the_next(client, spaniard):
    assert language_of(spaniard.get("/scans/")) == "es"
    assert translation.get_language() == "en"
    # Refused before anybody asks which language it should be.
    assert language_of(client.get("/", headers={"host": "elsewhere.example"})) == "en"


def test_a_choice_costs_no_query(browser, alice):
    with CaptureQueriesContext(connection) as without:
        browser.get("/scans/")
    Preferences.objects.create(user=alice, language="es", time_zone="Europe/Madrid")
    with CaptureQueriesContext(connection) as chosen:
        assert language_of(browser.get("/scans/")) == "es"
    assert len(chosen) == len(without)


# What is said


def test_a_whole_visit_is_in_spanish(spaniard, alice, model_version, fake_classifier):
    assert "Subir radiografías de tórax" in text_of(spaniard.get("/scans/new/"))
    file = SimpleUploadedFile("small.png", encoded(chest_like(120, 100), "PNG"))
    spaniard.post("/scans/new/", {"image": [file]})
    answer_queued()
    page = text_of(spaniard.get(Scan.objects.get().get_absolute_url()))
    assert "Neumonía</p>" in page
    assert 'data-label="PNEUMONIA"' in page
    assert "Confianza del modelo en que la imagen muestra signos de neumonía: <strong>90,0 %</strong>" in page
    assert "menos de los 224 píxeles que mira el modelo" in page
    assert "No es un producto sanitario" in page
    assert "Mis radiografías" in text_of(spaniard.get("/scans/"))


@pytest.mark.parametrize("reason", FailureReason)
def test_a_stored_reason_is_said_in_the_language_of_each_reader(spaniard, browser, alice, reason):
    scan = scan_of(alice)
    prediction_at(State.FAILED, scan, reason=reason)
    with translation.override("es"):
        spanish = str(reason.label)
    assert spanish != str(reason.label)
    assert spanish in text_of(spaniard.get(scan.get_absolute_url()))
    assert str(reason.label) in text_of(browser.get(scan.get_absolute_url()))


def test_refusals_that_were_stored_in_one_language_are_read_in_another(spaniard, browser, model_version):
    files = {
        "1": dicom_file(Modality="CT"),
        "2.png": encoded(chest_like(), "PNG"),
        "3.png": encoded(chest_like(40, 30), "PNG"),
    }
    spaniard.post("/scans/new/", {"image": SimpleUploadedFile("all.zip", zipped(files))})
    upload = Upload.objects.get()
    assert upload.refused[0]["file"] == "File 1 of 3"
    spanish, english = (text_of(client.get(upload.get_absolute_url())) for client in (spaniard, browser))
    assert "Archivo 1 de 3</strong>: Este archivo DICOM dice que es tomografía computarizada (CT)" in spanish
    assert "File 1 of 3</strong>: This DICOM file says that it is computed tomography (CT)" in english
    assert "Archivo 3 de 3</strong>: Esta imagen tiene 40 × 30 píxeles" in spanish
    assert "Archivo 2 de 3" in text_of(spaniard.get("/scans/"))


def test_a_refusal_that_is_not_stored_is_in_the_language_of_the_page(spaniard):
    response = spaniard.post("/scans/new/", {"image": SimpleUploadedFile("letter.txt", b"Dear doctor")})
    assert response.status_code == 422
    assert "letter.txt: Este archivo no es una imagen" in text_of(response)


def test_what_an_earlier_version_stored_is_shown_as_it_was(browser, alice):
    scan = scan_of(alice)
    old = {"file": "File 2 of 2", "code": "TOO_LARGE", "sentence": "This file has 100 % of 25 MB."}
    upload = Upload.objects.create(owner=alice, given=2, refused=[old])
    upload.scans.add(scan)
    upload.full_clean()
    assert "This file has 100 % of 25 MB." in text_of(browser.get(upload.get_absolute_url()))


def test_a_text_in_a_refusal_is_translated_and_a_number_is_written_as_in_the_language():
    with pytest.raises(Exception, match="28 million") as caught:
        check_sides("WEBP", 12_000, 9_000, max_pixels=28e6, min_side=64)
    refusal = caught.value
    assert explained(refusal) == str(refusal)
    assert "12,000 × 9,000" in str(refusal)
    with translation.override("es"):
        assert "28 millones" in explained(refusal)
        assert in_words("%(part)s MB", {"part": 2.5}) == "2,5 MB"
        assert percent(0.9731).replace("\N{NO-BREAK SPACE}", " ") == "97,3 %"


@pytest.mark.parametrize("name", ["chest.png", "File 3 of many", "", "File 1 of 2.png"])
def test_the_name_of_a_file_is_never_translated(name):
    with translation.override("es"):
        assert file_name(name) == name


def test_drawings_and_numbers_for_programs_keep_their_points(spaniard, alice):
    metadata = json.loads((settings.BASE_DIR / "ml" / "weights" / "checkpoint.json").read_text())
    version = model_version_of(name="real", metadata=metadata, uncertain_low=0.312, uncertain_high=0.718, active=True)
    scan = scan_of(alice)
    prediction_at(State.SUCCEEDED, scan, probability=0.6789)
    card, answer = (text_of(spaniard.get(row.get_absolute_url())) for row in (version, scan))
    assert "<polyline" in card
    assert "0,9" in card
    assert 'data-probability="0.6789"' in answer
    for page in (card, answer):
        assert not re.search(r' (?:x|y|x1|x2|y1|y2|cx|cy|width|height)="[-\d]+,\d+', page)
        assert not re.search(r"translate\(\d+,", page)


@pytest.mark.parametrize("address", ["/", "/scans/", "/scans/new/", "/accounts/", "/accounts/email/", "/nowhere/"])
def test_each_page_says_which_language_it_is_in(spaniard, address):
    assert language_of(spaniard.get(address)) == "es"


def test_a_download_that_is_made_while_it_is_sent_speaks_the_persons_language_too(spaniard, alice):
    prediction_at(State.FAILED, scan_of(alice))
    response = spaniard.get(reverse("diagnosis:everything"))
    assert translation.get_language() == "en"
    archive = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    assert translation.get_language() == "en"
    words = next(archive.read(name).decode() for name in archive.namelist() if "README" in name.upper())
    assert "Todo lo que este sitio guarda de alice" in words
    assert "identificador de la radiografía" in words


def test_staff_work_in_spanish_too(client, rita, alice):
    prediction = prediction_at(State.SUCCEEDED, scan_of(alice))
    client.force_login(rita)
    page = text_of(client.get(reverse("admin:diagnosis_prediction_change", args=[prediction.pk]), **SPANISH))
    for words in ("Neumonía", "Conforme: Neumonía", "Corregir a Normal", "punto de corte", "no un producto sanitario"):
        assert words in page
    page = text_of(client.get("/admin/diagnosis/prediction/", **SPANISH))
    assert "Volver a procesar con el modelo activo" not in page  # she may not
    assert "Cualquier día" in page


def test_a_review_in_spanish_is_stored_as_ever(client, rita, alice):
    prediction = prediction_at(State.SUCCEEDED, scan_of(alice))
    client.force_login(rita)
    address = reverse("admin:diagnosis_prediction_review", args=[prediction.pk])
    page = client.post(address, {"label": "NORMAL"}, follow=True, **SPANISH)
    assert "Su revisión queda registrada: usted ve Normal en lugar de" in text_of(page)
    prediction.refresh_from_db()
    assert prediction.reviewed_label == "NORMAL"


def test_programs_read_english_whatever_they_or_their_people_prefer(client, alice):
    Preferences.objects.create(user=alice, language="es", time_zone="Asia/Tokyo")
    scan = scan_of(alice)
    prediction_at(State.FAILED, scan)
    _, secret = ApiToken.objects.issue(user=alice, lifetime=None)
    headers = {"authorization": f"Bearer {secret}", "accept-language": "es"}
    response = client.get(f"/api/v1/scans/{scan.pk}/", headers=headers)
    told = response.json()
    assert told["latest_prediction"]["failure"]["sentence"] == str(FailureReason.INTERNAL_ERROR.label)
    assert told["created_at"].endswith("Z")
    assert response["Content-Language"] == "en"
    assert "detail" in client.get("/api/v1/scans/", headers={"accept-language": "es"}).json()
    text = SimpleUploadedFile("a.txt", b"no picture")
    refused = client.post("/api/v1/scans/", {"image": text}, headers=headers).json()
    assert refused["detail"].startswith("This file is not a picture")


def test_the_openapi_document_is_in_english_whoever_asks_first(client, monkeypatch):
    monkeypatch.setattr(Document, "_made", None)
    document = client.get("/api/v1/schema/", headers={"accept-language": "es"}).content.decode()
    assert "Your own words to find it again" in document
    # Its page is in the reader's language, with the part for programmers marked as English.
    page = text_of(client.get("/api-docs/", **SPANISH))
    assert "API para programas" in page
    assert 'class="api-docs" lang="en"' in page
