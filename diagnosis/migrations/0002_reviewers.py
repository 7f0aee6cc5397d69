"""Make the group of ordinary staff who review answers: they see scans and predictions and add reviews, no more."""

from django.db import migrations

GROUP = "Reviewers"
PERMISSIONS = (("view", "scan"), ("view", "prediction"), ("view", "review"), ("add", "review"))


def make_group(apps, schema_editor):
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=GROUP)
    for verb, model in PERMISSIONS:
        content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
            app_label="diagnosis", model=model
        )
        # Django makes the permissions after the last migration, and keeps those that are there already.
        permission, _ = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=content_type, codename=f"{verb}_{model}", defaults={"name": f"Can {verb} {model}"}
        )
        group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = (
        ("diagnosis", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    )

    operations = (migrations.RunPython(make_group, migrations.RunPython.noop),)
