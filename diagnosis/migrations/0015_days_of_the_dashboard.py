import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("diagnosis", "0014_worklist_from_indexes")]

    operations = [
        migrations.CreateModel(
            name="CountedDay",
            fields=[
                ("day", models.DateField(primary_key=True, serialize=False)),
                ("scans", models.PositiveIntegerField(default=0, help_text="that were given")),
                ("is_final", models.BooleanField(default=False, help_text="nothing of this day is open any more")),
                ("counted_at", models.DateTimeField()),
            ],
            options={"ordering": ("-day",)},
        ),
        migrations.CreateModel(
            name="DayFigures",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "of_uploads",
                    models.BooleanField(help_text="somebody had just given the scan and waited for the answer"),
                ),
                ("answered", models.PositiveIntegerField(default=0)),
                ("pneumonia", models.PositiveIntegerField(default=0, help_text="of those answered")),
                ("uncertain", models.PositiveIntegerField(default=0, help_text="of those answered")),
                ("failures", models.JSONField(default=dict, help_text="how many ended with each reason")),
                (
                    "waits",
                    models.JSONField(default=list, help_text="seconds to the answer, counted in counting.WAIT_EDGES"),
                ),
                ("histograms", models.JSONField(default=dict, help_text="by measure, as ml.drift counts them")),
                (
                    "day",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="figures",
                        to="diagnosis.countedday",
                    ),
                ),
                (
                    "model_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="diagnosis.modelversion"
                    ),
                ),
            ],
            options={
                "ordering": ("-day", "model_version"),
                "constraints": [
                    models.UniqueConstraint(
                        fields=("day", "model_version", "of_uploads"), name="a_day_has_figures_once_for_each_version"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="RefusedFiles",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("code", models.CharField(max_length=40)),
                ("files", models.PositiveIntegerField()),
            ],
            options={
                "ordering": ("-day", "code"),
                "constraints": [models.UniqueConstraint(fields=("day", "code"), name="a_day_counts_each_refusal_once")],
            },
        ),
        migrations.CreateModel(
            name="LastRun",
            fields=[
                ("task", models.CharField(max_length=60, primary_key=True, serialize=False)),
                ("ended_at", models.DateTimeField()),
                ("did", models.JSONField(default=dict)),
            ],
        ),
    ]
