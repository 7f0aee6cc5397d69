from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0015_days_of_the_dashboard")]

    operations = [
        migrations.AddField(
            model_name="prediction",
            name="statistics",
            field=models.JSONField(
                blank=True,
                editable=False,
                help_text="of the picture that the model saw, in the order of ml.drift",
                null=True,
            ),
        ),
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.CheckConstraint(
                condition=Q(statistics__isnull=True) | Q(state__in=("SUCCEEDED", "FAILED")),
                name="only_a_finished_one_has_statistics",
            ),
        ),
    ]
