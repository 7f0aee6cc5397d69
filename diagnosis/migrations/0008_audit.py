"""The audit, and the triggers that keep its events as they were written.

SQLite builds a table anew for most changes to it, and drops its triggers: a later migration that changes AuditEvent has
to run `keep_events` again after it. A test looks whether they are there in the end.
"""

import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

POSTGRESQL = """
CREATE OR REPLACE FUNCTION diagnosis_audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Audit events are never changed or deleted.' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER diagnosis_audit_stays BEFORE UPDATE OR DELETE ON diagnosis_auditevent
    FOR EACH ROW EXECUTE FUNCTION diagnosis_audit_stays();
"""
SQLITE = [
    f"""
    CREATE TRIGGER diagnosis_audit_stays_{verb.lower()} BEFORE {verb} ON diagnosis_auditevent
    BEGIN SELECT RAISE(ABORT, 'Audit events are never changed or deleted.'); END
    """
    for verb in ("UPDATE", "DELETE")
]


def keep_events(apps, schema_editor):
    """Let the database refuse to change or delete an event, whoever asks. Emptying all tables (flush) is no such ask."""
    for statement in [POSTGRESQL] if schema_editor.connection.vendor == "postgresql" else SQLITE:
        schema_editor.execute(statement)


def let_events_go(apps, schema_editor):
    """Take the triggers away, for the table to be dropped."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION diagnosis_audit_stays() CASCADE")


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0007_dicom_and_uploads"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Pseudonym",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "scan",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pseudonym",
                        to="diagnosis.scan",
                    ),
                ),
                (
                    "user",
                    models.OneToOneField(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="pseudonym",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.CreateModel(
            name="AuditEvent",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("UPLOADED", "Uploaded"),
                            ("VIEWED", "Viewed"),
                            ("REVIEWED", "Reviewed"),
                            ("EXPORTED", "Exported"),
                            ("REPROCESSED", "Asked for new answers"),
                            ("DELETED", "Deleted"),
                            ("ACTIVATED", "Made a model version active"),
                            ("TOKEN_MADE", "Made an API token"),
                            ("TOKEN_REVOKED", "Revoked an API token"),
                            ("ACCOUNT_ERASED", "Erased an account"),
                        ],
                        max_length=20,
                    ),
                ),
                (
                    "detail",
                    models.CharField(
                        blank=True, help_text="a code or a number, such as PDF; never words", max_length=20
                    ),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="diagnosis.modelversion",
                    ),
                ),
                (
                    "actor",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        help_text="who did it; empty: the site itself, or whoever runs its commands",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="diagnosis.pseudonym",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        help_text="whose scan, account or token it was",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="diagnosis.pseudonym",
                    ),
                ),
                (
                    "scan",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        db_index=False,
                        help_text="empty where it was about no single scan",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="diagnosis.pseudonym",
                    ),
                ),
            ],
            options={
                "ordering": ("-at", "-id"),
            },
        ),
        migrations.AddConstraint(
            model_name="pseudonym",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("scan__isnull", True), ("user__isnull", False)),
                    models.Q(("scan__isnull", False), ("user__isnull", True)),
                    _connector="OR",
                ),
                name="a_pseudonym_is_of_one_person_or_one_scan",
            ),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["-at", "-id"], name="audit_newest"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["scan", "-at", "-id"], name="audit_of_a_scan"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["owner", "-at", "-id"], name="audit_of_an_owner"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["actor", "-at", "-id"], name="audit_by_an_actor"),
        ),
        migrations.AddIndex(
            model_name="auditevent",
            index=models.Index(fields=["action", "-at", "-id"], name="audit_by_action"),
        ),
        migrations.AddConstraint(
            model_name="auditevent",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "action__in",
                        [
                            "UPLOADED",
                            "VIEWED",
                            "REVIEWED",
                            "EXPORTED",
                            "REPROCESSED",
                            "DELETED",
                            "ACTIVATED",
                            "TOKEN_MADE",
                            "TOKEN_REVOKED",
                            "ACCOUNT_ERASED",
                        ],
                    )
                ),
                name="an_audit_event_names_an_action",
            ),
        ),
        migrations.RunPython(keep_events, let_events_go),
    ]
