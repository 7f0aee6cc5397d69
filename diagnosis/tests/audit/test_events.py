"""Whatever is done is written down by the service that does it, once, and nobody changes it afterwards."""

import io
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from diagnosis import audit, batch, services
from diagnosis.audit import Action, record
from diagnosis.models import AuditEvent, Scan
from diagnosis.states import State
from diagnosis.tests.admin.pages import REPROCESS, SCANS, activate_address, page_of, review_address
from diagnosis.tests.audit.events import events
from diagnosis.tests.factories import model_version_of, person, prediction_at, scan_of
from diagnosis.tests.pictures import chest_like, encoded


@pytest.fixture
def scan(alice) -> Scan:
    """Alice's, with an answer that has a heatmap."""
    scan = scan_of(alice, reference="left lung", original_name="Miller.jpg")
    prediction_at(State.SUCCEEDED, scan, has_heatmap=True)
    return scan


def drawn() -> io.BytesIO:
    return io.BytesIO(encoded(chest_like(), "PNG"))


def looks() -> list[tuple]:
    return events(action=Action.VIEWED)


# What can't be written down
@pytest.mark.parametrize("words", ["left lung", "Miller.jpg", "alice@example.org", "x" * 21, "é"])
def test_words_are_no_detail_of_an_event(alice, scan, words):
    with pytest.raises(ValueError, match="a code of up to 20"):
        record(action=Action.EXPORTED, actor=alice, scan=scan, detail=words)
    assert not AuditEvent.objects.filter(action=Action.EXPORTED).exists()


def test_the_database_refuses_an_action_that_is_none(db):
    with pytest.raises(IntegrityError, match="an_audit_event_names_an_action"):
        AuditEvent.objects.create(action="GUESSED")


@pytest.mark.parametrize(
    "change",
    [
        lambda events: events.update(action=Action.EXPORTED),
        lambda events: events.update(actor=None),
        lambda events: events.delete(),
        lambda events: events.get().delete(),
        lambda events: events.get().save(),
    ],
)
def test_the_database_refuses_to_change_or_delete_an_event(alice, change):
    services.issue_token(user=alice, lifetime=None)
    before = AuditEvent.objects.values().get()
    with pytest.raises(IntegrityError, match="never changed or deleted"), transaction.atomic():
        change(AuditEvent.objects.all())
    assert AuditEvent.objects.values().get() == before


def test_no_sql_past_the_site_changes_or_deletes_an_event(alice):
    services.issue_token(user=alice, lifetime=None)
    for statement in ("UPDATE diagnosis_auditevent SET detail = 'x'", "DELETE FROM diagnosis_auditevent"):
        refused = pytest.raises(IntegrityError, match="never changed or deleted")
        with refused, transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)
    assert AuditEvent.objects.get().detail == ""


def test_what_is_not_done_is_not_written_down(alice, scan, monkeypatch):
    def fails(**_event):
        raise DatabaseError("no room")

    monkeypatch.setattr(audit, "record", fails)
    with pytest.raises(DatabaseError):
        services.erase_scan(scan=scan, erased_by=alice)
    with pytest.raises(DatabaseError):
        services.submit_scan(owner=alice, upload=drawn(), original_name="chest.png")
    assert Scan.objects.get() == scan


# What is
def test_an_upload_is_written_down_once_however_often_the_file_is_given(alice, model_version):
    for _ in range(2):
        scan = services.submit_scan(owner=alice, upload=drawn(), original_name="chest.png").scan
    assert events() == [(Action.UPLOADED, alice, alice, scan)]
    assert AuditEvent.objects.get(action=Action.UPLOADED).detail == "UPLOAD"


def test_a_review_a_deletion_and_a_token_are_written_down_with_who_did_it(client, alice, rita, sam, scan):
    client.force_login(rita)
    client.post(review_address(scan.predictions.get()), {"label": "NORMAL"})
    client.force_login(alice)
    client.post("/accounts/token/", {"lifetime": "90"})
    client.post("/accounts/token/revoke/")
    client.post("/accounts/token/revoke/")
    client.post("/accounts/token/", {"lifetime": "90"})
    client.force_login(sam)
    client.post(reverse("admin:diagnosis_apitoken_delete", args=[alice.api_token.pk]), {"post": "yes"})
    client.post(reverse("admin:diagnosis_scan_delete", args=[scan.pk]), {"post": "yes"})
    assert events() == [
        (Action.REVIEWED, rita, alice, None),
        (Action.TOKEN_MADE, alice, alice, None),
        (Action.TOKEN_REVOKED, alice, alice, None),
        (Action.TOKEN_MADE, alice, alice, None),
        (Action.TOKEN_REVOKED, sam, alice, None),
        (Action.DELETED, sam, alice, None),
    ]
    reviewed, deleted = AuditEvent.objects.filter(action__in=[Action.REVIEWED, Action.DELETED])
    assert reviewed.scan_id == deleted.scan_id is not None, "the two are still of one scan, whichever it was"


def test_who_made_a_model_active_is_written_down(client, sam, model_version):
    better = model_version_of(name="better")
    client.force_login(sam)
    client.post(activate_address(better))
    assert (Action.ACTIVATED, sam, None, None) in events()
    assert AuditEvent.objects.latest("at").model_version == better
    services.activate_model(model_version=model_version)
    assert AuditEvent.objects.latest("at").actor is None


def test_reprocessing_is_written_down_once_for_all_scans(client, sam, alice, scan):
    scan_of(alice)
    client.force_login(sam)
    chosen = Scan.objects.values_list("pk", flat=True)
    client.post(SCANS, {"action": REPROCESS, "_selected_action": list(chosen)}, follow=True)
    assert events(action=Action.REPROCESSED) == [(Action.REPROCESSED, sam, None, None)]


