"""Names of rows and fields as people read them; nothing changes in the database."""

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0017_an_index_for_each_trigger"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="apitoken",
            options={"ordering": ("-created_at",), "verbose_name": "API token", "verbose_name_plural": "API tokens"},
        ),
        migrations.AlterModelOptions(
            name="modelversion",
            options={
                "ordering": ("-registered_at",),
                "verbose_name": "model version",
                "verbose_name_plural": "model versions",
            },
        ),
        migrations.AlterModelOptions(
            name="prediction",
            options={
                "ordering": ("-requested_at", "-id"),
                "permissions": (("reprocess_scan", "Can ask for a new prediction of any scan"),),
                "verbose_name": "prediction",
                "verbose_name_plural": "predictions",
            },
        ),
        migrations.AlterModelOptions(
            name="review",
            options={"ordering": ("-created_at", "-id"), "verbose_name": "review", "verbose_name_plural": "reviews"},
        ),
        migrations.AlterModelOptions(
            name="scan",
            options={"ordering": ("-created_at", "-id"), "verbose_name": "scan", "verbose_name_plural": "scans"},
        ),
        migrations.AlterField(
            model_name="apitoken",
            name="created_at",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="apitoken",
            name="expires_at",
            field=models.DateTimeField(
                blank=True, help_text="empty: not before it is revoked", null=True, verbose_name="expires at"
            ),
        ),
        migrations.AlterField(
            model_name="apitoken",
            name="last_used_at",
            field=models.DateTimeField(blank=True, help_text="to the minute", null=True, verbose_name="last used at"),
        ),
        migrations.AlterField(
            model_name="apitoken",
            name="start",
            field=models.CharField(
                editable=False, help_text="of the secret, to tell it from others", max_length=12, verbose_name="start"
            ),
        ),
        migrations.AlterField(
            model_name="apitoken",
            name="user",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="api_token",
                to=settings.AUTH_USER_MODEL,
                verbose_name="user",
            ),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="activated_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="activated at"),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="is_active",
            field=models.BooleanField(default=False, help_text="answers new scans", verbose_name="active"),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="name",
            field=models.CharField(max_length=100, verbose_name="name"),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="registered_at",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="registered at"),
        ),
        migrations.AlterField(
            model_name="modelversion",
            name="sha256",
            field=models.CharField(
                help_text="of the checkpoint's metadata and weights", max_length=64, unique=True, verbose_name="sha256"
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="attempts",
            field=models.PositiveSmallIntegerField(default=0, verbose_name="attempts"),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="claimed_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="claimed at"),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="finished_at",
            field=models.DateTimeField(blank=True, null=True, verbose_name="finished at"),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="label",
            field=models.CharField(
                blank=True,
                choices=[("NORMAL", "Normal"), ("PNEUMONIA", "Pneumonia")],
                max_length=10,
                verbose_name="label",
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="model_version",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="predictions",
                to="diagnosis.modelversion",
                verbose_name="model version",
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="owner",
            field=models.ForeignKey(
                db_index=False,
                editable=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="owner",
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="reason",
            field=models.CharField(
                blank=True,
                choices=[
                    (
                        "UNREADABLE_IMAGE",
                        "The stored picture could not be read. Delete the scan and upload the original file again.",
                    ),
                    (
                        "NOT_A_CHEST_XRAY",
                        "This does not look like a frontal chest X-ray, so the model gives no answer. This is no medical finding.",
                    ),
                    (
                        "MODEL_UNAVAILABLE",
                        "The model could not be loaded. The scan is kept; staff can ask for an answer again once it is repaired.",
                    ),
                    (
                        "TIMED_OUT",
                        "Reading this picture took too long and was stopped. The scan is kept; staff can ask for an answer again.",
                    ),
                    (
                        "WORKER_LOST",
                        "The reading was interrupted several times and was given up. The scan is kept; staff can ask again.",
                    ),
                    (
                        "INTERNAL_ERROR",
                        "Something went wrong on our side. The scan is kept and the fault was logged; staff can ask again.",
                    ),
                ],
                max_length=20,
                verbose_name="reason",
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="requested_at",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="requested at"),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="scan",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="predictions",
                to="diagnosis.scan",
                verbose_name="scan",
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="state",
            field=models.CharField(
                choices=[
                    ("QUEUED", "Waiting"),
                    ("RUNNING", "Reading"),
                    ("SUCCEEDED", "Answered"),
                    ("FAILED", "Not answered"),
                ],
                default="QUEUED",
                max_length=10,
                verbose_name="state",
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="trigger",
            field=models.CharField(
                choices=[("UPLOAD", "Upload"), ("ADMIN", "Staff"), ("COMMAND", "Batch command"), ("API", "API")],
                max_length=10,
                verbose_name="trigger",
            ),
        ),
        migrations.AlterField(
            model_name="scan",
            name="created_at",
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name="created at"),
        ),
        migrations.AlterField(
            model_name="scan",
            name="is_colour",
            field=models.BooleanField(
                default=False, help_text="the given picture had colours, as no X-ray has", verbose_name="in colour"
            ),
        ),
        migrations.AlterField(
            model_name="scan",
            name="original_name",
            field=models.CharField(max_length=255, verbose_name="original name"),
        ),
        migrations.AlterField(
            model_name="scan",
            name="owner",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="scans",
                to=settings.AUTH_USER_MODEL,
                verbose_name="owner",
            ),
        ),
        migrations.AlterField(
            model_name="scan",
            name="reference",
            field=models.CharField(
                blank=True, help_text="the owner's own words for it", max_length=100, verbose_name="reference"
            ),
        ),
        migrations.AlterField(
            model_name="scan",
            name="sha256",
            field=models.CharField(
                help_text="of the bytes that were given, before anything was changed",
                max_length=64,
                verbose_name="sha256",
            ),
        ),
    ]
