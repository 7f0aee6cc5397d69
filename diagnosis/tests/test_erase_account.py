"""Erasing an account: nothing of the person is left in any table or in any folder, and nothing of others is touched."""

import uuid
from pathlib import Path

import pytest
from allauth.account.models import EmailAddress
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.auth import get_user_model
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse

from diagnosis import account, erasure, services, worker
from diagnosis.audit import Action, AuditEvent, Pseudonym
from diagnosis.files import StorageAway
from diagnosis.models import Prediction, Review, Scan, Upload
from diagnosis.sessions import Session
from diagnosis.states import State
from diagnosis.tests.audit.events import events
from diagnosis.tests.factories import PASSWORD, answer_queued, person, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded

ERASE = "/accounts/erase/"


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def everything_stored() -> str:
    """Give every value of every table of the site."""
    dump = []
    for model in apps.get_models(include_auto_created=True):
        with connection.cursor() as cursor:
            cursor.execute(f'SELECT * FROM "{model._meta.db_table}"')
            dump += [f"{model._meta.label}: {row!r}" for row in cursor.fetchall()]
    return "\n".join(dump)


def rows_that_name(user_id: int) -> list[str]:
    """Give the rows, of all tables, with a column that refers to this user, or a generic one that does."""
    found = []
    for model in apps.get_models(include_auto_created=True):
        for field in model._meta.get_fields():
            is_link = getattr(field, "concrete", False) and field.related_model is get_user_model()
            if is_link and not field.many_to_many:
                found += [f"{model._meta.label}.{field.name}"] * model._default_manager.filter(
                    **{field.name: user_id}
                ).count()
    found += [f"log: {entry}" for entry in LogEntry.objects.filter(content_type__model="user", object_id=str(user_id))]
    found += ["session"] * sum(
        session.get_decoded().get("_auth_user_id") == str(user_id) for session in Session.objects.all()
    )
    return found


@pytest.fixture
def full_life(
    client, alice, bob, rita, sam, model_version, fake_classifier, sent, media, django_capture_on_commit_callbacks
):
    """Alice did all that the site knows, and others did things to her scans and she to theirs."""
    alices = Client()
    alices.post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    Client().post("/accounts/login/", {"login": "alice", "password": PASSWORD})
    EmailAddress.objects.create(user=alice, email="alice@example.net")
    pictures = [
        SimpleUploadedFile(f"Alice Miller {seed}.png", encoded(chest_like(200, 180, seed=seed), "PNG"))
        for seed in (1, 2)
    ]
    alices.post("/scans/new/", {"image": pictures, "reference": "the left lung of Alice Miller"})
    answer_queued()
    services.issue_token(user=alice, lifetime=None)
    for scan in Scan.objects.filter(owner=alice):
        alices.get(scan.get_absolute_url())
        services.record_review(prediction=scan.latest_prediction, reviewer=rita, label="NORMAL")
    others = prediction_at(State.SUCCEEDED, scan_of(bob), has_heatmap=True, requested_by=alice)
    services.record_review(prediction=others, reviewer=alice, label="NORMAL", note="clear")
    client.force_login(sam)
    address = reverse("admin:auth_user_change", args=[alice.pk])
    form = client.get(address).context["adminform"].form
    fields = {
        name: value for name, value in form.initial.items() if value not in (None, False, "") and name != "password"
    }
    joined = {"date_joined_0": "2026-01-01", "date_joined_1": "10:00:00", "last_login_0": "", "last_login_1": ""}
    client.post(address, fields | joined | {"first_name": "Alice"})
    alice.refresh_from_db()
    assert alice.first_name == "Alice"
    assert Upload.objects.filter(owner=alice).exists()
    assert Session.objects.filter(user=alice).count() == 2
    assert LogEntry.objects.filter(object_id=str(alice.pk)).exists()
    assert len(rows_that_name(alice.pk)) >= 12
    return alices


def assert_gone(alice_pk: int, scans: list, media: Path, bobs: set[str]) -> None:
    assert rows_that_name(alice_pk) == []
    assert files_in(media) == bobs
    stored = everything_stored().lower()
    for word in ("alice", "miller", *(scan.sha256 for scan in scans), *(scan.pk.hex for scan in scans)):
        assert word not in stored, word
    assert not any(str(scan.pk) in stored for scan in scans)


