"""Files in a bucket instead of a folder, on a real S3 server over HTTP: everything works, or says what is wrong."""

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from diagnosis import bucket as bucket_module
from diagnosis import erasure, services, sweeping, worker
from diagnosis.bucket import BucketStorage
from diagnosis.files import StorageAway
from diagnosis.models import Prediction, Scan, Upload
from diagnosis.states import FailureReason, State
from diagnosis.tests.archive_files import zipped
from diagnosis.tests.factories import active_model_version, answer_queued, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, chest_like_16_bit, encoded
from diagnosis.tests.s3 import KEYS, NAME, PREFIX, Bucket, nobody_there, s3_server, storage_at

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with s3_server() as bucket:
        yield bucket


@pytest.fixture
def use(settings, monkeypatch):
    """Let the site keep its files in the bucket at this address, with these options changed."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)

    def use(url: str, **changes) -> None:
        settings.STORAGES = settings.STORAGES | {"default": storage_at(url, **changes)}

    return use


@pytest.fixture(autouse=True)
def bucket(server, use) -> Iterator[Bucket]:
    """The bucket that holds the files of the site, empty at first."""
    use(server.url)
    yield server
    server.empty()


@pytest.fixture
def away(use) -> Callable[[], None]:
    """A call that takes the storage away."""
    return lambda: use(nobody_there())


@pytest.fixture(autouse=True)
def hasty(monkeypatch) -> None:
    """Don't wait before a second try."""
    monkeypatch.setattr(bucket_module, "TRIES", 1)


def upload(browser, picture=None, name: str = "chest.png"):
    file = SimpleUploadedFile(name, encoded(picture or chest_like(), "PNG"))
    return browser.post("/scans/new/", {"image": file})


def page(name: str, scan: Scan, *more) -> str:
    return reverse(f"diagnosis:{name}", args=[scan.pk, *more])


@pytest.fixture
def answered(browser, fake_classifier, sent) -> Scan:
    """A scan that alice uploaded through the page and the worker answered."""
    active_model_version()
    upload(browser)
    answer_queued()
    return Scan.objects.get()


def test_an_upload_is_answered_and_all_its_pictures_come_back_from_the_bucket(browser, answered, bucket, media):
    prediction = answered.predictions.get()
    assert prediction.state == State.SUCCEEDED
    stored = [answered.picture.name, answered.thumbnail.name, answered.model_input.name, prediction.heatmap.name]
    assert sorted(bucket.names()) == sorted(f"{PREFIX}/{name}" for name in stored)
    for address, name in (
        (page("scan_picture", answered), answered.picture.name),
        (page("scan_thumbnail", answered), answered.thumbnail.name),
        (page("prediction_heatmap", answered, prediction.pk), prediction.heatmap.name),
    ):
        response = browser.get(address)
        assert response.status_code == 200
        assert response.getvalue() == bucket.read(name)
    assert not media.exists(), "nothing lies in the folder"


def test_a_picture_of_16_bits_is_shown_in_8(browser, bucket, sent):
    upload(browser, chest_like_16_bit())
    scan = Scan.objects.get()
    shown = browser.get(page("scan_picture", scan)).getvalue()
    assert shown.startswith(b"\x89PNG")
    assert shown[24] == 8
    assert bucket.read(scan.picture.name)[24] == 16


