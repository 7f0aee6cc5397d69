"""What events of the audit are called; nothing changes in the database."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0018_names_for_people"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="auditevent",
            options={"ordering": ("-at", "-id"), "verbose_name": "audit event", "verbose_name_plural": "audit events"},
        ),
    ]