def test_an_erased_account_leaves_no_row_and_no_file(full_life, alice, bob, media, django_capture_on_commit_callbacks):
    bobs = {Scan.objects.get(owner=bob).picture.name, Scan.objects.get(owner=bob).thumbnail.name}
    bobs.add(Prediction.objects.get(scan__owner=bob).heatmap.name)
    scans = list(Scan.objects.filter(owner=alice))
    key, before = alice.pk, AuditEvent.objects.count()
    assert len(files_in(media) - bobs) == 2 * 4, "picture, thumbnail, model input and heatmap of each"
    with django_capture_on_commit_callbacks(execute=True):
        response = full_life.post(ERASE, {"password": PASSWORD}, follow=True)
    assert response.redirect_chain[-1][0] == "/"
    assert "Your account was erased, with 2 scans and their answers: 8 files." in response.text
    assert_gone(key, scans, media, bobs)
    assert AuditEvent.objects.count() == before + 3, "the events stay, and two deletions and the end come on top"


def test_erasing_is_counted(full_life, alice, django_capture_on_commit_callbacks):
    with django_capture_on_commit_callbacks(execute=True):
        erased = erasure.erase_account(user=alice, erased_by=None)
    assert (erased.scans, erased.predictions, erased.reviews, erased.files) == (2, 2, 2, 8)
    # The account, its pseudonym, an address, two sessions, the token; the upload went with the last scan.
    assert erased.others == 6


def test_an_administrator_who_deletes_a_person_leaves_no_more(
    full_life, client, alice, bob, media, django_capture_on_commit_callbacks
):
    bobs = files_in(media) - {
        name
        for scan in Scan.objects.filter(owner=alice)
        for name in (scan.picture.name, scan.thumbnail.name, scan.model_input.name, scan.latest_prediction.heatmap.name)
    }
    key, scans = alice.pk, list(Scan.objects.filter(owner=alice))
    with django_capture_on_commit_callbacks(execute=True):
        client.post(reverse("admin:auth_user_delete", args=[alice.pk]), {"post": "yes"})
    assert_gone(key, scans, media, bobs)
    assert events(action=Action.ACCOUNT_ERASED) == [(Action.ACCOUNT_ERASED, person("sam"), None, None)]


def test_several_chosen_persons_are_erased_as_one_is(
    full_life, client, alice, rita, media, django_capture_on_commit_callbacks
):
    key, scans = alice.pk, list(Scan.objects.filter(owner=alice))
    chosen = {"action": "delete_selected", "_selected_action": [alice.pk, rita.pk], "post": "yes"}
    with django_capture_on_commit_callbacks(execute=True):
        client.post("/admin/auth/user/", chosen)
    assert rows_that_name(key) == rows_that_name(rita.pk) == []
    assert not any(scan.pk.hex in everything_stored() for scan in scans)


def test_the_reviews_that_a_person_gave_on_scans_of_others_stay_without_the_person(full_life, alice, bob):
    erasure.erase_account(user=alice, erased_by=alice)
    review = Review.objects.get()
    assert (review.reviewer, review.label, review.note) == (None, "NORMAL", "clear")
    answer = Prediction.objects.get(scan__owner=bob)
    assert (answer.reviewed_label, answer.requested_by) == ("NORMAL", None)


def test_the_events_of_an_erased_person_still_belong_together_and_lead_to_nobody(full_life, alice):
    known = alice.pseudonym.pk
    scans = Pseudonym.objects.filter(scan__owner=alice).values_list("pk", flat=True)
    scans = set(scans)
    erasure.erase_account(user=alice, erased_by=alice)
    left = AuditEvent.objects.filter(owner=known)
    assert left.count() > 5
    assert set(left.exclude(scan=None).values_list("scan", flat=True)) == scans
    assert not Pseudonym.objects.filter(pk__in=[known, *scans]).exists()
    assert {event[1:] for event in events(owner=known, actor=known)} == {(None, None, None)}


# Who may, and when it can't be
def test_the_password_is_asked_for_again_and_a_wrong_one_erases_nothing(full_life, alice):
    for password in ("", "wrong", PASSWORD.upper()):
        response = full_life.post(ERASE, {"password": password})
        assert response.status_code == 422
    assert Scan.objects.filter(owner=alice).count() == 2
    assert full_life.get("/scans/").status_code == 200


def test_guessing_at_the_password_is_stopped_as_it_is_when_signing_in(full_life, alice):
    for _ in range(6):
        full_life.post(ERASE, {"password": "wrong"})
    assert full_life.post(ERASE, {"password": PASSWORD}).status_code in (422, 429)
    assert get_user_model().objects.filter(pk=alice.pk).exists()


def test_looking_at_the_page_erases_nothing_and_says_what_goes_and_what_stays(full_life, alice):
    page = full_life.get(ERASE).text
    assert "This can&#x27;t be undone" in page or "This can't be undone" in page
    assert "What stays" in page
    assert get_user_model().objects.filter(pk=alice.pk).exists()


def test_who_is_not_signed_in_erases_nothing(client, db):
    assert client.post(ERASE, {"password": PASSWORD}).url == f"/accounts/login/?next={ERASE}"


