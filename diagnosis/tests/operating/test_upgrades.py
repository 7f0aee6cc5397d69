"""Rows of each state that was ever released arrive in the database of today as they were.

One database is led from the first migration to the last. At each state rows of that time are put in, by the models of
that time, so that those of each state go through all migrations after it.
"""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import psycopg2
import pytest
from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.sqlite3.base import DatabaseWrapper as SQLite
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader

from diagnosis import services
from diagnosis.models import AuditEvent, ModelVersion, Prediction, Scan
from diagnosis.states import State, Trigger

pytestmark = [pytest.mark.services, pytest.mark.django_db(transaction=True)]

STATES = sorted(name for app, name in MigrationLoader(None).disk_migrations if app == "diagnosis")
NOON = datetime(2025, 5, 1, 12, tzinfo=UTC)

SCAN = ("id", "owner_id", "picture", "thumbnail", "sha256", "original_name", "reference", "width", "height")
PREDICTION = (
    *("id", "scan_id", "model_version_id", "trigger", "state", "label", "probability", "threshold", "reason"),
    *("milliseconds", "attempts", "claimed_by", "requested_at", "finished_at"),
)


def execute(*statements: str) -> None:
    with closing(psycopg2.connect(**connection.get_connection_params() | {"dbname": "postgres"})) as server:
        server.autocommit = True
        for statement in statements:
            server.cursor().execute(statement)


@pytest.fixture(params=["postgresql", "sqlite"])
def empty_database(request, db, monkeypatch, tmp_path) -> Iterator[None]:
    """Let Django work with an empty database: of the same server, or in a file as on one machine."""
    if request.param == "sqlite":
        usual = connections["default"]
        nowhere = dict.fromkeys(("USER", "PASSWORD", "HOST", "PORT"), "")
        connections["default"] = SQLite(usual.settings_dict | nowhere | {"NAME": tmp_path / "db", "OPTIONS": {}})
        yield
        connection.close()
        connections["default"] = usual
        return
    execute("DROP DATABASE IF EXISTS upgrades", "CREATE DATABASE upgrades")
    connection.close()
    with monkeypatch.context() as changed:
        changed.setitem(connection.settings_dict, "NAME", "upgrades")
        yield
        connection.close()
    execute("DROP DATABASE upgrades")


class Time:
    """The models of a state; rows get the fields that there are."""

    def __init__(self, apps: Any) -> None:
        self.apps = apps

    def rows(self, model: str, app: str = "diagnosis") -> Any:
        return self.apps.get_model(app, model).objects

    def made(self, model: str, /, **fields: Any) -> Any:
        known = {field.attname for field in self.apps.get_model("diagnosis", model)._meta.concrete_fields}
        return self.rows(model).create(**{name: value for name, value in fields.items() if name in known}).pk

    @property
    def has_audit(self) -> bool:
        return "auditevent" in self.apps.all_models["diagnosis"]


def versions(time: Time) -> None:
    for name, sha256, threshold in (("older", "a" * 64, 0.5), ("newer", "b" * 64, 0.4)):
        time.made(
            "ModelVersion", name=name, sha256=sha256, folder="none", threshold=threshold, is_active=name == "newer"
        )


