"""Archives and folders: what is in them, within limits, and what the person is told of each file."""

import io
import re
import struct
import zipfile
from types import SimpleNamespace

import pytest
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from diagnosis import intake, services
from diagnosis.archives import Archive, Budget
from diagnosis.models import Scan, Upload
from diagnosis.refusals import Refusal
from diagnosis.tests.archive_files import zipped
from diagnosis.tests.dicom_files import dicom_file, stored_values
from diagnosis.tests.factories import answer_queued, person
from diagnosis.tests.pictures import chest_like, encoded

NEW = "/scans/new/"
BUDGET = Budget(max_bytes=2**20, max_files=10, max_total=4 * 2**20)


def png(seed: int = 0) -> bytes:
    return encoded(chest_like(seed=seed), "PNG")


def archive(files: dict[str, bytes], name: str = "study.zip", **options) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, zipped(files, **options))


def contents(data: bytes, budget: Budget = BUDGET) -> list[bytes | str]:
    """Give the content of each member, or the code of its refusal."""
    members = Archive(io.BytesIO(data), budget=budget).members()
    return [member.code if isinstance(member, Refusal) else member.getvalue() for member in members]


def refusal(data: bytes, budget: Budget = BUDGET) -> Refusal:
    with pytest.raises(Refusal) as caught:
        Archive(io.BytesIO(data), budget=budget)
    assert str(caught.value).endswith(".")
    return caught.value


# Reading


