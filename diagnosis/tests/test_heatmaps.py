"""The heatmap of an answer: stored with it, shown to those who may see the picture, gone with the scan."""

import io
import re
import uuid
from pathlib import Path

import pytest
from django.core.files.storage import FileSystemStorage
from django.db import DatabaseError, transaction
from django.urls import reverse
from PIL import Image

from diagnosis import services, worker
from diagnosis.models import Prediction, Scan
from diagnosis.states import State, Trigger
from diagnosis.tests.factories import HEIGHT, WIDTH, answer_queued, model_version_of, prediction_at, scan_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def scan(alice) -> Scan:
    return scan_of(alice)


def heatmap_url(prediction: Prediction) -> str:
    return reverse("diagnosis:prediction_heatmap", args=[prediction.scan_id, prediction.pk])


def page_of(browser, scan: Scan, **query) -> str:
    response = browser.get(scan.get_absolute_url(), query)
    assert response.status_code == 200
    return response.content.decode()


def heatmap_files(media: Path) -> list[Path]:
    return [path for path in (media / "heatmaps").rglob("*") if path.is_file()]


def full_disk(monkeypatch) -> None:
    """Let the disk be full when a heatmap is written: its first bytes fit."""

    def save(self, name, content, max_length=None):
        path = Path(self.path(name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.read(10))
        raise OSError("no space left on device")

    monkeypatch.setattr(FileSystemStorage, "save", save)


# What the worker stores ----------------------------------------------------------------------------------------------


def test_the_answer_comes_with_a_small_picture_of_the_heat(fake_classifier, scan, media):
    prediction_at(State.QUEUED, scan)

    (prediction,) = answer_queued()

    (stored,) = heatmap_files(media)
    assert prediction.heatmap.path == str(stored)
    assert prediction.heatmap.name == f"heatmaps/{prediction.pk.hex[:2]}/{prediction.pk.hex}.png"
    with Image.open(stored) as picture:
        assert picture.has_transparency_data
    assert stored.stat().st_size < 12_000


def test_a_full_disk_costs_the_heatmap_and_not_the_answer(fake_classifier, scan, media, monkeypatch, caplog):
    prediction_at(State.QUEUED, scan)
    full_disk(monkeypatch)

    (prediction,) = answer_queued()

    assert (prediction.state, prediction.probability, prediction.heatmap.name) == (State.SUCCEEDED, 0.9, "")
    assert heatmap_files(media) == []
    assert f"Prediction {prediction.pk}: the heatmap can't be stored" in caplog.text


def test_a_heatmap_that_is_none_costs_the_heatmap_and_not_the_answer(fake_classifier, scan, media, caplog):
    prediction_at(State.QUEUED, scan)
    fake_classifier.heatmap = None

    (prediction,) = answer_queued()

    assert (prediction.state, prediction.heatmap.name) == (State.SUCCEEDED, "")
    assert "the heatmap can't be made" in caplog.text


def test_a_late_task_whose_claim_was_taken_leaves_no_file(fake_classifier, scan, media, monkeypatch):
    prediction = prediction_at(State.QUEUED, scan)
    classify = fake_classifier.classify

    def slowly(pictures):
        Prediction.objects.filter(pk=prediction.pk).put_back()
        return classify(pictures)

    monkeypatch.setattr(fake_classifier, "classify", slowly)
    worker.answer(str(prediction.pk), task_id="slow")

    prediction.refresh_from_db()
    assert (prediction.state, prediction.heatmap.name) == (State.QUEUED, "")
    assert heatmap_files(media) == []


def test_a_late_task_leaves_alone_what_the_faster_one_wrote(fake_classifier, scan, media, monkeypatch):
    prediction = prediction_at(State.QUEUED, scan)
    classify, before = fake_classifier.classify, []

    def slowly(pictures):
        monkeypatch.setattr(fake_classifier, "classify", classify)
        Prediction.objects.filter(pk=prediction.pk).put_back()
        worker.answer(str(prediction.pk), task_id="fast")
        before.extend((path, path.stat().st_ino, path.stat().st_mtime_ns) for path in heatmap_files(media))
        return classify(pictures)

    monkeypatch.setattr(fake_classifier, "classify", slowly)
    worker.answer(str(prediction.pk), task_id="slow")

    prediction.refresh_from_db()
    assert (prediction.state, prediction.claimed_by) == (State.SUCCEEDED, "fast")
    assert Path(prediction.heatmap.path).exists()
    assert [(path, path.stat().st_ino, path.stat().st_mtime_ns) for path in heatmap_files(media)] == before


def killed_after_the_file(prediction: Prediction, monkeypatch) -> None:
    """Let the worker be killed between the file of the heatmap and the end of the row's transaction."""
    save = FileSystemStorage.save

    def save_and_die(storage, name, content, **options):
        saved = save(storage, name, content, **options)
        if name.startswith("heatmaps/"):
            raise SystemExit
        return saved

    with monkeypatch.context() as patched:
        patched.setattr(FileSystemStorage, "save", save_and_die)
        with pytest.raises(SystemExit):
            worker.answer(str(prediction.pk), task_id="killed")
    prediction.refresh_from_db()


def test_a_killed_worker_leaves_a_file_that_the_next_attempt_writes_over(fake_classifier, scan, media, monkeypatch):
    prediction = prediction_at(State.QUEUED, scan)
    killed_after_the_file(prediction, monkeypatch)
    assert (prediction.state, prediction.heatmap.name) == (State.RUNNING, "")
    (left,) = heatmap_files(media)
    left.write_bytes(b"half a fi")

    worker.answer(str(prediction.pk), task_id="killed")

    prediction.refresh_from_db()
    assert prediction.state == State.SUCCEEDED
    assert heatmap_files(media) == [Path(prediction.heatmap.path)] == [left]
    with Image.open(left) as picture:
        picture.verify()


@pytest.mark.parametrize("way", ["the page", "the scan in the admin", "chosen scans in the admin", "their owner"])
def test_erasing_takes_the_file_of_a_killed_worker_too(
    fake_classifier, scan, client, alice, sam, media, monkeypatch, django_capture_on_commit_callbacks, way
):
    prediction = prediction_at(State.QUEUED, scan)
    killed_after_the_file(prediction, monkeypatch)
    assert len(heatmap_files(media)) == 1
    chosen = {"action": "delete_selected", "_selected_action": [scan.pk]}
    person, address, more = {
        "the page": (alice, reverse("diagnosis:scan_delete", args=[scan.pk]), {}),
        "the scan in the admin": (sam, reverse("admin:diagnosis_scan_delete", args=[scan.pk]), {}),
        "chosen scans in the admin": (sam, reverse("admin:diagnosis_scan_changelist"), chosen),
        "their owner": (sam, reverse("admin:auth_user_delete", args=[alice.pk]), {}),
    }[way]

    client.force_login(person)
    with django_capture_on_commit_callbacks(execute=True):
        client.post(address, {"post": "yes", **more})

    assert not Scan.objects.exists()
    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_an_answer_that_came_after_the_look_at_the_rows_is_erased_with_its_file(
    scan, media, django_capture_on_commit_callbacks
):
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True, heatmap="")

    with django_capture_on_commit_callbacks(execute=True):
        services.erase_scan(scan=scan, erased_by=None)

    assert heatmap_files(media) == []


