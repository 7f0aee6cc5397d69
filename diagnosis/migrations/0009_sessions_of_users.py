"""Sessions that end with their user's account, and an admin log without names.

Everybody signs in once more: the sessions before don't tell whose they are.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import F, Value
from django.db.models.functions import Concat

# As diagnosis/admin/nameless.py writes it from now on.
NAMELESS = {("auth", "user"), ("account", "emailaddress"), ("diagnosis", "apitoken"), ("diagnosis", "scan")}


def forget_sessions(apps, schema_editor):
    """End the sessions of before; they would stay for ever, because nobody looks at their table any more."""
    apps.get_model("sessions", "Session").objects.all().delete()


def forget_names(apps, schema_editor):
    """Let the admin's log name people and scans by their ids alone."""
    log = apps.get_model("admin", "LogEntry").objects
    for content_type in apps.get_model("contenttypes", "ContentType").objects.all():
        if (content_type.app_label, content_type.model) in NAMELESS:
            name = Concat(Value(f"{content_type.model} "), F("object_id"), output_field=models.CharField())
            log.filter(content_type=content_type).exclude(object_id=None).update(object_repr=name)


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0008_audit"),
        ("admin", "0003_logentry_add_action_flag_choices"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("sessions", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Session",
            fields=[
                (
                    "session_key",
                    models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name="session key"),
                ),
                ("session_data", models.TextField(verbose_name="session data")),
                ("expire_date", models.DateTimeField(db_index=True, verbose_name="expire date")),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="sessions",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
                "abstract": False,
            },
        ),
        migrations.RunPython(forget_sessions, migrations.RunPython.noop),
        migrations.RunPython(forget_names, migrations.RunPython.noop),
    ]
