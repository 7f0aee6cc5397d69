"""Several readers of one answer, a third verdict, and reviews that a later one of the same reader has replaced.

Cheap on a large table: the new columns have constant defaults, and only reviewed rows are written.
"""

from collections import Counter

from django.conf import settings
from django.db import migrations, models
from django.db.models import Count, Exists, IntegerField, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce

VERDICTS = [("NORMAL", "Normal"), ("PNEUMONIA", "Pneumonia"), ("UNUSABLE", "Not a usable chest X-ray")]


def count_readers(apps, schema_editor):
    """Let the newest review of each reader stand, and let predictions know how many do and what most of them say."""
    reviews = apps.get_model("diagnosis", "Review").objects
    later = reviews.filter(prediction=OuterRef("prediction"), pk__gt=OuterRef("pk"))
    # Of those who left nobody knows who is who: they count as one reader.
    for reader, same in ((Q(reviewer=None), Q(reviewer=None)), (~Q(reviewer=None), Q(reviewer=OuterRef("reviewer")))):
        reviews.filter(reader).filter(Exists(later.filter(same))).update(is_standing=False)
    standing = reviews.filter(is_standing=True)
    number = standing.filter(prediction=OuterRef("pk")).order_by().values("prediction").annotate(n=Count("pk"))
    predictions = apps.get_model("diagnosis", "Prediction").objects.exclude(reviewed_label="")
    predictions.update(readings=Coalesce(Subquery(number.values("n")), 0, output_field=IntegerField()))
    for prediction in predictions.filter(readings__gte=2).iterator(chunk_size=500):
        newest_first = standing.filter(prediction=prediction).order_by("-pk").values_list("label", flat=True)
        label, count = Counter(newest_first).most_common(1)[0]
        decided = {"reviewed_label": label} if 2 * count > prediction.readings else {"is_disputed": True}
        predictions.filter(pk=prediction.pk).update(**decided)


class Migration(migrations.Migration):
    dependencies = [
        ("diagnosis", "0012_preferences"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(model_name="prediction", name="only_an_answer_is_reviewed"),
        migrations.RemoveConstraint(model_name="review", name="a_review_names_a_label"),
        migrations.AddField(
            model_name="prediction",
            name="is_disputed",
            field=models.BooleanField(
                default=False,
                editable=False,
                help_text="its readers disagree, and no verdict has most of them",
                verbose_name="disputed",
            ),
        ),
        migrations.AddField(
            model_name="prediction",
            name="readings",
            field=models.PositiveSmallIntegerField(
                default=0, editable=False, help_text="readers who gave a verdict; a change of mind counts once"
            ),
        ),
        migrations.AddField(
            model_name="prediction",
            name="readings_wanted",
            field=models.PositiveSmallIntegerField(default=1, editable=False, help_text="readers it should have"),
        ),
        migrations.AddField(
            model_name="review",
            name="is_standing",
            field=models.BooleanField(default=True, editable=False, help_text="the reviewer's last word on it"),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="reviewed_label",
            field=models.CharField(
                blank=True,
                choices=VERDICTS,
                editable=False,
                help_text="what most of its readers say; while no verdict has most of them, the newest",
                max_length=10,
            ),
        ),
        migrations.AlterField(
            model_name="review",
            name="label",
            field=models.CharField(choices=VERDICTS, help_text="what the reviewer sees", max_length=10),
        ),
        migrations.RunPython(count_readers, migrations.RunPython.noop),
    ]
