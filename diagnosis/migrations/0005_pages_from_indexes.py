"""Indexes from which each page of the staff's lists is read, however many rows there are.

PostgreSQL makes them while the site is in use. That can't be undone as a whole, so each step may be run twice.
"""

import logging

from django.db import ProgrammingError, migrations, models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce

from diagnosis.migrations._in_use import AddIndexInUse

logger = logging.getLogger(__name__)

NEWEST = ["-requested_at", "-id"]
WORDS = "scans_by_words"


def index_words(apps, schema_editor):
    """Let the search find a part of a word from an index; a comfort of PostgreSQL, which the models don't know."""
    if schema_editor.connection.vendor != "postgresql":
        return
    try:
        schema_editor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    except ProgrammingError:
        logger.warning(
            "The extension pg_trgm can't be made in this database, so a search reads all names. "
            "Let a superuser run CREATE EXTENSION pg_trgm, then migrate diagnosis back to 0003 and forward again."
        )
        return
    drop_words(apps, schema_editor)
    schema_editor.execute(
        f"CREATE INDEX CONCURRENTLY {WORDS} ON diagnosis_scan "
        "USING gin (UPPER(original_name) gin_trgm_ops, UPPER(reference) gin_trgm_ops)"
    )


def drop_words(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {WORDS}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("diagnosis", "0004_model_inputs_and_reviewed_labels")]

    operations = [
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(fields=["model_version", *NEWEST], name="predictions_of_a_version"),
        ),
        AddIndexInUse(
            model_name="prediction", index=models.Index(fields=["trigger", *NEWEST], name="predictions_by_trigger")
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(
                fields=["state", *NEWEST],
                condition=Q(state__in=("QUEUED", "RUNNING", "FAILED")),
                name="predictions_unanswered",
            ),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(fields=NEWEST, condition=Q(is_uncertain=True), name="predictions_uncertain"),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(fields=NEWEST, condition=Q(reviewed_label=""), name="predictions_unreviewed"),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(fields=NEWEST, condition=~Q(reviewed_label=""), name="predictions_reviewed"),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(
                fields=NEWEST,
                condition=~Q(reviewed_label="") & Q(reviewed_label=F("label")),
                name="predictions_agreed",
            ),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(
                fields=NEWEST,
                condition=~Q(reviewed_label="") & ~Q(reviewed_label=F("label")),
                name="predictions_corrected",
            ),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(Coalesce("probability", Value(-1.0)), F("id"), name="predictions_by_probability"),
        ),
        migrations.RunPython(index_words, drop_words),
    ]
