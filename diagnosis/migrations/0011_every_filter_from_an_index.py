"""Fill the columns of the lists, and add an index for each filter that had none.

In steps that lock little, each of which may be run twice: PostgreSQL makes the indexes while the site is in use, and the
columns are filled some thousand rows at a time.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Exists, F, OuterRef, Q, Subquery

from diagnosis.migrations._in_use import AddIndexInUse

AT_ONCE = 5000

NEWEST = ["-requested_at", "-id"]
LATEST = Q(is_latest=True)
RANGES = {
    "under_10": Q(probability__lt=0.1),
    "10_50": Q(probability__gte=0.1, probability__lt=0.5),
    "50_90": Q(probability__gte=0.5, probability__lt=0.9),
    "over_90": Q(probability__gte=0.9),
    "near": Q(probability__gte=F("threshold") - 0.1, probability__lte=F("threshold") + 0.1),
}


def copy_from_scans(apps, schema_editor):
    empty = apps.get_model("diagnosis", "Prediction").objects.filter(scan_created_at=None).order_by("pk")
    scan = apps.get_model("diagnosis", "Scan").objects.filter(pk=OuterRef("scan"))
    while rows := list(empty.values_list("pk", flat=True)[:AT_ONCE]):
        while rows:
            empty.filter(pk__range=(rows[0], rows[-1])).update(
                owner=Subquery(scan.values("owner")),
                scan_created_at=Subquery(scan.values("created_at")),
                is_latest=Exists(scan.filter(latest_prediction=OuterRef("pk"))),
            )
            rows = list(empty.filter(pk__gt=rows[-1]).values_list("pk", flat=True)[:AT_ONCE])


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("diagnosis", "0010_predictions_know_whose_they_are")]

    operations = [
        migrations.RunPython(copy_from_scans, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="prediction",
            name="owner",
            field=models.ForeignKey(
                db_index=False,
                editable=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AlterField(
            model_name="prediction",
            name="scan_created_at",
            field=models.DateTimeField(editable=False),
        ),
        AddIndexInUse(
            model_name="prediction", index=models.Index(fields=["owner", *NEWEST], name="predictions_of_an_owner")
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(fields=["label", *NEWEST], condition=~Q(label=""), name="predictions_by_label"),
        ),
        *(
            AddIndexInUse(
                model_name="prediction",
                index=models.Index(fields=NEWEST, condition=condition, name=f"predictions_{name}"),
            )
            for name, condition in RANGES.items()
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(
                fields=["owner", "label", "-scan_created_at"], condition=LATEST, name="latest_of_an_owner_by_label"
            ),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(
                fields=["owner", "state", "-scan_created_at"], condition=LATEST, name="latest_of_an_owner_by_state"
            ),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(fields=["label", "-scan_created_at"], condition=LATEST, name="latest_by_label"),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(fields=["state", "-scan_created_at"], condition=LATEST, name="latest_by_state"),
        ),
        AddIndexInUse(
            model_name="prediction",
            index=models.Index(
                fields=["is_uncertain", "-scan_created_at"], condition=LATEST, name="latest_by_certainty"
            ),
        ),
        AddIndexInUse(
            model_name="scan",
            index=models.Index(
                fields=["reference", "-created_at", "-id"], condition=~Q(reference=""), name="scans_by_reference"
            ),
        ),
        # The last one, and the only one that can't be run twice.
        migrations.AddConstraint(
            model_name="prediction",
            constraint=models.UniqueConstraint(
                condition=LATEST, fields=("scan",), name="one_prediction_of_a_scan_is_the_latest"
            ),
        ),
    ]
