"""The upload page: what is kept, what is refused, and what the person is told."""

from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from diagnosis.models import Prediction, Scan, Upload
from diagnosis.states import State, Trigger
from diagnosis.tests.pictures import chest_like, encoded

NEW = "/scans/new/"
NO_MODEL = "No model was active"


def a_file(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def an_xray(name: str = "chest.png", seed: int = 0) -> SimpleUploadedFile:
    return a_file(name, encoded(chest_like(seed=seed), "PNG"))


def a_text(name: str = "notes.txt") -> SimpleUploadedFile:
    return a_file(name, b"This is not a picture.")


def files_in(media: Path) -> list[Path]:
    return [path for path in media.rglob("*") if path.is_file()]


def texts_of_messages(response) -> list[str]:
    return [str(message) for message in response.context["messages"]]


def test_nobody_uploads_without_signing_in(client, db, media):
    response = client.post(NEW, {"image": an_xray()})
    assert response.status_code == 302
    assert response.url == f"{reverse('account_login')}?next={NEW}"
    assert not Scan.objects.exists()
    assert files_in(media) == []


def test_an_empty_form_is_answered_with_what_is_missing(browser):
    response = browser.post(NEW, {"reference": "ward 4"})
    assert response.status_code == 422
    assert "Choose at least one file." in response.content.decode()
    assert 'value="ward 4"' in response.content.decode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "This file is empty"),
        (b"This is not a picture.", "not a picture"),
        (b"%PDF-1.7 and so on", "a PDF document"),
        (encoded(chest_like(), "PNG")[:500], "damaged or cut short"),
        (encoded(chest_like(40, 40), "PNG"), "40 × 40 pixels"),
    ],
    ids=["empty", "text", "pdf", "truncated", "small"],
)
def test_a_bad_file_is_refused_by_name_and_nothing_stays_behind(browser, media, content, words):
    response = browser.post(NEW, {"image": a_file("bad.png", content)})
    page = response.content.decode()
    assert response.status_code == 422
    assert "bad.png: " in page
    assert words in page
    assert not Scan.objects.exists()
    assert files_in(media) == []


@pytest.mark.parametrize("stored_before", [0, 1, 2])
def test_a_storage_that_fails_is_503_and_leaves_nothing_half_stored(
    browser, model_version, media, monkeypatch, stored_before
):
    save, saved = FileSystemStorage.save, []

    def fill_up(storage, name, content, **options):
        if len(saved) == stored_before:
            raise OSError("no space left on device")
        saved.append(name)
        return save(storage, name, content, **options)

    monkeypatch.setattr(FileSystemStorage, "save", fill_up)
    response = browser.post(NEW, {"image": [a_text(), an_xray("good.png")]})
    page = response.content.decode()
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert "good.png: Pictures can&#x27;t be stored right now, so this one was not kept. Try again" in page
    assert "notes.txt: This file is not a picture" in page
    assert files_in(media) == []
    assert [rows.objects.count() for rows in (Scan, Prediction, Upload)] == [0, 0, 0]


def test_a_script_is_told_where_to_lead_the_browser_and_the_message_waits_for_that_page(browser, media):
    for _ in range(2):
        response = browser.post(NEW, {"image": an_xray()}, headers={"HX-Request": "true"})
        address = Scan.objects.get().get_absolute_url()
        assert (response.status_code, response["HX-Redirect"]) == (204, address)
    assert "You have given this file before" in browser.get(address).content.decode()


def test_too_large_a_file_is_refused_and_nothing_stays_behind(browser, media, settings):
    settings.INTAKE_MAX_BYTES = 1000
    response = browser.post(NEW, {"image": an_xray("large.png")})
    assert response.status_code == 422
    assert "large.png: This file is larger than" in response.content.decode()
    assert files_in(media) == []


def test_more_files_than_allowed_are_refused_as_a_whole(browser, media, settings):
    settings.UPLOAD_MAX_FILES = 2
    response = browser.post(NEW, {"image": [an_xray(f"{seed}.png", seed) for seed in range(3)]})
    assert response.status_code == 422
    assert "These are 3 files; at most 2" in response.content.decode()
    assert not Scan.objects.exists()
    assert files_in(media) == []


def test_too_long_a_reference_stores_nothing(browser, media):
    response = browser.post(NEW, {"image": an_xray(), "reference": "r" * 101})
    assert response.status_code == 422
    assert "at most 100 characters" in response.content.decode()
    assert files_in(media) == []


def test_the_limits_are_said_in_words(browser, settings):
    settings.UPLOAD_MAX_FILES = 7
    settings.INTAKE_MAX_BYTES = 3 * 2**20
    page = browser.get(NEW).content.decode()
    assert "Up to 7 files at once, each at most 3 MB and 32 million pixels, each side at least 64 pixels." in page
    assert "All together at most 200 MB." in page


