"""The rules of reviews, and the indexes from which each page of the worklist is read, however many rows there are.

PostgreSQL makes the indexes while the site is in use. That can't be undone as a whole, so each step may be run twice.
"""

from django.db import migrations, models
from django.db.models import Case, F, FloatField, Q, Value, When

from diagnosis.migrations._in_use import AddIndexInUse

URGENCY = Case(
    When(is_uncertain=True, then=Value(-2.0) - F("probability")),
    default=Value(0.0) - F("probability"),
    output_field=FloatField(),
)
ORDER = (URGENCY, F("requested_at"), F("id"))
WAITING = Q(state="SUCCEEDED", readings__lt=F("readings_wanted"))
REVIEWED = ~Q(reviewed_label="")
CORRECTED = REVIEWED & ~Q(reviewed_label=F("label"))
LABELS = ["NORMAL", "PNEUMONIA", "UNUSABLE"]


class AddConstraintAgain(migrations.AddConstraint):
    """Add a constraint, in place of one that an interrupted run left."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor == "postgresql":
            table = to_state.apps.get_model(app_label, self.model_name)._meta.db_table
            name = schema_editor.quote_name(self.constraint.name)
            schema_editor.execute(f"ALTER TABLE {schema_editor.quote_name(table)} DROP CONSTRAINT IF EXISTS {name}")
            if isinstance(self.constraint, models.UniqueConstraint):
                schema_editor.execute(f"DROP INDEX IF EXISTS {name}")
        super().database_forwards(app_label, schema_editor, from_state, to_state)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("diagnosis", "0013_readers")]

    operations = [
        *(
            AddConstraintAgain(model_name=model, constraint=constraint)
            for model, constraint in (
                (
                    "prediction",
                    models.CheckConstraint(
                        name="only_an_answer_is_reviewed",
                        condition=Q(reviewed_label="", readings=0)
                        | Q(state="SUCCEEDED", reviewed_label__in=LABELS, readings__gte=1),
                    ),
                ),
                (
                    "prediction",
                    models.CheckConstraint(
                        name="only_several_readers_disagree",
                        condition=Q(is_disputed=False) | Q(is_disputed=True, readings__gte=2),
                    ),
                ),
                (
                    "prediction",
                    models.CheckConstraint(
                        name="one_or_two_readers_are_wanted", condition=Q(readings_wanted__in=(1, 2))
                    ),
                ),
                ("review", models.CheckConstraint(name="a_review_names_a_label", condition=Q(label__in=LABELS))),
                (
                    "review",
                    models.UniqueConstraint(
                        name="a_reader_has_one_last_word_on_a_prediction",
                        fields=("prediction", "reviewer"),
                        condition=Q(is_standing=True),
                    ),
                ),
            )
        ),
        *(
            AddIndexInUse(model_name="prediction", index=index)
            for index in (
                models.Index(*ORDER, condition=WAITING, name="worklist_waiting"),
                models.Index(F("model_version"), *ORDER, condition=WAITING, name="worklist_waiting_by_version"),
                models.Index(*ORDER, condition=REVIEWED, name="worklist_reviewed"),
                models.Index(F("model_version"), *ORDER, condition=REVIEWED, name="worklist_reviewed_by_version"),
                models.Index(*ORDER, condition=CORRECTED, name="worklist_corrected"),
                models.Index(*ORDER, condition=Q(is_disputed=True), name="worklist_disputed"),
                models.Index(fields=["scan"], condition=REVIEWED, name="reviewed_of_a_scan"),
            )
        ),
        AddIndexInUse(
            model_name="review",
            index=models.Index(
                fields=["reviewer", "prediction"], condition=Q(is_standing=True), name="standing_reviews_of_a_reader"
            ),
        ),
    ]