def test_deleting_a_scan_empties_the_bucket(browser, answered, bucket, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        assert browser.post(page("scan_delete", answered)).status_code == 302
    assert not Scan.objects.exists()
    assert bucket.names() == []


def test_deleting_a_person_empties_the_bucket(alice, answered, bucket, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        alice.delete()
    assert bucket.names() == []


def test_a_further_attempt_writes_over_the_heatmap_that_a_lost_one_left(answered, bucket, fake_classifier):
    prediction = answered.predictions.get()
    bucket.write(prediction.heatmap.name, b"the beginning of a file")
    png = worker.heatmap_png(prediction, fake_classifier.classify([None])[0])

    assert worker.store_heatmap(prediction, png, name=prediction.heatmap.name)

    assert bucket.read(prediction.heatmap.name).startswith(b"\x89PNG")
    assert len(bucket.names()) == 4


def test_a_scan_whose_row_cannot_be_stored_leaves_no_files(browser, bucket, monkeypatch, alice):
    def fails(*args, **kwargs):
        raise RuntimeError("no room for rows")

    monkeypatch.setattr(Scan, "save", fails)
    with pytest.raises(RuntimeError, match="no room"):
        upload(browser)
    assert bucket.names() == []


def test_a_scan_whose_thumbnail_cannot_be_stored_leaves_no_picture(browser, bucket, monkeypatch):
    save = BucketStorage._save

    def saves_pictures_only(storage, name, content):
        if name.startswith("thumbnails/"):
            raise StorageAway(name)
        return save(storage, name, content)

    monkeypatch.setattr(BucketStorage, "_save", saves_pictures_only)
    assert upload(browser).status_code == 503
    assert bucket.names() == []
    assert not Scan.objects.exists()


# What is missing


@pytest.mark.parametrize("name", ["scan_picture", "scan_thumbnail", "prediction_heatmap"])
def test_a_missing_file_is_not_found(browser, answered, bucket, name):
    more = [answered.predictions.get().pk] if name == "prediction_heatmap" else []
    bucket.empty()
    assert browser.get(page(name, answered, *more)).status_code == 404


def test_a_missing_picture_is_unreadable_and_not_waited_for(alice, bucket, fake_classifier):
    prediction = prediction_at(State.QUEUED, scan_of(alice))
    bucket.empty()
    answer_queued()
    prediction.refresh_from_db()
    assert (prediction.state, prediction.reason) == (State.FAILED, FailureReason.UNREADABLE_IMAGE)


def test_a_damaged_picture_is_unreadable(alice, bucket, fake_classifier):
    prediction = prediction_at(State.QUEUED, scan_of(alice))
    bucket.write(prediction.scan.picture.name, b"\x89PNG\r\n\x1a\n truncated")
    answer_queued()
    prediction.refresh_from_db()
    assert prediction.reason == FailureReason.UNREADABLE_IMAGE


def test_a_missing_file_is_missing_when_it_is_opened_and_deleted_without_complaint(bucket):
    with pytest.raises(FileNotFoundError):
        default_storage.open("scans/no/such.png")
    with pytest.raises(FileNotFoundError):
        default_storage.size("scans/no/such.png")
    assert not default_storage.exists("scans/no/such.png")
    default_storage.delete("scans/no/such.png")


def test_what_was_opened_can_be_read_though_it_is_deleted_meanwhile(bucket):
    default_storage.save("a/file", ContentFile(b"content"))
    with default_storage.open("a/file") as file:
        bucket.empty()
        assert file.read() == b"content"
        file.seek(3)
        assert file.read() == b"tent"


# When the storage is away


def test_an_upload_while_the_storage_is_away_is_refused_in_words_and_nothing_is_kept(browser, away, caplog):
    away()
    caplog.set_level(logging.ERROR, "diagnosis.services")
    files = [SimpleUploadedFile(name, encoded(chest_like(), "PNG")) for name in ("one.png", "two.png")]

    response = browser.post("/scans/new/", {"image": files})

    said = response.content.decode()
    assert response.status_code == 503
    assert int(response["Retry-After"]) > 0
    assert "one.png: Pictures can&#x27;t be stored right now" in said
    assert "two.png: Pictures can&#x27;t be stored right now" in said
    assert not Scan.objects.exists()
    assert not Prediction.objects.exists()
    tried = [record for record in caplog.records if record.name.startswith("diagnosis.services")]
    assert len(tried) == 1, "the second file does not wait for the storage again"


def test_the_storage_goes_away_within_an_upload_and_what_was_kept_by_then_stays(
    browser, bucket, away, monkeypatch, sent
):
    submit, tried = services.submit_scan, []

    def submit_and_lose_the_storage(**given):
        tried.append(given["original_name"])
        submission = submit(**given)
        away()
        return submission

    monkeypatch.setattr(services, "submit_scan", submit_and_lose_the_storage)
    pictures = {f"{seed}.png": encoded(chest_like(seed=seed), "PNG") for seed in range(4)}
    archive = SimpleUploadedFile("all.zip", zipped(pictures))

    browser.post("/scans/new/", {"image": archive})

    upload = Upload.objects.get()
    assert (upload.given, upload.scans.count()) == (4, 1)
    told = [(file["file"], file["code"]) for file in upload.refused]
    assert told == [(f"File {place} of 4", "STORAGE_AWAY") for place in (2, 3, 4)]
    assert tried == ["File 1 of 4", "File 2 of 4"], "the others do not wait for the storage again"


@pytest.mark.parametrize("name", ["scan_picture", "scan_thumbnail", "prediction_heatmap"])
def test_a_file_that_cannot_be_fetched_now_is_503_and_no_browser_keeps_that(browser, answered, away, name):
    more = [answered.predictions.get().pk] if name == "prediction_heatmap" else []
    away()
    response = browser.get(page(name, answered, *more))
    assert response.status_code == 503
    assert "can't be reached right now" in response.content.decode()
    assert response["Cache-Control"] == "no-store"
    assert int(response["Retry-After"]) > 0


def test_the_other_pages_go_on_while_the_storage_is_away(browser, answered, away):
    away()
    assert browser.get(reverse("diagnosis:scan_list")).status_code == 200
    assert browser.get(page("scan_detail", answered)).status_code == 200


@pytest.mark.django_db(transaction=True)
def test_nobody_is_told_that_a_picture_is_gone_while_it_cannot_be_deleted(browser, answered, away):
    away()
    assert browser.post(page("scan_delete", answered)).status_code == 503
    assert Scan.objects.filter(pk=answered.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_nobody_is_deleted_while_their_pictures_cannot_be(alice, answered, away):
    away()
    with pytest.raises(StorageAway):
        alice.delete()
    assert Scan.objects.filter(pk=answered.pk, owner=alice).exists()


def test_a_prediction_waits_for_the_storage_however_often_it_is_tried_and_is_answered_then(
    alice, bucket, use, away, fake_classifier, sent, settings
):
    prediction = prediction_at(State.QUEUED, scan_of(alice))
    away()
    for turn in range(settings.PREDICTION_MAX_ATTEMPTS + 2):
        answer_queued()
        prediction.refresh_from_db()
        assert (prediction.state, prediction.attempts) == (State.QUEUED, 0)
        assert services.requeue_stale().sent == 1, "its next turn needs no patience"
        assert len(sent) == turn + 1

    use(bucket.url)
    answer_queued()

    prediction.refresh_from_db()
    assert (prediction.state, prediction.attempts) == (State.SUCCEEDED, 1)


def test_a_worker_that_lost_its_claim_does_not_put_back_what_another_one_reads(alice, fake_classifier):
    prediction = prediction_at(State.RUNNING, scan_of(alice), task_id="another")
    assert not Prediction.objects.postpone(prediction.pk, task_id="this")
    prediction.refresh_from_db()
    assert (prediction.state, prediction.attempts) == (State.RUNNING, 1)


def test_an_answer_stands_without_its_heatmap_when_the_storage_goes_away_meanwhile(
    alice, fake_classifier, away, monkeypatch
):
    prediction = prediction_at(State.QUEUED, scan_of(alice))
    classify = fake_classifier.classify

    def classify_and_lose_the_storage(pictures):
        away()
        return classify(pictures)

    monkeypatch.setattr(fake_classifier, "classify", classify_and_lose_the_storage)
    answer_queued()

    prediction.refresh_from_db()
    assert (prediction.state, prediction.heatmap.name) == (State.SUCCEEDED, "")


def test_a_bucket_that_is_gone_is_no_missing_file(use, bucket):
    use(bucket.url, bucket_name="no-such-bucket")
    with pytest.raises(StorageAway):
        default_storage.open("scans/some.png")


# Privacy


def test_files_are_encrypted_typed_and_open_to_nobody_else(answered, bucket):
    for name in bucket.names():
        assert bucket.client.head_object(Bucket=NAME, Key=name)["ServerSideEncryption"] == "AES256"
        grants = bucket.client.get_object_acl(Bucket=NAME, Key=name)["Grants"]
        assert [grant["Permission"] for grant in grants] == ["FULL_CONTROL"]
        assert "URI" not in grants[0]["Grantee"], "only the owner of the bucket"


def test_no_page_names_a_file_in_the_bucket(client, sam, browser, answered, bucket):
    prediction = answered.predictions.get()
    own = [reverse("diagnosis:scan_list"), page("scan_detail", answered), page("scan_status", answered)]
    staff = [
        reverse("admin:diagnosis_scan_changelist"),
        reverse("admin:diagnosis_scan_change", args=[answered.pk]),
        reverse("admin:diagnosis_prediction_changelist"),
        reverse("admin:diagnosis_prediction_change", args=[prediction.pk]),
    ]
    seen = [browser.get(address) for address in own]
    client.force_login(sam)
    seen += [client.get(address) for address in staff]
    for response in seen:
        assert response.status_code == 200
        for word in (NAME, bucket.url, "X-Amz", answered.picture.name):
            assert word not in response.content.decode()


def test_a_file_in_the_bucket_has_no_url_at_all(answered):
    with pytest.raises(ValueError, match="no URL"):
        answered.picture.url  # noqa: B018


def test_erasing_an_account_empties_the_bucket_of_all_that_was_theirs(
    browser, alice, bob, answered, bucket, django_capture_on_commit_callbacks
):
    kept = scan_of(bob)
    with django_capture_on_commit_callbacks(execute=True):
        erased = erasure.erase_account(user=alice, erased_by=alice)
    assert erased.files == 4
    assert set(bucket.names()) == {f"{PREFIX}/{kept.picture.name}", f"{PREFIX}/{kept.thumbnail.name}"}


def test_files_in_the_bucket_that_no_row_names_are_swept_once_they_are_old(answered, bucket, monkeypatch):
    named = set(bucket.names())
    for name in ("scans/ab/abc.png", "heatmaps/ab/abc.png", "reports/abc.pdf"):
        bucket.write(name, b"left behind")
    assert list(sweeping.sweep_files()) == []
    monkeypatch.setattr(sweeping, "YOUNG", timedelta(seconds=-60))
    assert list(sweeping.sweep_files()) == ["scans/ab/abc.png", "heatmaps/ab/abc.png"]
    assert set(bucket.names()) == named | {f"{PREFIX}/reports/abc.pdf"}


def test_nothing_is_swept_while_the_storage_is_away(answered, away):
    away()
    with pytest.raises(StorageAway):
        list(sweeping.sweep_files())
