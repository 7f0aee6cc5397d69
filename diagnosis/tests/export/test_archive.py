"""Everything of a person as one ZIP: complete to the byte, honest about what is missing, written while it is sent."""

import io
import json
import zipfile

import pytest
from django.core.files.storage import FileSystemStorage

from diagnosis import services
from diagnosis.dicom.kept import OLDEST
from diagnosis.export import archive
from diagnosis.export.archive import Member, zipped
from diagnosis.export.history import COLUMNS
from diagnosis.files import StorageAway
from diagnosis.models import Label, Prediction, Preferences, Scan, Upload
from diagnosis.states import State
from diagnosis.tests.factories import PASSWORD, model_version_of, prediction_at, scan_of
from diagnosis.tokens import ApiToken

pytestmark = pytest.mark.django_db

ADDRESS = "/accounts/everything.zip"


def everything(browser) -> zipfile.ZipFile:
    response = browser.get(ADDRESS)
    assert response.status_code == 200
    opened = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    assert opened.testzip() is None
    return opened


def told(opened: zipfile.ZipFile, name: str):
    return json.loads(opened.read(name))


def stored(field) -> bytes:
    with field.storage.open(field.name) as file:
        return file.read()


@pytest.fixture
def answered(alice) -> Prediction:
    return prediction_at(
        State.SUCCEEDED, scan_of(alice, reference="Станция 肺 7"), model_version_of(), has_heatmap=True
    )


def test_it_holds_every_picture_and_heatmap_byte_by_byte(browser, alice, answered):
    earlier = prediction_at(State.SUCCEEDED, answered.scan, model_version_of(), has_heatmap=True)
    other = scan_of(alice)
    opened = everything(browser)
    assert opened.read(f"pictures/{answered.scan_id}.png") == stored(answered.scan.picture)
    assert opened.read(f"pictures/{other.pk}.png") == stored(other.picture)
    for prediction in (answered, earlier):
        assert opened.read(f"heatmaps/{prediction.pk}.png") == stored(prediction.heatmap)
    files = {name for name in opened.namelist() if "/" in name}
    assert len(files) == 4
    assert "MISSING.txt" not in opened.namelist()


def test_it_tells_of_scans_answers_reviews_uploads_and_the_account(browser, alice, answered, rita):
    services.record_review(prediction=answered, reviewer=rita, label=Label.NORMAL)
    upload = Upload.objects.create(owner=alice, given=2, refused=[{"file": "a.txt", "code": "X", "sentence": "No."}])
    upload.scans.add(answered.scan)
    opened = everything(browser)
    [scan] = told(opened, "scans.json")["scans"]
    assert scan["reference"] == "Станция 肺 7"
    assert scan["predictions"][0]["reviews"][0]["label"] == "NORMAL"
    assert str(answered.pk) in opened.read("scans.csv").decode("utf-8-sig")
    [given] = told(opened, "uploads.json")
    assert (given["files"], given["scans"]) == (2, [str(answered.scan_id)])
    assert given["refused"][0]["file"] == "a.txt"
    account = told(opened, "account.json")
    assert account["user_name"] == "alice"
    assert account["email"] == "alice@example.org"
    assert account["joined_at"].endswith("+00:00")
    assert account["api_token"] is None
    assert told(opened, "reviews.json") == []


def test_the_chosen_language_and_time_zone_are_in_it_and_null_where_nothing_was_chosen(browser, alice):
    account = told(everything(browser), "account.json")
    assert (account["language"], account["time_zone"]) == (None, None)
    Preferences.objects.create(user=alice, language="es", time_zone="America/Bogota")
    account = told(everything(browser), "account.json")
    assert (account["language"], account["time_zone"]) == ("es", "America/Bogota")


def test_a_reader_takes_the_own_reviews_along_and_nothing_of_the_scans(client, answered, rita):
    services.record_review(prediction=answered, reviewer=rita, label=Label.NORMAL, note="rotated")
    client.force_login(rita)
    opened = everything(client)
    [review] = told(opened, "reviews.json")
    assert (review["prediction"], review["label"], review["note"]) == (str(answered.pk), "NORMAL", "rotated")
    assert told(opened, "account.json")["groups"] == ["Reviewers"]
    assert told(opened, "scans.json")["scans"] == []
    assert not [name for name in opened.namelist() if "/" in name]


def test_no_password_and_no_token_is_in_it(browser, alice, answered):
    token, secret = ApiToken.objects.issue(user=alice, lifetime=None)
    opened = everything(browser)
    assert told(opened, "account.json")["api_token"] == {
        "made_at": token.created_at.isoformat(),
        "last_used_at": None,
        "expires_at": None,
    }
    words = b"".join(opened.read(name) for name in opened.namelist() if not name.endswith(".png")).decode()
    for hidden in (secret, token.start, token.digest, alice.password, PASSWORD):
        assert hidden not in words


