"""What a database of an earlier version becomes."""

from importlib import import_module

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from diagnosis.expressions import holds
from diagnosis.models import Prediction, Scan
from diagnosis.states import State
from diagnosis.tests.factories import model_version_of, person, prediction_at, scan_of

FILLED = ("diagnosis", "0011_every_filter_from_an_index")
BEFORE = ("diagnosis", "0007_dicom_and_uploads")


def migrate(target: tuple[str, str]):
    """Move the tables to `target`; give the models as they are there."""
    executor = MigrationExecutor(connection)
    executor.migrate([target])
    return executor.loader.project_state([target]).apps


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_old_predictions_learn_whose_they_are_and_which_is_the_latest_a_few_at_a_time(monkeypatch):
    monkeypatch.setattr(import_module(f"diagnosis.migrations.{FILLED[1]}"), "AT_ONCE", 2)
    alice, bob = person("alice"), person("bob")
    scans = [scan_of(owner, created_at=timezone.now()) for owner in (alice, bob, alice)]
    for version in (model_version_of(name="older"), model_version_of(name="newer")):
        for scan in scans[:2]:
            prediction_at(State.SUCCEEDED, scan, version)
    expected = {row.pk: (row.owner_id, row.scan_created_at, row.is_latest) for row in Prediction.objects.all()}
    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("diagnosis")[0]
    try:
        before = migrate(BEFORE).get_model("diagnosis", "Prediction")
        assert "owner" not in {field.name for field in before._meta.get_fields()}
    finally:
        migrate(latest)

    rows = Prediction.objects.all()
    assert {row.pk: (row.owner_id, row.scan_created_at, row.is_latest) for row in rows} == expected
    assert sorted(is_latest for _, _, is_latest in expected.values()) == [False, False, True, True]


@pytest.mark.services
@pytest.mark.django_db(transaction=True)
def test_the_index_of_the_search_goes_comes_and_may_be_made_twice():
    scan = scan_of(person("alice"), original_name="IM-0115-0001.jpeg")
    search = import_module("diagnosis.migrations.0020_search_by_longer_parts")

    def made() -> tuple[int, int]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_index WHERE indexrelid = to_regclass('scans_by_parts') AND indisvalid"
            )
            ((indexes,),) = cursor.fetchall()
            cursor.execute("SELECT count(*) FROM pg_proc WHERE proname IN ('diagnosis_parts', 'diagnosis_parts_of')")
            ((functions,),) = cursor.fetchall()
        return indexes, functions

    latest = MigrationExecutor(connection).loader.graph.leaf_nodes("diagnosis")[0]
    try:
        migrate(("diagnosis", "0019_names_of_audit_events"))
        assert made() == (0, 0)
    finally:
        migrate(latest)
    assert made() == (1, 2)
    with connection.schema_editor(atomic=False) as editor:
        search.index_parts(None, editor)
    assert made() == (1, 2)
    assert list(Scan.objects.filter(holds("im-0115-0001"))) == [scan]