def test_files_come_in_the_order_of_the_archive_and_names_of_systems_are_passed_over():
    data = zipped(
        {
            "b": b"1",
            "folder/": b"",
            "../../etc/a": b"2",
            "__MACOSX/folder/._b": b"x",
            "folder/.DS_Store": b"x",
            "folder/Thumbs.db": b"x",
            "/c": b"3",
        }
    )
    assert contents(data) == [b"1", b"2", b"3"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_both_ordinary_ways_of_packing_are_read(method):
    assert contents(zipped({"a": b"1" * 50}, method=method)) == [b"1" * 50]


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_ways_of_packing_are_refused(method):
    assert contents(zipped({"a": b"1" * 50}, method=method)) == ["ARCHIVE_COMPRESSION"]


@pytest.mark.parametrize(
    "inner", [zipped({"a": b"1"}), b"\x1f\x8b\x08" + bytes(20), b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07\x00"]
)
def test_an_archive_within_an_archive_is_not_opened(inner):
    assert contents(zipped({"inner.dcm": inner, "b": b"2"})) == ["NESTED_ARCHIVE", b"2"]


def test_an_empty_archive_is_refused():
    assert refusal(zipped({})).code == "ARCHIVE_EMPTY"
    assert refusal(zipped({"folder/": b""})).code == "ARCHIVE_EMPTY"


def test_too_many_files_are_refused_at_once():
    refused = refusal(zipped({str(number): b"" for number in range(11)}))
    assert refused.code == "TOO_MANY_FILES"
    assert "11 files and at most 10" in str(refused)


def test_a_list_of_very_many_entries_is_never_made_into_objects(monkeypatch):
    data = zipped({"a": b"1"}) + b"PK\x01\x02" * 20_000
    monkeypatch.setattr(zipfile, "ZipFile", lambda *args: pytest.fail("listed"))
    assert refusal(data).code == "TOO_MANY_FILES"


def test_too_much_in_all_is_refused_by_what_the_archive_announces():
    data = zipped({str(number): bytes(2**20) for number in range(5)})
    assert refusal(data).code == "ARCHIVE_TOO_LARGE"


def test_a_bomb_is_refused_unopened_and_the_rest_is_read():
    data = zipped({"bomb": bytes(3 * 2**20), "b": b"2"})
    assert contents(data) == ["ARCHIVE_BOMB", b"2"]


def test_no_more_of_a_file_is_read_than_tells_that_it_is_too_large():
    data = zipped({"a": bytes(3 * 2**20)}, method=zipfile.ZIP_STORED)
    assert [len(content) for content in contents(data)] == [2**20 + 1]


def test_an_entry_that_lies_about_its_size_gives_no_more_than_it_announced():
    data = zipped({"a": bytes(range(256)) * 100})
    true = struct.pack("<L", 25_600)
    assert data.count(true) == 2
    assert contents(data.replace(true, struct.pack("<L", 99))) == ["DAMAGED"]


def test_a_locked_archive_is_refused():
    data = bytearray(zipped({"a": b"1"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert refusal(bytes(data)).code == "ARCHIVE_ENCRYPTED"


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_archive_is_refused(share):
    data = zipped({"a": png()})
    assert refusal(data[: int(share * len(data))]).code == "DAMAGED"


def test_a_damaged_file_costs_only_itself():
    data = bytearray(zipped({"a": png(1), "b": b"2"}))
    data[len(data) // 2] ^= 0xFF
    assert contents(bytes(data)) == ["DAMAGED", b"2"]


# Through the site


def test_what_is_good_in_an_archive_is_kept_and_the_rest_is_told_file_by_file(browser, alice, model_version):
    files = {
        "PAT/1": dicom_file(stored_values(12, 200, 150)),
        "PAT/2": dicom_file(Modality="CT"),
        "PAT/3.png": png(),
        "PAT/DICOMDIR": b"no picture",
    }
    response = browser.post(NEW, {"image": archive(files), "reference": "ward 4"}, follow=True)
    upload = Upload.objects.get()
    assert response.redirect_chain == [(upload.get_absolute_url(), 302)]
    assert [(file["file"], file["code"]) for file in upload.refused] == [
        ("File 2 of 4", "WRONG_MODALITY"),
        ("File 4 of 4", "NOT_A_PICTURE"),
    ]
    scans = Scan.objects.filter(uploads=upload, owner=alice, reference="ward 4")
    assert {scan.original_name for scan in scans} == {f"DICOM {scans.get(modality='CR').sha256[:8]}", "File 3 of 4"}
    page = response.content.decode()
    assert "File 2 of 4</strong>: This DICOM file says that it is computed tomography (CT)" in page
    assert "<code>WRONG_MODALITY</code>" in page


def test_the_page_counts_the_answers_as_they_come(browser, model_version, fake_classifier):
    response = browser.post(NEW, {"image": archive({str(seed): png(seed) for seed in range(3)})}, follow=True)
    address = response.redirect_chain[0][0]
    page = response.content.decode()
    assert "0 of 3 scans read" in page
    assert 'hx-trigger="load delay:2s, look-again"' in page
    answer_queued()
    page = browser.get(address).content.decode()
    assert "3 of 3 scans read" in page
    assert re.search(r'<progress[^>]* max="3" value="3"', page)
    assert "hx-trigger" not in page.split('id="upload"')[1]


def test_without_a_model_the_page_says_so_and_waits_for_nothing(browser):
    page = browser.post(NEW, {"image": archive({"a": png(1), "b": png(2)})}, follow=True).content.decode()
    assert "No model was active" in page
    assert "hx-trigger" not in page.split('id="upload"')[1]


def test_an_archive_with_one_scan_in_it_leads_to_the_scan(browser):
    response = browser.post(NEW, {"image": archive({"a": png()})})
    assert response.url == Scan.objects.get().get_absolute_url()
    assert not Upload.objects.exists()


def test_an_archive_with_nothing_good_in_it_is_answered_on_the_spot(browser, media):
    response = browser.post(NEW, {"image": archive({"a": b"text", "b": dicom_file(Modality="CT")})})
    page = response.content.decode()
    assert response.status_code == 422
    assert "File 1 of 2: This file is not a picture" in page
    assert "(WRONG_MODALITY)" in page
    assert not Upload.objects.exists()


def test_an_archive_that_is_refused_as_a_whole_costs_only_itself(browser):
    given = [SimpleUploadedFile("bad.zip", b"PK\x03\x04 and no more"), SimpleUploadedFile("a.png", png())]
    browser.post(NEW, {"image": given})
    assert Scan.objects.get().original_name == "a.png"
    assert Upload.objects.get().refused[0]["file"] == "File 1 of 2"


def test_all_files_of_all_archives_count_together(browser, settings, media):
    settings.UPLOAD_MAX_FILES = 3
    given = [archive({"a": png(1), "b": png(2)}), archive({"c": png(3), "d": png(4)})]
    response = browser.post(NEW, {"image": given})
    assert response.status_code == 422
    assert "These are 4 files; at most 3" in response.content.decode()
    assert not Scan.objects.exists()


def test_all_archives_unpack_to_one_limit_together(browser, settings):
    settings.UPLOAD_MAX_UNPACKED_BYTES = 3 * len(png()) // 2
    browser.post(NEW, {"image": [archive({"a": png(1)}), archive({"b": png(2)})]})
    assert Scan.objects.count() == 1
    assert Upload.objects.get().refused[0]["code"] == "ARCHIVE_TOO_LARGE"


def test_a_folder_is_taken_as_its_files(browser):
    folder = [SimpleUploadedFile("IM0001", dicom_file()), SimpleUploadedFile("IM0002", dicom_file(Modality="CT"))]
    browser.post(NEW, {"folder": folder})
    upload = Upload.objects.get()
    assert Scan.objects.get().is_dicom
    assert upload.refused[0]["file"] == "File 2 of 2"


def test_what_is_not_reached_in_time_is_told_and_goes_on_the_next_time(browser, settings, monkeypatch):
    files = {str(seed): png(seed) for seed in range(4)}
    clock = iter([0.0, 1.0, 2.0, 99.0, 100.0])
    monkeypatch.setattr("diagnosis.uploads.time", SimpleNamespace(monotonic=lambda: next(clock)))  # of no other module
    browser.post(NEW, {"image": archive(files)})
    first = Upload.objects.get()
    assert [(file["file"], file["code"]) for file in first.refused] == [
        ("File 3 of 4", "OUT_OF_TIME"),
        ("File 4 of 4", "OUT_OF_TIME"),
    ]
    monkeypatch.setattr("diagnosis.uploads.time.monotonic", lambda: 0.0)
    read = []
    clean = intake.clean
    monkeypatch.setattr("diagnosis.intake.clean", lambda *args, **kwargs: read.append(1) or clean(*args, **kwargs))
    browser.post(NEW, {"image": archive(files)})
    second = Upload.objects.exclude(pk=first.pk).get()
    assert len(read) == 2
    assert (second.known, second.refused, second.scans.count()) == (2, [], 4)


def test_an_upload_is_its_owners_alone(browser, client, sam):
    address = browser.post(NEW, {"image": archive({"a": png(1), "b": png(2)})}).url
    assert browser.get(address).status_code == 200
    assert "no-store" in browser.get(address)["Cache-Control"]
    for stranger in (person("bob"), sam):
        client.force_login(stranger)
        assert client.get(address).status_code == 404
    client.logout()
    assert client.get(address).url == f"{reverse('account_login')}?next={address}"


def test_an_upload_goes_with_the_last_of_its_scans(browser):
    browser.post(NEW, {"image": archive({"a": png(1), "b": png(2), "c": b"text"})})
    one, other = Scan.objects.all()
    services.erase_scan(scan=one, erased_by=None)
    assert Upload.objects.with_progress().get().kept == 1
    services.erase_scan(scan=other, erased_by=None)
    assert not Upload.objects.exists()


@pytest.mark.parametrize("refused", [{"a": 1}, ["text"], [{"file": "a"}], [{"file": "a", "code": 3, "sentence": "b"}]])
def test_only_a_list_of_refused_files_stands_on_an_upload(alice, refused):
    with pytest.raises(ValidationError) as caught:
        Upload(owner=alice, given=2, refused=refused).full_clean()
    assert list(caught.value.message_dict) == ["refused"]
