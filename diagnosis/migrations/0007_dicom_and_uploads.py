import uuid

import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

import diagnosis.validators


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0006_api_tokens"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Upload",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("given", models.PositiveIntegerField(help_text="files, those in archives included")),
                ("known", models.PositiveIntegerField(default=0, help_text="files that were there before")),
                (
                    "refused",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="file, code and sentence of each",
                        validators=[diagnosis.validators.check_refused],
                    ),
                ),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "ordering": ("-created_at", "-id"),
            },
        ),
        migrations.AddField(
            model_name="scan",
            name="column_spacing",
            field=models.FloatField(blank=True, help_text="millimetres from column to column", null=True),
        ),
        migrations.AddField(
            model_name="scan",
            name="modality",
            field=models.CharField(blank=True, choices=[("CR", "CR"), ("DX", "DX"), ("DR", "DR")], max_length=2),
        ),
        migrations.AddField(
            model_name="scan",
            name="patient_age",
            field=models.PositiveSmallIntegerField(
                blank=True, help_text="whole years; 90 means that or more", null=True
            ),
        ),
        migrations.AddField(
            model_name="scan",
            name="photometric_interpretation",
            field=models.CharField(
                blank=True,
                choices=[
                    ("MONOCHROME1", "MONOCHROME1"),
                    ("MONOCHROME2", "MONOCHROME2"),
                    ("PALETTE COLOR", "PALETTE COLOR"),
                    ("RGB", "RGB"),
                    ("YBR_FULL", "YBR_FULL"),
                    ("YBR_FULL_422", "YBR_FULL_422"),
                    ("YBR_PARTIAL_420", "YBR_PARTIAL_420"),
                    ("YBR_PARTIAL_422", "YBR_PARTIAL_422"),
                    ("YBR_ICT", "YBR_ICT"),
                    ("YBR_RCT", "YBR_RCT"),
                ],
                help_text="of the DICOM file as given",
                max_length=16,
            ),
        ),
        migrations.AddField(
            model_name="scan",
            name="row_spacing",
            field=models.FloatField(blank=True, help_text="millimetres from row to row", null=True),
        ),
        migrations.AddField(
            model_name="scan",
            name="view_position",
            field=models.CharField(blank=True, choices=[("AP", "AP"), ("PA", "PA")], max_length=2),
        ),
        migrations.AddConstraint(
            model_name="scan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "photometric_interpretation__in",
                        (
                            "MONOCHROME1",
                            "MONOCHROME2",
                            "PALETTE COLOR",
                            "RGB",
                            "YBR_FULL",
                            "YBR_FULL_422",
                            "YBR_PARTIAL_420",
                            "YBR_PARTIAL_422",
                            "YBR_ICT",
                            "YBR_RCT",
                        ),
                    ),
                    models.Q(
                        ("column_spacing__isnull", True),
                        ("modality", ""),
                        ("patient_age__isnull", True),
                        ("photometric_interpretation", ""),
                        ("row_spacing__isnull", True),
                        ("view_position", ""),
                    ),
                    _connector="OR",
                ),
                name="only_a_dicom_file_tells_more_than_pixels",
            ),
        ),
        migrations.AddConstraint(
            model_name="scan",
            constraint=models.CheckConstraint(
                condition=models.Q(("modality__in", ("", "CR", "DX", "DR")), ("view_position__in", ("", "AP", "PA"))),
                name="dicom_words_are_of_the_short_lists",
            ),
        ),
        migrations.AddConstraint(
            model_name="scan",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("column_spacing__isnull", True), ("row_spacing__isnull", True)),
                    models.Q(
                        ("column_spacing__isnull", False),
                        ("column_spacing__range", (0.01, 10.0)),
                        ("row_spacing__isnull", False),
                        ("row_spacing__range", (0.01, 10.0)),
                    ),
                    _connector="OR",
                ),
                name="rows_and_columns_are_both_spaced_or_neither",
            ),
        ),
        migrations.AddConstraint(
            model_name="scan",
            constraint=models.CheckConstraint(
                condition=models.Q(("patient_age__isnull", True), ("patient_age__range", (0, 90)), _connector="OR"),
                name="no_age_is_old_enough_to_tell_a_person",
            ),
        ),
        migrations.AddField(
            model_name="upload",
            name="owner",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="uploads", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="upload",
            name="scans",
            field=models.ManyToManyField(
                help_text="also those that were there before", related_name="uploads", to="diagnosis.scan"
            ),
        ),
    ]