def test_what_is_not_erased_after_all_keeps_its_heatmap(scan, media, django_capture_on_commit_callbacks):
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True)

    with django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        services.erase_scan(scan=scan, erased_by=None)
        transaction.set_rollback(True)

    assert Scan.objects.exists()
    assert len(heatmap_files(media)) == 1


def test_a_scan_that_is_erased_while_it_is_read_leaves_no_file(
    fake_classifier, scan, media, monkeypatch, django_capture_on_commit_callbacks
):
    prediction = prediction_at(State.QUEUED, scan)
    classify = fake_classifier.classify

    def slowly(pictures):
        with django_capture_on_commit_callbacks(execute=True):
            services.erase_scan(scan=Scan.objects.get(pk=scan.pk), erased_by=None)
        return classify(pictures)

    monkeypatch.setattr(fake_classifier, "classify", slowly)
    worker.answer(str(prediction.pk), task_id="slow")

    assert not Prediction.objects.exists()
    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_a_database_that_fails_at_the_end_leaves_no_file(fake_classifier, scan, media, monkeypatch):
    prediction = prediction_at(State.QUEUED, scan)

    def fail(*_args, **_kwargs):
        raise DatabaseError("connection lost")

    monkeypatch.setattr("diagnosis.models.PredictionQuerySet.succeed", fail)
    with pytest.raises(DatabaseError):
        worker.answer(str(prediction.pk), task_id="task")

    assert heatmap_files(media) == []


def test_erasing_a_scan_erases_the_heatmaps_of_all_its_answers(
    fake_classifier, scan, media, django_capture_on_commit_callbacks
):
    for _ in range(2):
        prediction_at(State.QUEUED, scan, model_version_of())
        answer_queued()
    assert len(heatmap_files(media)) == 2

    with django_capture_on_commit_callbacks(execute=True):
        services.erase_scan(scan=scan, erased_by=None)

    assert [path for path in media.rglob("*") if path.is_file()] == []


