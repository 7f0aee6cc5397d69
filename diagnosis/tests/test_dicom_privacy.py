"""A DICOM file full of secrets goes through the site; afterwards they are nowhere: database, files, log, pages."""

import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings as site
from django.core import serializers
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.test import RequestFactory
from pydicom import Dataset
from pydicom.uid import JPEG2000Lossless

from diagnosis.models import Scan
from diagnosis.tests.archive_files import zipped
from diagnosis.tests.dicom_files import compressed, dataset_of, stored_values, written
from diagnosis.tests.pictures import chest_like, encoded
from diagnosis.upload_handlers import InMemoryUploadHandler

NEW = "/scans/new/"
SECRET = "SECRETNAME"
FILE_NAME = "SECRETNAME_Jane_19700101.dcm"


def telling_dataset(**elements) -> Dataset:
    """Give a chest X-ray with a secret in every kind of element there is."""
    dataset = dataset_of(
        stored_values(12, 400, 300), PatientAge="034Y", WindowCenter=2048, WindowWidth=4096, **elements
    )
    dataset.preamble = SECRET.encode().ljust(128, b"\0")
    dataset.PatientName = f"{SECRET}^Jane"
    dataset.PatientID = dataset.AccessionNumber = dataset.StudyID = f"{SECRET}1"
    dataset.PatientBirthDate, dataset.StudyDate = "19700101", "20040303"
    dataset.PatientComments = dataset.StudyDescription = dataset.ImageComments = SECRET
    dataset.InstitutionName = dataset.ReferringPhysicianName = dataset.OperatorsName = SECRET
    dataset.WindowCenterWidthExplanation = SECRET
    dataset.add_new(0x00091001, "LO", SECRET)
    dataset.add_new(0x00090010, "LO", f"{SECRET} PRIVATE")
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    icon.BitsAllocated = 8
    icon.PixelData = SECRET.encode().ljust(16, b"\0")
    dataset.IconImageSequence = [icon]
    item = Dataset()
    item.PatientName = item.CodeMeaning = SECRET
    dataset.RequestAttributesSequence = [item]
    dataset.add_new(0x60000010, "US", 300)
    dataset.add_new(0x60000022, "LO", SECRET)
    dataset.add_new(0x60003000, "OW", SECRET.encode() * 300)
    dataset.add_new(0xFFFCFFFC, "OB", SECRET.encode())
    return dataset


def telling_file(**elements) -> bytes:
    data = written(telling_dataset(**elements))
    assert data.count(SECRET.encode()) > 15, "this file gives little away, so the test proves little"
    return data


def damaged_file() -> bytes:
    """Give a file whose elements themselves make pydicom complain, with their values in its words."""
    data = telling_file(NumberOfFrames="1", BitsAllocated=7)
    whole, telling = b"\x28\0\x08\0IS\x02\x001 ", b"\x28\0\x08\0IS\x0a\0SECRETNAME"
    assert whole in data
    return data.replace(whole, telling)


def everything_stored(media: Path) -> bytes:
    """Give all rows of all tables and all stored files, one after the other."""
    rows = [serializers.serialize("json", model._base_manager.all()) for model in apps.get_models()]
    files = [path.read_bytes() + str(path).encode() for path in media.rglob("*") if path.is_file()]
    return "".join(rows).encode() + b"".join(files)