def test_an_account_without_a_password_is_told_to_set_one_first(client, alice):
    alice.set_unusable_password()
    alice.save()
    client.force_login(alice)
    assert "Set a password first" in client.get(ERASE).text
    assert client.post(ERASE, {"password": ""}).status_code == 422


def test_the_last_superuser_stays(client, sam):
    client.force_login(sam)
    assert "You are the last superuser" in client.get(ERASE).text
    assert client.post(ERASE, {"password": PASSWORD}).status_code == 422
    assert client.post(reverse("admin:auth_user_delete", args=[sam.pk]), {"post": "yes"}).status_code == 403
    client.post("/admin/auth/user/", {"action": "delete_selected", "_selected_action": [sam.pk], "post": "yes"})
    with pytest.raises(CommandError, match="last superuser"):
        call_command("erase_account", "sam")
    assert get_user_model().objects.get() == sam


def test_a_superuser_who_is_not_the_last_one_goes(client, sam):
    other = person("susan", is_superuser=True, is_staff=True)
    erasure.erase_account(user=sam, erased_by=other)
    assert get_user_model().objects.get() == other


def test_a_superuser_who_cannot_sign_in_does_not_count(client, sam):
    person("susan", is_superuser=True, is_active=False)
    with pytest.raises(erasure.LastSuperuser):
        erasure.erase_account(user=sam, erased_by=sam)


def test_an_account_of_more_scans_than_a_person_waits_for_is_erased_in_parts(client, alice, monkeypatch):
    for _ in range(3):
        scan_of(alice)
    monkeypatch.setattr(account, "ERASE_SECONDS", 1e-9)
    client.force_login(alice)
    for left in (2, 1, 0):
        response = client.post(ERASE, {"password": PASSWORD})
        assert response.status_code == 422
        assert "1 scan is erased; there are more. Send the form again to go on." in response.text
        assert Scan.objects.count() == left
    assert client.post(ERASE, {"password": PASSWORD}).status_code == 302
    assert not get_user_model().objects.filter(pk=alice.pk).exists()


def test_the_command_erases_an_account_and_tells_what_it_was(alice, capsys):
    scan_of(alice)
    call_command("erase_account", "alice")
    assert "The account was erased: 1 scans, 0 predictions, 2 files, 2 other rows." in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no user 'alice'"):
        call_command("erase_account", "alice")


def test_an_account_stays_while_its_files_cannot_be_deleted(client, alice, monkeypatch):
    scan = scan_of(alice)

    def away(*_args):
        raise StorageAway("nobody there")

    monkeypatch.setattr("django.core.files.storage.FileSystemStorage.exists", away)
    client.force_login(alice)
    assert client.post(ERASE, {"password": PASSWORD}).status_code == 503
    assert Scan.objects.get() == scan


# While something else goes on
def test_an_answer_that_is_being_given_while_the_account_is_erased_ends_quietly_and_leaves_no_file(
    alice, fake_classifier, media, monkeypatch, caplog, django_capture_on_commit_callbacks
):
    prediction = prediction_at(State.QUEUED, scan_of(alice))
    classify = fake_classifier.classify

    def slowly(pictures):
        with django_capture_on_commit_callbacks(execute=True):
            erasure.erase_account(user=alice, erased_by=alice)
        return classify(pictures)

    monkeypatch.setattr(fake_classifier, "classify", slowly)
    worker.answer(str(prediction.pk), task_id="slow")
    assert not Prediction.objects.exists()
    assert files_in(media) == set()
    assert not [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]


def test_an_answer_that_is_asked_for_after_the_account_was_erased_is_none(alice, fake_classifier, media):
    prediction = prediction_at(State.QUEUED, scan_of(alice))
    erasure.erase_account(user=alice, erased_by=alice)
    worker.answer(str(prediction.pk), task_id="late")
    worker.answer(str(uuid.uuid4()), task_id="never")
    assert fake_classifier.pictures == []


@pytest.mark.django_db(transaction=True)
def test_what_is_uploaded_while_the_account_is_erased_is_erased_too(alice, media, monkeypatch):
    scan_of(alice)
    is_last_superuser = erasure.is_last_superuser

    def meanwhile(user, *, lock=False):
        if not lock:
            return is_last_superuser(user)
        scan_of(user)
        return False

    monkeypatch.setattr(erasure, "is_last_superuser", meanwhile)
    assert erasure.erase_account(user=alice, erased_by=alice).scans == 2
    assert not Scan.objects.exists()
    assert files_in(media) == set()


def test_every_session_of_an_erased_person_is_over_and_others_go_on(full_life, client, alice):
    erasure.erase_account(user=alice, erased_by=None)
    assert full_life.get("/scans/").url == "/accounts/login/?next=/scans/"
    assert client.get("/scans/").status_code == 200
