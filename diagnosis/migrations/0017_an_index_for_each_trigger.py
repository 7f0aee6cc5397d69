from django.db import migrations, models
from django.db.models import Q

from diagnosis.migrations._in_use import AddIndexInUse


class Migration(migrations.Migration):
    # Indexes of a site that is in use are built outside of a transaction.
    atomic = False

    dependencies = [("diagnosis", "0016_statistics_of_pictures")]

    operations = [
        *(
            AddIndexInUse(
                model_name="prediction",
                index=models.Index(
                    fields=["-requested_at", "-id"],
                    condition=Q(trigger=trigger),
                    name=f"predictions_by_{trigger.lower()}",
                ),
            )
            for trigger in ("UPLOAD", "ADMIN", "COMMAND", "API")
        ),
        migrations.RemoveIndex(model_name="prediction", name="predictions_by_trigger"),
    ]
