"""Many scans and predictions, written by PostgreSQL itself in seconds. Rows without files: no page opens them.

Of N predictions four fifths are first answers, each of another scan; the rest are second answers by a newer version, as
after reprocess_scans. Half of the scans are those of MANY, ten are those of FEW, all others are of ordinary people. One
in a hundred pictures was refused, one in a thousand failed, OPEN of the newest still wait, whatever N is.
"""

from collections.abc import Mapping
from typing import Any

from django.db import connection, models

FEW, MANY, STAFF = "few", "many", "sam"
ORDINARY = 100
OPEN = 5

SCAN = "md5('scan ' || {0})::uuid"
PREDICTION = "md5('prediction ' || {0})::uuid"


def seed_people_and_versions() -> None:
    """Make the users, and the older one of two model versions; the active one is there."""
    from django.contrib.auth.models import User

    from diagnosis.models import ModelVersion

    for name in (FEW, MANY, *(f"ordinary{number}" for number in range(ORDINARY))):
        User.objects.create_user(name)
    User.objects.create_superuser(STAFF)
    older = ModelVersion.objects.get()
    older.pk, older.sha256, older.name, older.is_active, older.activated_at = None, "0" * 64, "older", False, None
    older.save(force_insert=True)


def seed(predictions: int) -> None:
    """Write so many predictions with their scans and reviews, then let PostgreSQL gather its statistics."""
    from django.contrib.auth.models import User

    from diagnosis.models import ModelVersion, Prediction, Review, Scan

    scans = predictions * 4 // 5
    users = dict(User.objects.values_list("username", "pk"))
    ordinary = min(pk for name, pk in users.items() if name.startswith("ordinary"))
    newer, older = ModelVersion.objects.get(is_active=True), ModelVersion.objects.get(is_active=False)
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        insert(
            cursor,
            Scan,
            scans,
            {
                "id": SCAN.format("i"),
                "owner_id": f"CASE WHEN i % ({scans} / 10) = 1 THEN {users[FEW]} WHEN i % 2 = 0 THEN {users[MANY]} "
                f"ELSE {ordinary} + i % {ORDINARY} END",
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
        waits = f"i > {predictions - OPEN}"
        failed = f"(NOT {waits} AND (i % 100 = 7 OR i % 1000 = 11))"
        answered = f"(NOT {waits} AND NOT {failed})"
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
                "state": f"CASE WHEN {waits} THEN 'QUEUED' WHEN {failed} THEN 'FAILED' ELSE 'SUCCEEDED' END",
                "claimed_by": f"CASE WHEN {waits} THEN '' ELSE 'task ' || i END",
                "claimed_at": f"CASE WHEN NOT {waits} THEN {requested} END",
                "finished_at": f"CASE WHEN NOT {waits} THEN {requested} END",
                "attempts": f"CASE WHEN {waits} THEN 0 ELSE 1 END",
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
                "reviewer_id": str(users[STAFF]),
                "label": "'NORMAL'",
                "created_at": "now()",
            },
        )
        cursor.execute("COMMIT")
        # As autovacuum does sooner or later.
        cursor.execute("VACUUM ANALYZE")


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
