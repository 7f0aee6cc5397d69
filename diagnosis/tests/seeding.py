"""Rows in any number for tests and measurements, written by PostgreSQL itself: a million in a minute or two.

Rows only: the pictures that they name don't exist. Of N predictions four fifths are first answers, each of another
scan, over two years; a year ago the oldest scans were answered again by a newer version, as reprocess_scans does. What
is rare lies among the oldest fifth of the scans alone, far from where every list begins: only an index finds it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection, models, transaction

from diagnosis.audit import AuditEvent, Pseudonym
from diagnosis.models import ModelVersion, Prediction, Review, Scan

OWNERS = 100

SCAN = "md5('scan ' || ({0}))::uuid"
PREDICTION = "md5('prediction ' || ({0}))::uuid"
RARE_REFERENCE = "left lung"


@dataclass(frozen=True)
class Seeded:
    """What was written: the names of people, and the older and the newer model version.

    `much` owns half of all scans, `few` ten; `former` gave many, all of them among the oldest tenth.
    """

    much: str
    few: str
    former: str
    older: ModelVersion
    newer: ModelVersion


def seed(predictions: int) -> Seeded:
    """Write so many rows into an empty PostgreSQL database, with the statistics that its planner goes by."""
    unusable = make_password(None)
    people = get_user_model().objects.bulk_create(
        get_user_model()(username=f"owner-{number}", password=unusable) for number in range(OWNERS)
    )
    much, few, former, others = (person.pk for person in people[:4])
    older, newer = (
        ModelVersion.objects.create(
            name=name, sha256=digit * 64, folder="none", threshold=0.5, uncertain_low=0.4, uncertain_high=0.6
        )
        for name, digit in (("older", "a"), ("newer", "b"))
    )
    ModelVersion.objects.filter(pk=newer.pk).update(is_active=True)
    scans = predictions * 4 // 5
    again = predictions - scans
    owner = (
        f"CASE WHEN s % ({scans} / 10) = 1 THEN {few} WHEN s % 2 = 0 THEN {much} "
        f"WHEN s <= {scans} / 10 THEN {former} ELSE {others} + s % {OWNERS - 3} END"
    )
    created_at = f"now() - ({scans} - s + 1) * interval '2 years' / {scans}"
    is_rare = f"s <= {scans} / 5"
    # In the oldest fifth: one in a hundred pictures was refused, one in two hundred failed, half are NORMAL.
    failed = f"({is_rare} AND s % 200 IN (7, 107, 111))"
    probability = f"(CASE WHEN {is_rare} THEN (s % 1000 * 7919 % 1000) / 1000.0 ELSE 0.9 + s % 100 / 1000.0 END)"
    label = f"CASE WHEN {probability} >= 0.5 THEN 'PNEUMONIA' ELSE 'NORMAL' END"
    other_label = f"CASE WHEN {probability} < 0.5 THEN 'PNEUMONIA' ELSE 'NORMAL' END"
    # Of the oldest fifth one in ten was reviewed after the first answer, one in ten of these corrected.
    reviewed = f"CASE WHEN s % 100 = 0 THEN {other_label} ELSE {label} END"
    is_second = f"i > {scans}"
    requested_at = (
        f"CASE WHEN {is_second} THEN now() - interval '1 year' + i * interval '50 milliseconds' ELSE {created_at} END"
    )
    is_newer = f"({is_second} OR s > {scans} / 2)"
    with transaction.atomic():
        insert(
            Scan,
            f"generate_series(1, {scans}) s",
            {
                "id": SCAN.format("s"),
                "owner_id": owner,
                "picture": "'scans/00/' || md5('picture ' || s) || '.png'",
                "thumbnail": "'thumbnails/00/' || md5('thumbnail ' || s) || '.jpg'",
                "model_input": "'inputs/1/00/' || md5('picture ' || s) || '.png'",
                "sha256": "md5(s::text) || md5((-s)::text)",
                "original_name": "'IM-' || lpad(s::text, 7, '0') || '-0001.jpeg'",
                "reference": f"CASE WHEN s = 35 THEN '{RARE_REFERENCE}' "
                "WHEN s % 5 = 0 THEN 'ward ' || s % 40 ELSE '' END",
                "width": "1328",
                "height": "971",
                "created_at": created_at,
                "latest_prediction_id": PREDICTION.format(f"CASE WHEN s <= {again} THEN s + {scans} ELSE s END"),
            },
        )
        insert(
            Prediction,
            f"(SELECT i, (i - 1) % {scans} + 1 AS s FROM generate_series(1, {predictions}) i) rows",
            {
                "id": PREDICTION.format("i"),
                "scan_id": SCAN.format("s"),
                "owner_id": owner,
                "scan_created_at": created_at,
                "is_latest": f"{is_second} OR s > {again}",
                "model_version_id": f"CASE WHEN {is_newer} THEN {newer.pk} ELSE {older.pk} END",
                "trigger": f"CASE WHEN {is_second} THEN 'COMMAND' ELSE 'UPLOAD' END",
                "requested_at": requested_at,
                "enqueued_at": requested_at,
                "state": f"CASE WHEN {failed} THEN 'FAILED' ELSE 'SUCCEEDED' END",
                "claimed_by": "md5('task ' || i)::uuid::text",
                "claimed_at": requested_at,
                "finished_at": f"{requested_at} + s % 5000 * interval '1 millisecond'",
                "attempts": "1",
                "label": f"CASE WHEN {failed} THEN '' ELSE {label} END",
                "probability": f"CASE WHEN NOT {failed} THEN {probability} END",
                "threshold": f"CASE WHEN NOT {failed} THEN 0.5 END",
                "is_uncertain": f"NOT {failed} AND {probability} BETWEEN 0.4 AND 0.6",
                "heatmap": f"CASE WHEN {failed} THEN '' ELSE 'heatmaps/00/' || md5('prediction ' || i) || '.png' END",
                "milliseconds": f"CASE WHEN NOT {failed} THEN 50 END",
                "statistics": "jsonb_build_array("
                "100 + s % 60, 50 + s % 20, s % 40, 170 + s % 60, s % 30 / 100.0, s % 7 / 100.0, 3 + s % 30 / 10.0, 3)",
                "reason": f"CASE WHEN NOT {failed} THEN '' WHEN s % 200 = 111 THEN 'INTERNAL_ERROR' "
                "ELSE 'NOT_A_CHEST_XRAY' END",
                "reviewed_label": f"CASE WHEN NOT {is_second} AND {is_rare} AND s % 10 = 0 THEN {reviewed} ELSE '' END",
                "readings": f"CASE WHEN NOT {is_second} AND {is_rare} AND s % 10 = 0 THEN 1 ELSE 0 END",
            },
        )
        insert(
            Review,
            f"generate_series(10, {scans} / 5, 10) s",
            {
                "prediction_id": PREDICTION.format("s"),
                "reviewer_id": str(much),
                "label": reviewed,
                "created_at": f"{created_at} + interval '1 day'",
            },
        )
        seed_audit(scans, owner=owner, created_at=created_at, staff=much)
    settle()
    return Seeded(people[0].username, people[1].username, people[2].username, older, newer)


def seed_audit(scans: int, *, owner: str, created_at: str, staff: int) -> None:
    """Write two events of each scan: its upload, and a look by the owner or, one time in ten, by staff.

    Of a thousand of the second kind one is a download, and one a deletion. The other arguments are SQL for scan `s`.
    """
    person, known = "md5('person ' || {})::uuid", "md5('known ' || s)::uuid"
    insert(Pseudonym, "auth_user", {"id": person.format("id"), "user_id": "id"})
    insert(Pseudonym, f"generate_series(1, {scans}) s", {"id": known, "scan_id": SCAN.format("s")})
    insert(
        AuditEvent,
        f"generate_series(1, {scans}) s, (VALUES ('upload'), ('look')) kinds (kind)",
        {
            "id": "md5(kind || s)::uuid",
            "at": f"{created_at} + CASE kind WHEN 'look' THEN interval '1 minute' ELSE interval '0' END",
            "action": "CASE WHEN kind = 'upload' THEN 'UPLOADED' WHEN s % 1000 = 1 THEN 'EXPORTED' "
            "WHEN s % 1000 = 2 THEN 'DELETED' ELSE 'VIEWED' END",
            "actor_id": person.format(f"(CASE WHEN kind = 'look' AND s % 10 = 0 THEN {staff} ELSE {owner} END)"),
            "owner_id": person.format(f"({owner})"),
            "scan_id": known,
        },
    )


def insert(model: type[models.Model], rows: str, values: Mapping[str, str]) -> None:
    """Insert a row for each of `rows`, with SQL for the columns in `values`; others get the default of their field."""
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
    source = rows.replace("%", "%%")
    query = f'INSERT INTO "{model._meta.db_table}" ({names}) SELECT {", ".join(expressions)} FROM {source}'
    with connection.cursor() as cursor:
        cursor.execute(query, constants)


def settle() -> None:
    """Collect the statistics, and where no transaction is open also what autovacuum does within a minute."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE" if connection.in_atomic_block else "VACUUM ANALYZE")
