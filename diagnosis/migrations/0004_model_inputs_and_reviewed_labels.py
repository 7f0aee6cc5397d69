"""Columns for what is read often: the picture as a model takes it, the label of the newest review.

Cheap on a large table: the columns have constant defaults, and only reviewed rows are written.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Exists, OuterRef, Q, Subquery

import diagnosis.files


def copy_newest_reviews(apps, schema_editor):
    reviews = apps.get_model("diagnosis", "Review").objects.filter(prediction=OuterRef("pk")).order_by("-pk")
    predictions = apps.get_model("diagnosis", "Prediction").objects.filter(Exists(reviews))
    predictions.update(reviewed_label=Subquery(reviews.values("label")[:1]))


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0003_uncertainty_quality_and_heatmaps"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="scan",
            name="model_input",
            field=models.FileField(
                blank=True, editable=False, max_length=200, upload_to=diagnosis.files.model_input_path
            ),
        ),
        migrations.AddField(
            model_name="prediction",
            name="reviewed_label",
            field=models.CharField(
                blank=True,
                choices=[("NORMAL", "Normal"), ("PNEUMONIA", "Pneumonia")],
                editable=False,
                help_text="what the newest review says",
                max_length=10,
            ),
        ),
        migrations.RunPython(copy_newest_reviews, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                name="only_an_answer_is_reviewed",
                condition=Q(reviewed_label="") | Q(state="SUCCEEDED", reviewed_label__in=["NORMAL", "PNEUMONIA"]),
            ),
        ),
        # Indexes of more columns begin with these.
        migrations.AlterField(
            model_name="scan",
            name="owner",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="scans",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="scan",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="predictions",
                to="diagnosis.scan",
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
            ),
        ),
    ]
