"""Hostile files given as people and programs give them: answered, or refused with a sentence and nothing stays."""

import tempfile
import urllib.parse
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from diagnosis.models import Prediction, Scan, Upload
from diagnosis.tests.api.conftest import Program
from diagnosis.tests.hostile.corpus import ANSWER, FILES
from diagnosis.tests.pictures import chest_like, encoded

# Pillow warns about odd metadata and then goes on, as it does in production.
pytestmark = pytest.mark.filterwarnings(r"ignore::UserWarning:PIL\.")

PAGE, API = "/scans/new/", "/api/v1/scans/"
ARCHIVES = [file for file in FILES if file.kind.startswith("ZIP")]


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch) -> Path:
    """Let every temporary file be made in a folder of this test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def check_what_stayed(outcome: str, media: Path, temporary: Path) -> None:
    """See that a scan has its three files, and that of a refused file nothing stayed."""
    scans = Scan.objects.count()
    assert scans == (outcome == ANSWER)
    assert len(files_in(media)) == 3 * scans
    assert files_in(temporary) == []
    if not scans:
        assert not Prediction.objects.exists()
        assert not Upload.objects.exists()


def check_words(text: str) -> None:
    for word in ("Traceback", "Error:", "site-packages", ".py", "<script>alert"):
        assert word not in text


# The largest that are answered take seconds, and nothing here is special to them; test_costs has them.
@pytest.mark.parametrize(
    "file", [file for file in FILES if not (file.is_bomb and file.outcome == ANSWER)], ids=lambda file: file.kind
)
def test_the_page_answers_or_says_why_not(browser, model_version, media, temporary, path_of, file):
    upload = SimpleUploadedFile(file.file_name, path_of(file).read_bytes())
    response = browser.post(PAGE, {"image": upload}, follow=True)
    assert response.status_code == (200 if file.outcome == ANSWER else 422)
    check_words(response.content.decode())
    check_what_stayed(file.outcome, media, temporary)


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if not file.is_bomb and file not in ARCHIVES],
    ids=lambda file: file.kind,
)
def test_the_api_answers_or_says_why_not(alice, model_version, media, temporary, path_of, file):
    upload = SimpleUploadedFile(file.file_name, path_of(file).read_bytes())
    response = Program(alice).post(API, {"image": upload})
    assert response.status_code == (202 if file.outcome == ANSWER else 422)
    check_words(response.content.decode())
    if file.outcome not in (ANSWER, "EMPTY"):
        assert response.json()["code"] == file.outcome
        assert response.json()["detail"].endswith(".")
    check_what_stayed(file.outcome, media, temporary)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ('filename="../../../etc/passwd.png"', "passwd.png"),
        ('filename="..\\\\..\\\\a.png"', "a.png"),
        ('filename="/etc/cron.d/a.png"', "a.png"),
        ('filename="a\0b.png"', "ab.png"),
        ("filename*=UTF-8''a%00b.png", "ab.png"),
        ("filename*=UTF-8''chest%E2%80%AEgnp.exe", "chestgnp.exe"),
        ("filename*=UTF-8''%ED%A0%80a.png", None),
        ("filename*=utf-7''%2B2AA-a.png", None),
        ("filename*=nonsense''a.png", None),
        ("filename*=UTF-8''" + urllib.parse.quote("肺" * 400) + ".png", None),
        ('filename="' + "a" * 5000 + '.png"', None),
        ('filename="<script>alert(1)</script>.png"', None),
        ('filename="&lt;script&gt;alert(1)&lt;/script&gt;.png"', None),
        ('filename="CON.png"', "CON.png"),
        ('filename=".png"', ".png"),
    ],
)
def test_a_hostile_name_harms_nobody(browser, model_version, media, temporary, name, kept):
    body = b"".join(
        [
            b'--edge\r\nContent-Disposition: form-data; name="image"; ' + name.encode(),
            b"\r\nContent-Type: text/html\r\n\r\n" + encoded(chest_like(200, 160), "PNG") + b"\r\n--edge--\r\n",
        ]
    )
    response = browser.generic("POST", PAGE, body, content_type="multipart/form-data; boundary=edge", follow=True)
    assert response.status_code in (200, 302, 400, 422)
    for scan in Scan.objects.all():
        assert kept is None or scan.original_name in (kept, "File 1 of 1")
        assert len(scan.original_name) <= 255
        assert scan.original_name.isprintable()
        assert not {"/", "\0"} & set(scan.original_name)
        page = browser.get(scan.get_absolute_url()).content.decode()
        assert "<script>alert" not in page
    assert all(path.is_relative_to(media) for path in files_in(media))
    assert len(files_in(media)) == 3 * Scan.objects.count()
    assert files_in(temporary) == []
