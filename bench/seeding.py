"""Many scans and predictions, written by PostgreSQL itself in seconds. Rows without files: no page opens them.

Of N predictions four fifths are first answers, each of another scan; the rest are second answers by a newer version, as
after reprocess_scans. Half of the scans are those of one owner, ten are those of another, all others are of ordinary
people. One in a hundred pictures was refused, one in a thousand failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, models, transaction

OWNERS = 100

SCAN = "md5('scan ' || {0})::uuid"
PREDICTION = "md5('prediction ' || {0})::uuid"


@dataclass(frozen=True)
class Seeded:
    """The usernames of the owner with many scans and of one with few."""

    much: str
    few: str


def seed(predictions: int) -> Seeded:
    """Write so many predictions with their scans and reviews into an empty database, and let it gather statistics."""
    from django.contrib.auth.models import User

    from diagnosis.models import ModelVersion, Prediction, Review, Scan

    scans = predictions * 4 // 5
    people = User.objects.bulk_create(User(username=f"owner-{number}", password="!") for number in range(OWNERS))  # noqa: S106 - nobody signs in
    much, few, ordinary = people[0].pk, people[1].pk, people[2].pk
    older = ModelVersion.objects.create(name="older", sha256="a" * 64, folder="none", threshold=0.5)
    newer = ModelVersion.objects.create(name="newer", sha256="b" * 64, folder="none", threshold=0.5, is_active=True)
    with transaction.atomic(), connection.cursor() as cursor:
        insert(
            cursor,
            Scan,
            scans,
            {
                "id": SCAN.format("i"),
                "owner_id": f"CASE WHEN i % ({scans} / 10) = 1 THEN {few} WHEN i % 2 = 0 THEN {much} "
                f"ELSE {ordinary} + i % {OWNERS - 2} END",
                "picture": "'scans/00/' || i || '.png'",
                "thumbnail": "'thumbnails/00/' || i || '.jpg'",
                "sha256": "md5(i::text) || md5((-i)::text)",
                "original_name": "'IM-' || i || '.jpeg'",
                "reference": "CASE WHEN i % 3 = 0 THEN 'visit ' || i ELSE '' END",
                "width": "1328",
                "height": "971",
                "created_at": f"now() - ({scans} - i + 1) * interval '2 years' / {scans}",
                "latest_prediction_id": f"CASE WHEN i + {scans} <= {predictions} "
                f"THEN {PREDICTION.format(f'i + {scans}')} ELSE {PREDICTION.format('i')} END",
            },
        )
        second = f"i > {scans}"
        failed = "(i % 100 = 7 OR i % 1000 = 11)"
        answered = f"(NOT {failed})"
        probability = "(i * 7919 % 1000) / 1000.0"
        label = f"CASE WHEN {probability} >= 0.5 THEN 'PNEUMONIA' ELSE 'NORMAL' END"
        requested = (
            f"CASE WHEN {second} THEN now() - ({predictions} - i + 1) * interval '50 milliseconds' "
            f"ELSE now() - ({scans} - i + 1) * interval '2 years' / {scans} END"
        )
        insert(
            cursor,
            Prediction,
            predictions,
            {
                "id": PREDICTION.format("i"),
                "scan_id": SCAN.format(f"((i - 1) % {scans} + 1)"),
                "model_version_id": f"CASE WHEN {second} THEN {newer.pk} ELSE {older.pk} END",
                "trigger": f"CASE WHEN {second} THEN 'COMMAND' ELSE 'UPLOAD' END",
                "requested_at": requested,
                "enqueued_at": requested,
                "state": f"CASE WHEN {failed} THEN 'FAILED' ELSE 'SUCCEEDED' END",
                "claimed_by": "'task ' || i",
                "claimed_at": requested,
                "finished_at": requested,
                "attempts": "1",
                "label": f"CASE WHEN {answered} THEN {label} ELSE '' END",
                "probability": f"CASE WHEN {answered} THEN {probability} END",
                "threshold": f"CASE WHEN {answered} THEN 0.5 END",
                "is_uncertain": f"{answered} AND {probability} BETWEEN 0.4 AND 0.6",
                "heatmap": f"CASE WHEN {answered} THEN 'heatmaps/00/' || i || '.png' ELSE '' END",
                "milliseconds": f"CASE WHEN {answered} THEN 50 END",
                "reason": f"CASE WHEN NOT {failed} THEN '' WHEN i % 100 = 7 THEN 'NOT_A_CHEST_XRAY' "
                "ELSE 'INTERNAL_ERROR' END",
            },
        )
        insert(
            cursor,
            Review,
            predictions // 50,
            {
                "prediction_id": PREDICTION.format("i * 50"),
                "reviewer_id": str(much),
                "label": "'NORMAL'",
                "created_at": "now()",
            },
        )
    with connection.cursor() as cursor:
        # As autovacuum does sooner or later.
        cursor.execute("VACUUM ANALYZE")
    return Seeded(people[0].username, people[1].username)


def insert(cursor: Any, model: type[models.Model], rows: int, values: Mapping[str, str]) -> None:
    """Insert rows i = 1 … `rows` with SQL for the columns of `values`; other columns get the default of their field."""
    columns, expressions, constants = [], [], []
    for field in model._meta.concrete_fields:
        if field.column is None:
            continue
        if field.column in values:
            columns.append(field.column)
            expressions.append(values[field.column].replace("%", "%%"))
        elif not (field.null or isinstance(field, models.AutoField) or field.has_db_default() or field.generated):
            columns.append(field.column)
            expressions.append("%s")
            constants.append(field.get_db_prep_save(field.get_default(), connection))
    names = ", ".join(f'"{column}"' for column in columns)
    query = (
        f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {", ".join(expressions)} FROM generate_series(1, %s) i'  # noqa: S608 - our own words
    )
    cursor.execute(query, [*constants, rows])