def fill(time: Time, state: str) -> None:
    """Put in what a site of that time would hold: answered twice, reviewed, failed, waiting, seen."""
    users = time.rows("User", "auth")
    alice, rita = (users.create(username=f"{name}-{state}").pk for name in ("alice", "rita"))
    older, newer = (time.rows("ModelVersion").get(name=name).pk for name in ("older", "newer"))
    moments = [NOON.replace(day=day) for day in (1, 2, 3)]
    scans = [
        time.made(
            "Scan",
            owner_id=alice,
            picture=f"scans/{state}/{moment.day}.png",
            thumbnail=f"thumbnails/{state}/{moment.day}.jpg",
            sha256=f"{moment.day}" * 64,
            original_name="chest.jpg",
            reference=f"ward é {state}",
            width=300,
            height=200,
            created_at=moment,
        )
        for moment in moments
    ]
    common = {"owner_id": alice, "trigger": "UPLOAD", "attempts": 1, "claimed_by": "a task", "claimed_at": NOON}
    answer = {"state": "SUCCEEDED", "milliseconds": 50, "finished_at": NOON}
    first = time.made(
        "Prediction",
        scan_id=scans[0],
        model_version_id=older,
        requested_at=NOON,
        scan_created_at=moments[0],
        is_latest=False,
        reviewed_label="NORMAL",
        readings=1,
        **common | answer | {"label": "PNEUMONIA", "probability": 0.7, "threshold": 0.5},
    )
    time.made("Review", prediction_id=first, reviewer_id=rita, label="NORMAL", note="clear", created_at=NOON)
    ends = (
        answer | {"label": "NORMAL", "probability": 0.2, "threshold": 0.4},
        {"state": "FAILED", "reason": "TIMED_OUT", "finished_at": NOON},
        {"state": "QUEUED", "attempts": 0, "claimed_by": "", "claimed_at": None},
    )
    for scan, moment, end in zip(scans, moments, ends, strict=True):
        latest = time.made(
            "Prediction",
            scan_id=scan,
            model_version_id=newer,
            requested_at=NOON.replace(hour=13),
            scan_created_at=moment,
            is_latest=True,
            **common | end,
        )
        time.rows("Scan").filter(pk=scan).update(latest_prediction_id=latest)
    if time.has_audit:
        pseudonym = time.made("Pseudonym", user_id=alice)
        time.made("AuditEvent", action="UPLOADED", actor_id=pseudonym, at=NOON)


def told(scan: Any, prediction: Any, state: str) -> dict[str, list[tuple]]:
    reference = f"ward é {state}"
    return {
        "scans": sorted(scan.filter(reference=reference).values_list(*SCAN, "created_at")),
        "predictions": sorted(prediction.filter(scan__reference=reference).values_list(*PREDICTION)),
    }


def test_rows_of_every_released_state_arrive_and_the_site_goes_on(empty_database, sent):
    before, events = {}, 0
    for state in STATES:
        executor = MigrationExecutor(connection)
        time = Time(executor.migrate([("diagnosis", state)]).apps)
        if state == STATES[0]:
            versions(time)
        fill(time, state)
        before[state] = told(time.rows("Scan"), time.rows("Prediction"), state)
        assert [len(rows) for rows in before[state].values()] == [3, 4]
        events += time.has_audit
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())

    for state in STATES:
        assert told(Scan.objects, Prediction.objects, state) == before[state]
        for scan in Scan.objects.filter(reference=f"ward é {state}"):
            latest = scan.predictions.get(is_latest=True)
            assert latest == scan.latest_prediction == scan.predictions.first(), state
            for prediction in scan.predictions.all():
                assert prediction.owner_id == scan.owner_id, state
                assert prediction.scan_created_at == scan.created_at, state
        reviewed = Prediction.objects.get(model_version__name="older", scan__reference=f"ward é {state}")
        review = reviewed.reviews.standing().get()
        assert (review.label, review.note, review.reviewer.username) == ("NORMAL", "clear", f"rita-{state}")
        assert (reviewed.reviewed_label, reviewed.readings, reviewed.is_disputed) == ("NORMAL", 1, False), state
    assert AuditEvent.objects.count() == events > 0
    # And it is used.
    failed = Scan.objects.filter(predictions__state=State.FAILED)
    assert len(failed) == len(STATES)
    newer = ModelVersion.objects.get(is_active=True)
    asked = [
        services.request_prediction(scan=scan, model_version=newer, trigger=Trigger.UPLOAD) for scan in list(failed)
    ]
    assert {each.is_latest for each in asked} == {True}
    assert services.erase_scan(scan=asked[0].scan, erased_by=asked[0].scan.owner).predictions == 2
    with pytest.raises(DatabaseError, match="never changed or deleted"), transaction.atomic():
        AuditEvent.objects.all()._raw_delete(connection.alias)
