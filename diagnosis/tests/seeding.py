"""Rows in any number for measurements, written by the database itself: a million in a minute or two.

Rows only: the pictures that they name don't exist.
"""

from dataclasses import dataclass

from django.contrib.auth import get_user_model
from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.utils import timezone

from diagnosis.models import ModelVersion

OWNERS = 200
# Of the scans; the rest is spread over the other owners.
SHARE_OF_THE_FIRST = 0.3


@dataclass(frozen=True)
class Seeded:
    """What was written: the owner with many scans, one with few, the older and the newer model version."""

    much: str
    few: str
    older: ModelVersion
    newer: ModelVersion


POINTS = {"threshold": 0.5, "uncertain_low": 0.4, "uncertain_high": 0.6}

# Every scan was read by the older version when it was uploaded, later by the newer one in a batch. In a thousand
# predictions: 5 failed, 50 are uncertain, 20 are reviewed and 2 of these corrected; ten in all are still open.
SCANS = """
INSERT INTO diagnosis_scan (id, owner_id, picture, thumbnail, model_input, sha256, original_name, reference, width,
    height, is_colour, quality_issues, created_at, modality, view_position, photometric_interpretation)
SELECT md5('scan' || n)::uuid,
    CASE WHEN n %% 100 < %(percent)s THEN %(first)s ELSE %(first)s + 1 + n %% %(others)s END,
    'scans/' || md5('p' || n) || '.png', 'thumbnails/' || md5('t' || n) || '.jpg', '', md5('a' || n) || md5('b' || n),
    'IM-' || lpad(n::text, 7, '0') || '-0001.jpeg', CASE WHEN n %% 5 = 0 THEN 'ward ' || n %% 40 ELSE '' END,
    1500, 1200, false, '[]', %(now)s - n * interval '20 seconds', '', '', ''
FROM generate_series(1, %(scans)s) AS n
"""
PREDICTIONS = """
INSERT INTO diagnosis_prediction (id, scan_id, model_version_id, "trigger", requested_at, state, enqueued_at,
    claimed_by, claimed_at, attempts, finished_at, label, probability, threshold, is_uncertain, heatmap, milliseconds,
    reason, reviewed_label)
SELECT md5(%(salt)s || n)::uuid, md5('scan' || n)::uuid, %(version)s, %(trigger)s, at,
    state, at, 'seeded', at, 1, at + interval '1 second',
    CASE WHEN state = 'FAILED' THEN '' WHEN p >= 0.5 THEN 'PNEUMONIA' ELSE 'NORMAL' END,
    CASE WHEN state = 'FAILED' THEN NULL ELSE p END, CASE WHEN state = 'FAILED' THEN NULL ELSE 0.5 END,
    state <> 'FAILED' AND p BETWEEN 0.4 AND 0.6, '', CASE WHEN state = 'FAILED' THEN NULL ELSE 60 END,
    CASE WHEN state = 'FAILED' THEN 'INTERNAL_ERROR' ELSE '' END, ''
FROM (
    SELECT n, %(now)s - n * interval '20 seconds' + %(later)s * interval '1 second' AS at,
        CASE WHEN abs(hashint4(n)) %% 200 = 0 THEN 'FAILED' ELSE 'SUCCEEDED' END AS state,
        CASE WHEN abs(hashint4(n + 1)) %% 20 = 0 THEN 0.4 + abs(hashint4(n + 2)) %% 1000 / 5000.0
            WHEN abs(hashint4(n + 3)) %% 5 < 3 THEN 0.6 + abs(hashint4(n + 4)) %% 1000 / 2501.0
            ELSE abs(hashint4(n + 5)) %% 1000 / 2501.0 END AS p
    FROM generate_series(1, %(scans)s) AS n
) AS rows
"""
LATEST = """
UPDATE diagnosis_scan SET latest_prediction_id = md5('second' || n)::uuid
FROM generate_series(1, %(scans)s) AS n WHERE diagnosis_scan.id = md5('scan' || n)::uuid
"""
REVIEWS = """
INSERT INTO diagnosis_review (prediction_id, reviewer_id, label, note, created_at)
SELECT id, %(first)s, CASE WHEN abs(hashtext(id::text)) %% 500 > 0 THEN label
    WHEN label = 'NORMAL' THEN 'PNEUMONIA' ELSE 'NORMAL' END, '', finished_at + interval '1 day'
FROM diagnosis_prediction WHERE state = 'SUCCEEDED' AND abs(hashtext(id::text)) %% 50 = 0
"""
REVIEWED = """
UPDATE diagnosis_prediction SET reviewed_label = diagnosis_review.label
FROM diagnosis_review WHERE prediction_id = diagnosis_prediction.id
"""


def seed(predictions: int) -> Seeded:
    """Write so many rows into an empty PostgreSQL database, with the statistics that its planner goes by."""
    unusable = make_password(None)
    people = get_user_model().objects.bulk_create(
        get_user_model()(username=f"owner-{number}", password=unusable) for number in range(OWNERS)
    )
    versions = [
        ModelVersion.objects.create(name=name, sha256=digit * 64, folder="none", is_active=digit == "b", **POINTS)
        for name, digit in (("older", "a"), ("newer", "b"))
    ]
    scans = predictions // 2
    given = {
        "scans": scans,
        "first": people[0].pk,
        "others": OWNERS - 1,
        "percent": round(100 * SHARE_OF_THE_FIRST),
        "now": timezone.now(),
    }
    batches = [("first", "UPLOAD", 0, versions[0].pk), ("second", "COMMAND", 30 * 86400, versions[1].pk)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(SCANS, given)
        for salt, trigger, later, version in batches:
            more = {"salt": salt, "trigger": trigger, "later": later, "version": version}
            cursor.execute(PREDICTIONS, given | more)
        for statement in (LATEST, REVIEWS, REVIEWED):
            cursor.execute(statement, given)
    settle()
    return Seeded(people[0].username, people[1].username, *versions)


def settle() -> None:
    """Collect the statistics, and where no transaction is open also what autovacuum does within a minute."""
    tables = "diagnosis_scan, diagnosis_prediction, diagnosis_review, auth_user"
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {tables}" if connection.in_atomic_block else f"VACUUM ANALYZE {tables}")