@pytest.fixture
def temporary(tmp_path, monkeypatch) -> Path:
    """Give the folder in which a temporary file would be made during the test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def opened(monkeypatch) -> list[str]:
    """Collect the paths of files that this process opens for writing."""
    paths: list[str] = []

    def watch(event: str, arguments: tuple) -> None:
        if event == "open" and watching and arguments[2] & (os.O_WRONLY | os.O_RDWR):
            paths.append(str(arguments[0]))

    watching = [True]
    sys.addaudithook(watch)
    yield paths
    watching.clear()


UPLOADS = {
    "one": lambda: [SimpleUploadedFile(FILE_NAME, telling_file())],
    "compressed": lambda: [SimpleUploadedFile(FILE_NAME, compressed(telling_dataset(), JPEG2000Lossless))],
    "no ending": lambda: [SimpleUploadedFile("SECRETNAME", telling_file())],
    "refused": lambda: [SimpleUploadedFile(FILE_NAME, telling_file(Modality="CT"))],
    "damaged": lambda: [SimpleUploadedFile(FILE_NAME, damaged_file())],
    "cut": lambda: [SimpleUploadedFile(FILE_NAME, telling_file()[:70_000])],
    "a picture by name": lambda: [
        SimpleUploadedFile("SECRETNAME.jpg", telling_file(Modality="CT")),
        SimpleUploadedFile("a.png", encoded(chest_like(), "PNG")),
    ],
    "several": lambda: [
        SimpleUploadedFile(FILE_NAME, telling_file()),
        SimpleUploadedFile(f"2{FILE_NAME}", telling_file(Modality="CT")),
        SimpleUploadedFile(f"3{FILE_NAME}", damaged_file()),
        SimpleUploadedFile("SECRETNAME", b"no longer to be known for what it was"),
    ],
    "archive": lambda: [
        SimpleUploadedFile(
            "SECRETNAME.zip",
            zipped(
                {
                    f"SECRETNAME/{FILE_NAME}": telling_file(),
                    "SECRETNAME/SECRETNAME.png": encoded(chest_like(), "PNG"),
                    "SECRETNAME/SECRETNAME.txt": b"SECRETNAME",
                    "SECRETNAME/CT": telling_file(Modality="CT"),
                },
                comment=b"SECRETNAME",
            ),
        )
    ],
}


@pytest.mark.parametrize("given", UPLOADS)
def test_no_secret_stays_anywhere(browser, model_version, media, capfd, caplog, temporary, opened, given):
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = UPLOADS[given]()
    caplog.clear()
    opened.clear()  # pytest itself captures in temporary files
    response = browser.post(NEW, {"image": files})
    if response.status_code == 302:
        page = browser.get(response.url)
        assert SECRET not in page.content.decode()
        assert SECRET not in response.url + str(response.cookies)
    assert (Scan.objects.count() > 0) == (given not in ("refused", "damaged", "cut"))
    assert SECRET.encode() not in everything_stored(media)
    assert SECRET not in caplog.text
    assert SECRET not in "".join(capfd.readouterr())
    assert list(temporary.rglob("*")) == []
    elsewhere = [path for path in opened if not path.startswith((str(media), "/dev/")) and "__pycache__" not in path]
    assert [path for path in elsewhere if not path.isdecimal()] == []  # a number is a pipe that is open already


def test_what_is_kept_is_the_short_list_and_a_name_of_ours(browser, media):
    browser.post(NEW, {"image": SimpleUploadedFile(FILE_NAME, telling_file(PixelSpacing=[0.1, 0.1]))})
    scan = Scan.objects.get()
    assert scan.original_name == f"DICOM {scan.sha256[:8]}"
    kept = (scan.modality, scan.view_position, scan.photometric_interpretation, scan.row_spacing, scan.patient_age)
    assert kept == ("CR", "PA", "MONOCHROME2", 0.1, 34)


def test_a_large_upload_never_becomes_a_temporary_file(browser, temporary, opened, monkeypatch):
    monkeypatch.setattr(TemporaryUploadedFile, "__init__", lambda *args: pytest.fail("a temporary file"))
    values = stored_values(16, 1600, 1200)
    data = written(dataset_of(values, bits=16))
    assert len(data) > site.FILE_UPLOAD_MAX_MEMORY_SIZE
    browser.post(NEW, {"image": SimpleUploadedFile("large", data)})
    assert Scan.objects.get().width == 1600
    assert list(temporary.rglob("*")) == []
    assert site.FILE_UPLOAD_HANDLERS == ["diagnosis.upload_handlers.InMemoryUploadHandler"]


def test_of_a_file_too_large_only_as_much_is_held_as_tells_that(settings):
    settings.INTAKE_MAX_BYTES = 1000
    body = {"image": SimpleUploadedFile("large", bytes(100_000)), "other": SimpleUploadedFile("small", b"12")}
    request = RequestFactory().post("/", body)
    assert len(request.FILES["image"].read()) == 1001
    assert request.FILES["other"].read() == b"12"
    assert isinstance(request.upload_handlers[0], InMemoryUploadHandler)


def test_an_upload_too_large_as_a_whole_is_dropped_and_said_so(browser, settings, media):
    settings.UPLOAD_MAX_BYTES = 2 * 2**20
    response = browser.post(NEW, {"image": [SimpleUploadedFile(f"{n}.png", bytes(2**20)) for n in range(3)]})
    assert response.status_code == 422
    assert "These files have more than 2 MB together" in response.content.decode()
    assert not Scan.objects.exists()


def test_burnt_in_text_is_warned_of(browser):
    page = browser.get(NEW).content.decode()
    assert "What is written into the picture itself can't be removed." in page


def test_the_facts_stand_on_the_page_of_the_scan(browser):
    browser.post(NEW, {"image": SimpleUploadedFile(FILE_NAME, telling_file(PixelSpacing=[0.139, 0.14]))})
    page = browser.get(Scan.objects.get().get_absolute_url()).content.decode()
    for text in ("Kept of the DICOM file", "MONOCHROME2", "0.139 × 0.14 mm", "34 years"):
        assert text in page


def test_the_page_of_another_scan_has_no_such_list(browser):
    browser.post(NEW, {"image": SimpleUploadedFile("a.png", encoded(chest_like(), "PNG"))})
    assert "Kept of the DICOM file" not in browser.get(Scan.objects.get().get_absolute_url()).content.decode()