def test_a_new_answer_leaves_the_heatmap_of_the_old_one(fake_classifier, scan, media):
    old = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)

    list(services.reprocess(scans=[scan], model_version=model_version_of(active=True), trigger=Trigger.COMMAND))
    (new,) = answer_queued()

    old.refresh_from_db()
    assert Path(old.heatmap.path).exists()
    assert Path(new.heatmap.path).exists()
    assert len(heatmap_files(media)) == 2


# Who sees it ---------------------------------------------------------------------------------------------------------


def test_a_stranger_gets_404_also_through_a_scan_of_his_own(client, bob, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    client.force_login(bob)
    his = scan_of(bob)

    assert client.get(heatmap_url(prediction)).status_code == 404
    detour = reverse("diagnosis:prediction_heatmap", args=[his.pk, prediction.pk])
    assert client.get(detour).status_code == 404


def test_staff_who_may_see_scans_see_it(client, rita, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    client.force_login(rita)
    response = client.get(heatmap_url(prediction))
    assert response.status_code == 200
    assert response.getvalue()


def test_it_is_private_and_told_by_a_neutral_name(browser, scan):
    response = browser.get(heatmap_url(prediction_at(State.SUCCEEDED, scan, has_heatmap=True)))

    assert Image.open(io.BytesIO(response.getvalue())).format == "PNG"
    assert response["Content-Type"] == "image/png"
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Content-Disposition"] == 'inline; filename="heatmap.png"'
    assert "private" in response["Cache-Control"]


def test_an_answer_without_one_a_lost_file_and_an_unknown_answer_are_404(browser, scan):
    without = prediction_at(State.SUCCEEDED, scan, model_version_of())
    lost = prediction_at(State.SUCCEEDED, scan, model_version_of(), has_heatmap=True)
    lost.heatmap.storage.delete(lost.heatmap.name)

    for url in (
        heatmap_url(without),
        heatmap_url(lost),
        reverse("diagnosis:prediction_heatmap", args=[scan.pk, uuid.uuid4()]),
    ):
        assert browser.get(url).status_code == 404


# How it is shown -----------------------------------------------------------------------------------------------------


def test_it_lies_over_the_picture_with_a_switch_and_a_labelled_slider(browser, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    page = page_of(browser, scan)

    assert f'<image href="{heatmap_url(prediction)}" width="{WIDTH}" height="{HEIGHT}"' in page
    assert f'<label for="heatmap-strength-{scan.pk}">' in page
    assert re.search(rf'<input [^>]*type="range" id="heatmap-strength-{scan.pk}" min="0" max="100"', page)
    assert re.search(rf'<input [^>]*type="checkbox" id="heatmap-switch-{scan.pk}" checked', page)
    assert "A heatmap is not a localisation" in page


def test_the_poll_brings_it_to_the_picture_beside_the_answer(browser, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    fragment = browser.get(reverse("diagnosis:scan_status", args=[scan.pk]), {"seen": "RUNNING"}).content.decode()

    part = rf'<div [^>]*id="heatmap-{scan.pk}"[^>]*'
    assert re.search(f'{part} hx-swap-oob="true">', fragment)
    assert re.search(f"{part}>", page_of(browser, scan)), "there is a place for it"
    assert heatmap_url(prediction) in fragment


def test_an_answer_without_one_promises_none(browser, scan):
    prediction_at(State.SUCCEEDED, scan)
    page = page_of(browser, scan)

    assert "heatmap-switch" not in page
    assert 'class="heatmap"' not in page


def test_the_history_shows_the_heatmap_of_an_earlier_answer(browser, scan):
    old = prediction_at(State.SUCCEEDED, scan, model_version_of(name="vgg-one"), has_heatmap=True)
    new = prediction_at(State.SUCCEEDED, scan, model_version_of(name="vgg-two"), has_heatmap=True)

    latest = page_of(browser, scan)
    assert heatmap_url(new) in latest
    assert f'href="?heatmap={old.pk}#picture"' in latest

    earlier = page_of(browser, scan, heatmap=old.pk)
    assert heatmap_url(old) in earlier
    assert heatmap_url(new) not in earlier
    assert "Of an earlier answer" in earlier


@pytest.mark.parametrize("wanted", ["", "nonsense", str(uuid.UUID(int=0))])
def test_a_heatmap_that_is_not_there_is_the_latest_one(browser, scan, wanted):
    latest = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    page = page_of(browser, scan, heatmap=wanted)

    assert heatmap_url(latest) in page
    assert "Of an earlier answer" not in page


def test_a_reviewer_finds_it_in_the_admin(client, rita, scan):
    prediction = prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    client.force_login(rita)
    page = client.get(reverse("admin:diagnosis_prediction_change", args=[prediction.pk])).content.decode()

    assert heatmap_url(prediction) in page
    assert "A heatmap is not a localisation" in page