def test_one_good_file_leads_to_its_scan(browser, alice, model_version, media):
    response = browser.post(NEW, {"image": an_xray("first.png"), "reference": "ward 4"})
    scan = Scan.objects.get()
    assert response.status_code == 302
    assert response.url == f"/scans/{scan.pk}/"
    assert (scan.owner, scan.original_name, scan.reference) == (alice, "first.png", "ward 4")
    prediction = Prediction.objects.get()
    assert prediction.state == State.QUEUED
    assert prediction.trigger == Trigger.UPLOAD
    assert prediction.requested_by == alice
    assert len(files_in(media)) == 3


def test_a_scan_is_kept_even_while_no_model_is_active(browser):
    response = browser.post(NEW, {"image": an_xray()}, follow=True)
    assert 'data-state="NONE"' in response.content.decode()
    assert NO_MODEL in response.content.decode()


def test_several_good_files_lead_to_the_page_of_their_upload(browser, model_version):
    files = [an_xray(f"{seed}.png", seed) for seed in range(3)]
    response = browser.post(NEW, {"image": files, "reference": "series"}, follow=True)
    assert response.redirect_chain == [(Upload.objects.get().get_absolute_url(), 302)]
    assert "0 of 3 scans read" in response.content.decode()
    assert {scan.reference for scan in Scan.objects.all()} == {"series"}
    assert Prediction.objects.count() == 3


def test_one_bad_file_of_three_keeps_two(browser, media):
    files = [an_xray("a.png", 1), a_text("notes.txt"), an_xray("b.png", 2)]
    response = browser.post(NEW, {"image": files}, follow=True)
    assert {scan.original_name for scan in Scan.objects.all()} == {"a.png", "b.png"}
    (refused,) = Upload.objects.get().refused
    assert (refused["file"], refused["code"]) == ("notes.txt", "NOT_A_PICTURE")
    page = response.content.decode()
    assert '<strong class="text-break">notes.txt</strong>: This file is not a picture' in page
    assert "<code>NOT_A_PICTURE</code>" in page
    assert len(files_in(media)) == 6


def test_an_empty_file_among_good_ones_costs_only_itself(browser):
    response = browser.post(NEW, {"image": [a_file("empty.png", b""), an_xray()]}, follow=True)
    assert Scan.objects.count() == 1
    assert response.redirect_chain == [(Upload.objects.get().get_absolute_url(), 302)]
    assert "empty.png</strong>: This file is empty" in response.content.decode()


def test_the_same_file_again_leads_to_the_scan_that_is_there(browser, media):
    browser.post(NEW, {"image": an_xray("first.png")})
    scan = Scan.objects.get()
    response = browser.post(NEW, {"image": an_xray("renamed.png")}, follow=True)
    assert response.redirect_chain == [(scan.get_absolute_url(), 302)]
    assert "You have given this file before" in texts_of_messages(response)[0]
    assert Scan.objects.count() == 1
    assert len(files_in(media)) == 3


def test_the_same_file_of_another_person_is_another_scan(browser, client, bob):
    browser.post(NEW, {"image": an_xray()})
    client.force_login(bob)
    response = client.post(NEW, {"image": an_xray()}, follow=True)
    assert Scan.objects.count() == 2
    assert texts_of_messages(response) == []


def test_a_file_given_twice_at_once_is_one_new_scan(browser):
    response = browser.post(NEW, {"image": [an_xray("a.png"), an_xray("b.png")]}, follow=True)
    assert response.redirect_chain == [(Scan.objects.get().get_absolute_url(), 302)]
    assert texts_of_messages(response) == []


def test_a_known_file_among_new_ones_is_counted_and_shown_with_them(browser):
    browser.post(NEW, {"image": an_xray("known.png", 1)})
    known = Scan.objects.get()
    response = browser.post(NEW, {"image": [an_xray("k.png", 1), an_xray("new.png", 2)]}, follow=True)
    page = response.content.decode()
    assert f'href="{known.get_absolute_url()}"' in page
    assert "1 file was here before." in page
    assert Scan.objects.count() == 2


def test_a_hostile_file_name_is_only_text(browser):
    response = browser.post(NEW, {"image": a_text("<img src=x onerror=alert(1)>.png")})
    assert b"<img src=x" not in response.content
    assert b"&lt;img src=x onerror=alert(1)&gt;.png" in response.content


def test_a_known_file_with_a_hostile_name_is_only_text_in_the_message(browser):
    browser.post(NEW, {"image": an_xray("<b>x.png")})
    response = browser.post(NEW, {"image": an_xray()}, follow=True)
    assert "&lt;b&gt;x.png" in texts_of_messages(response)[0]
    assert b"<b>" not in response.content