def test_a_batch_is_written_down_once_and_not_where_nothing_is_asked(alice, scan):
    choice = batch.Choice(model_version=model_version_of(name="better"))
    for _ in range(2):
        list(batch.ask(choice, enqueue=False))
    assert events(action=Action.REPROCESSED) == [(Action.REPROCESSED, None, None, None)]
    event = AuditEvent.objects.get(action=Action.REPROCESSED)
    assert (event.model_version.name, event.detail) == ("better", "COMMAND")


# Looks
def test_a_page_with_all_that_belongs_to_it_is_one_look(client, sam, alice, scan):
    client.force_login(sam)
    address = scan.get_absolute_url()
    heatmap = reverse("diagnosis:prediction_heatmap", args=[scan.pk, scan.predictions.get().pk])
    for part in (address, f"{address}status/", f"{address}picture/", f"{address}thumbnail/", heatmap, address):
        assert client.get(part).getvalue()
    assert looks() == [(Action.VIEWED, sam, alice, scan)]


@pytest.mark.parametrize("part", ["", "picture/"])
def test_the_owners_own_look_is_one_too(client, alice, scan, part):
    client.force_login(alice)
    assert client.get(f"{scan.get_absolute_url()}{part}").getvalue()
    assert looks() == [(Action.VIEWED, alice, alice, scan)]


def test_lists_with_thumbnails_and_polls_are_no_looks(client, sam, scan):
    client.force_login(sam)
    for address in ("/scans/", SCANS, f"{scan.get_absolute_url()}status/", f"{scan.get_absolute_url()}thumbnail/"):
        assert client.get(address).getvalue()
    assert looks() == []


def test_a_stranger_who_is_turned_away_has_not_looked(client, bob, scan):
    client.force_login(bob)
    assert client.get(scan.get_absolute_url()).status_code == 404
    assert looks() == []


def test_the_admins_pages_are_looks(client, sam, rita, alice, scan):
    client.force_login(sam)
    client.get(reverse("admin:diagnosis_scan_change", args=[scan.pk]))
    client.force_login(rita)
    client.get(page_of(scan.predictions.get()))
    assert looks() == [(Action.VIEWED, sam, alice, scan), (Action.VIEWED, rita, alice, scan)]


@pytest.mark.parametrize("part", ["", "picture/", "predictions/"])
def test_a_program_that_reads_a_scan_looks_for_its_user(client, alice, scan, part):
    secret = services.issue_token(user=alice, lifetime=None)
    for _ in range(3):
        response = client.get(f"/api/v1/scans/{scan.pk}/{part}", headers={"Authorization": f"Bearer {secret}"})
        assert response.getvalue()
    assert looks() == [(Action.VIEWED, alice, alice, scan)]


def test_coming_back_after_an_hour_is_a_further_look(alice, scan, monkeypatch):
    now = timezone.now()
    for hours in (0, 0, 1, 1):
        at = now + timedelta(hours=hours)
        monkeypatch.setattr(AuditEvent._meta.get_field("at"), "_get_default", lambda at=at: at)
        record(action=Action.VIEWED, actor=alice, scan=scan)
    assert len(looks()) == 2


def test_looks_are_once_an_hour_without_the_cache_too(alice, bob, scan):
    for actor in (alice, bob, alice):
        record(action=Action.VIEWED, actor=actor, scan=scan)
        cache.clear()
    assert len(looks()) == 2


def test_a_look_again_asks_the_database_nothing(alice, scan, django_assert_num_queries):
    record(action=Action.VIEWED, actor=alice, scan=scan)
    with django_assert_num_queries(0):
        record(action=Action.VIEWED, actor=alice, scan=scan)


@pytest.mark.parametrize("broken", ["cache.add", "AuditEvent.objects.bulk_create"])
def test_a_page_is_shown_also_where_the_look_cannot_be_written_down(client, alice, scan, monkeypatch, broken, caplog):
    def fails(*_args, **_options):
        raise DatabaseError("away")

    monkeypatch.setattr(f"diagnosis.audit.recording.{broken}", fails)
    client.force_login(alice)
    assert client.get(scan.get_absolute_url()).status_code == 200
    assert "away" in caplog.text


# What an event holds
def test_no_event_holds_a_name_a_reference_or_an_id_that_is_used_elsewhere(client, alice, rita, scan):
    services.record_review(prediction=scan.predictions.get(), reviewer=rita, label="NORMAL", note="Miller")
    record(action=Action.VIEWED, actor=rita, scan=scan)
    services.erase_scan(scan=scan, erased_by=alice)
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM diagnosis_auditevent")
        held = repr(cursor.fetchall())
    assert [event[0] for event in events()] == ["REVIEWED", "VIEWED", "DELETED"]
    for known in ("Miller", "left lung", "alice", "rita", str(scan.pk), scan.pk.hex, scan.sha256):
        assert known not in held


def test_a_scan_and_an_account_take_their_pseudonyms_along_and_leave_the_events(alice, bob, scan):
    record(action=Action.VIEWED, actor=bob, scan=scan)
    before = AuditEvent.objects.filter(action=Action.VIEWED).values().get()
    services.erase_scan(scan=scan, erased_by=None)
    bob.delete()
    assert AuditEvent.objects.values().get(pk=before["id"]) == before
    assert looks() == [(Action.VIEWED, None, alice, None)]
    assert person("alice").pseudonym.pk == before["owner_id"]
