"""Scans in the admin: read again, erased."""

import pytest
from django.contrib.admin.models import LogEntry
from django.core.files.storage import default_storage
from django.urls import reverse

from diagnosis.admin import reprocessing
from diagnosis.models import ModelVersion, Prediction, Review, Scan
from diagnosis.services import record_review
from diagnosis.states import State, Trigger
from diagnosis.tests.admin.pages import PREDICTIONS, REPROCESS, SCANS, grant, said, text_at
from diagnosis.tests.factories import model_version_of, prediction_at, scan_of


# Reading again
@pytest.fixture
def reprocess(client, answered):
    """Choose rows of a list and run the action on them."""

    def run(address, *rows):
        return client.post(address, {"action": REPROCESS, "_selected_action": [row.pk for row in rows]}, follow=True)

    return run


def test_a_reviewer_reprocesses_nothing(client, rita, answered, reprocess):
    client.force_login(rita)
    for address, row in ((PREDICTIONS, answered), (SCANS, answered.scan)):
        assert REPROCESS not in text_at(client, address)
        reprocess(address, row)
    assert Prediction.objects.count() == 1


def test_staff_with_the_permission_reprocess_with_the_active_model(
    client, rita, answered, reprocess, sent, django_capture_on_commit_callbacks
):
    grant(rita, "reprocess_scan")
    client.force_login(rita)
    with django_capture_on_commit_callbacks(execute=True):
        response = reprocess(SCANS, answered.scan)
    assert "to read 1 scan again" in said(response)
    new = Prediction.objects.exclude(pk=answered.pk).get()
    assert (new.state, new.trigger, new.requested_by) == (State.QUEUED, Trigger.ADMIN, rita)
    assert sent == [str(new.pk)]


def test_several_predictions_of_a_scan_reprocess_it_once(client, sam, answered, reprocess):
    second = prediction_at(State.SUCCEEDED, answered.scan, model_version_of(name="second"))
    client.force_login(sam)
    assert "to read 1 scan again" in said(reprocess(PREDICTIONS, answered, second))
    assert Prediction.objects.open().count() == 1


def test_reprocessing_twice_is_harmless(client, sam, alice, answered, reprocess):
    client.force_login(sam)
    reprocess(SCANS, answered.scan)
    response = reprocess(SCANS, answered.scan, scan_of(alice))
    assert "to read 1 scan again. 1 scan still waited" in said(response)
    assert Prediction.objects.open().count() == 2


def test_without_an_active_model_reprocessing_says_so(client, sam, answered, reprocess):
    ModelVersion.objects.update(is_active=False)
    client.force_login(sam)
    assert "No model is active yet." in said(reprocess(PREDICTIONS, answered))
    assert Prediction.objects.count() == 1


def test_more_scans_than_a_page_can_wait_for_are_left_to_the_command(
    client, sam, alice, answered, reprocess, monkeypatch
):
    monkeypatch.setattr(reprocessing, "MOST_AT_ONCE", 1)
    client.force_login(sam)
    assert "manage.py reprocess_scans" in said(reprocess(SCANS, answered.scan, scan_of(alice)))
    assert Prediction.objects.count() == 1


# Erasing
def files_of(scan: Scan) -> list[str]:
    return [scan.picture.name, scan.thumbnail.name]


def test_deleting_a_scan_takes_predictions_reviews_and_files_along(
    client, sam, answered, django_capture_on_commit_callbacks
):
    record_review(prediction=answered, reviewer=sam, label="NORMAL")
    files = files_of(answered.scan)
    assert all(default_storage.exists(name) for name in files)
    client.force_login(sam)
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("admin:diagnosis_scan_delete", args=[answered.scan.pk]), {"post": "yes"})
    assert [rows.objects.count() for rows in (Scan, Prediction, Review)] == [0, 0, 0]
    assert not any(default_storage.exists(name) for name in files)
    assert "left lung" not in LogEntry.objects.get().object_repr


def test_deleting_chosen_scans_takes_their_files_along_and_leaves_the_others(
    client, sam, alice, answered, django_capture_on_commit_callbacks
):
    kept = scan_of(alice)
    client.force_login(sam)
    chosen = {"action": "delete_selected", "_selected_action": [answered.scan.pk], "post": "yes"}
    with django_capture_on_commit_callbacks(execute=True):
        client.post(SCANS, chosen)
    assert Scan.objects.get() == kept
    assert not any(default_storage.exists(name) for name in files_of(answered.scan))
    assert all(default_storage.exists(name) for name in files_of(kept))


def test_staff_with_the_permission_delete_scans(client, rita, answered):
    grant(rita, "delete_scan")
    client.force_login(rita)
    client.post(reverse("admin:diagnosis_scan_delete", args=[answered.scan.pk]), {"post": "yes"})
    assert not Scan.objects.exists()


def test_a_reviewer_deletes_no_scan(client, rita, answered):
    client.force_login(rita)
    address = reverse("admin:diagnosis_scan_delete", args=[answered.scan.pk])
    assert client.post(address, {"post": "yes"}).status_code == 403
    client.post(SCANS, {"action": "delete_selected", "_selected_action": [answered.scan.pk], "post": "yes"})
    assert Scan.objects.exists()


def test_the_superuser_deletes_a_person_with_all_their_scans(client, sam, alice, answered):
    client.force_login(sam)
    client.post(reverse("admin:auth_user_delete", args=[alice.pk]), {"post": "yes"})
    assert not Scan.objects.exists()