def test_nothing_of_others_is_in_it_not_even_for_staff(client, answered, sam):
    client.force_login(sam)
    opened = everything(client)
    assert told(opened, "scans.json")["scans"] == []
    assert "alice" not in opened.read("README.txt").decode()
    client.logout()
    assert client.get(ADDRESS).status_code == 302


def test_the_read_me_explains_every_file_and_column(browser, answered):
    opened = everything(browser)
    words = opened.read("README.txt").decode()
    for name in opened.namelist()[1:]:
        assert name.split("/")[0] in words
    for name, meaning in COLUMNS.items():
        assert name in words
        assert str(meaning) in words
    assert "Not a medical device" in words
    assert str(OLDEST) in words


def test_it_tells_what_was_done_with_the_scans_and_by_whom_without_a_name(browser, alice, answered, client, rita):
    services.record_review(prediction=answered, reviewer=rita, label=Label.NORMAL)
    events = told(everything(browser), "events.json")
    assert [(event["action"], event["who"], event["detail"]) for event in events if event["action"] != "UPLOADED"] == [
        ("REVIEWED", "Staff", ""),
        ("EXPORTED", "You", "ZIP"),
    ]
    [review] = [event for event in events if event["action"] == "REVIEWED"]
    assert review["scan"] == str(answered.scan_id)
    assert review["at"].endswith("+00:00")
    assert "rita" not in json.dumps(events)


def test_a_missing_file_is_told_and_everything_else_is_there(browser, alice, answered):
    kept = scan_of(alice)
    answered.scan.picture.storage.delete(answered.scan.picture.name)
    answered.heatmap.storage.delete(answered.heatmap.name)
    opened = everything(browser)
    missing = opened.read("MISSING.txt").decode()
    assert f"pictures/{answered.scan_id}.png: the file is missing" in missing
    assert f"heatmaps/{answered.pk}.png: the file is missing" in missing
    assert f"pictures/{answered.scan_id}.png" not in opened.namelist()
    assert opened.read(f"pictures/{kept.pk}.png") == stored(kept.picture)


def test_a_storage_that_goes_away_meanwhile_is_told(browser, answered, monkeypatch):
    def away(*_args, **_kwargs):
        raise StorageAway("nobody there")

    monkeypatch.setattr(FileSystemStorage, "open", away)
    opened = everything(browser)
    assert "could not be reached; try again later" in opened.read("MISSING.txt").decode()
    assert told(opened, "scans.json")["scans"]


def test_a_file_that_breaks_off_is_told(browser, answered, monkeypatch):
    class Broken(io.BytesIO):
        def chunks(self, _size):
            yield b"\x89PNG"
            raise OSError("a bad block")

    monkeypatch.setattr(FileSystemStorage, "open", lambda *_args: Broken())
    opened = everything(browser)
    assert opened.read(f"pictures/{answered.scan_id}.png") == b"\x89PNG"
    assert (
        f"pictures/{answered.scan_id}.png: the file could not be read to its end" in opened.read("MISSING.txt").decode()
    )


def test_names_in_it_tell_nothing_and_no_cache_keeps_it(browser, answered):
    Scan.objects.update(original_name="../../etc/passwd", reference="../secret")
    response = browser.get(ADDRESS)
    assert response["Content-Type"] == "application/zip"
    assert response["Content-Disposition"] == 'attachment; filename="everything.zip"'
    assert "no-store" in response["Cache-Control"]
    opened = zipfile.ZipFile(io.BytesIO(b"".join(response.streaming_content)))
    assert all(name.isascii() and ".." not in name and not name.startswith("/") for name in opened.namelist())


def test_it_is_sent_piece_by_piece_while_it_is_read(answered):
    read, taken = [], []

    def parts(number: int):
        for _ in range(8):
            read.append(number)
            yield bytes(archive.PIECE // 2)

    members = [Member(f"{number}.bin", parts(number), answered.requested_at, is_packed=True) for number in range(3)]
    for piece in zipped(members):
        taken.append(len(piece))
        assert len(piece) < 2 * archive.PIECE
        # Never further ahead than what fills a piece.
        assert len(read) * archive.PIECE // 2 <= sum(taken) + archive.PIECE
    assert len(read) == 24


def test_pictures_are_stored_as_they_are_and_words_are_packed(browser, answered):
    opened = everything(browser)
    assert opened.getinfo(f"pictures/{answered.scan_id}.png").compress_type == zipfile.ZIP_STORED
    assert opened.getinfo("scans.json").compress_type == zipfile.ZIP_DEFLATED
    assert opened.getinfo(f"pictures/{answered.scan_id}.png").date_time[0] == answered.scan.created_at.year


def test_the_account_page_leads_to_it(browser):
    assert f'href="{ADDRESS}"' in browser.get("/accounts/").content.decode()
