"""Reviews from before there were several readers: all are kept, the newest of each reader stands."""

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from diagnosis.models import Prediction
from diagnosis.states import State
from diagnosis.tests.factories import person, prediction_at, scan_of

AFTER = ("diagnosis", "0013_readers")


@pytest.fixture
def before(transactional_db):
    """Take the database back to before; give its models. Forward again at the end, whatever happens."""
    executor = MigrationExecutor(connection)
    parents = [node.key for node in executor.loader.graph.node_map[AFTER].parents if node.key[0] == "diagnosis"]
    yield lambda: executor.migrate(parents).apps
    forward()


def forward() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def test_old_reviews_are_kept_and_counted_once_for_each_reader(before):
    owner, rita, remo, left = (person(name) for name in ("olga", "rita", "remo", "left"))
    kinds = ("none", "changed", "agreed", "disputed", "of one who left")
    cases = {kind: prediction_at(State.SUCCEEDED, scan_of(owner)).pk for kind in kinds}
    old = before()
    said = {
        "changed": [(rita, "NORMAL"), (rita, "PNEUMONIA")],
        "agreed": [(rita, "NORMAL"), (remo, "NORMAL")],
        "disputed": [(rita, "NORMAL"), (remo, "PNEUMONIA")],
        "of one who left": [(left, "NORMAL"), (left, "PNEUMONIA")],
    }
    for kind, verdicts in said.items():
        for reader, label in verdicts:
            old.get_model("diagnosis", "Review").objects.create(
                prediction_id=cases[kind], reviewer_id=reader.pk, label=label
            )
        old.get_model("diagnosis", "Prediction").objects.filter(pk=cases[kind]).update(reviewed_label=verdicts[-1][1])
    old.get_model("diagnosis", "Review").objects.filter(reviewer_id=left.pk).update(reviewer=None)
    # As of before too: the models of today would look for columns that are not there.
    old.get_model("auth", "User").objects.filter(pk=left.pk).delete()

    forward()

    now = {kind: Prediction.objects.get(pk=pk) for kind, pk in cases.items()}
    assert {kind: (each.readings, each.reviewed_label, each.is_disputed) for kind, each in now.items()} == {
        "none": (0, "", False),
        "changed": (1, "PNEUMONIA", False),
        "agreed": (2, "NORMAL", False),
        "disputed": (2, "PNEUMONIA", True),
        "of one who left": (1, "PNEUMONIA", False),
    }
    assert [each.reviews.count() for each in now.values()] == [0, 2, 2, 2, 2]
    assert [each.reviews.standing().count() for each in now.values()] == [0, 1, 2, 2, 1]
