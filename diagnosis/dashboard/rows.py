"""What is kept of each day: counts and histograms, of no person, so that they outlive what they were counted from."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import IntegrityError, models, transaction
from django.db.models import F
from django.utils import timezone


class CountedDay(models.Model):
    """A day, in UTC, whose scans and predictions were counted."""

    day = models.DateField(primary_key=True)
    scans = models.PositiveIntegerField(default=0, help_text="that were given")
    is_final = models.BooleanField(default=False, help_text="nothing of this day is open any more")
    counted_at = models.DateTimeField()

    class Meta:
        ordering = ("-day",)

    def __str__(self) -> str:
        return f"{self.day}: {self.scans} scans"


class DayFigures(models.Model):
    """What became of the predictions that were asked of one version on one day: for uploads, or on old scans again."""

    # Indexed with the rest of what is unique.
    day = models.ForeignKey(CountedDay, on_delete=models.CASCADE, related_name="figures", db_index=False)
    model_version = models.ForeignKey("ModelVersion", on_delete=models.CASCADE, related_name="+")
    of_uploads = models.BooleanField(help_text="somebody had just given the scan and waited for the answer")
    answered = models.PositiveIntegerField(default=0)
    pneumonia = models.PositiveIntegerField(default=0, help_text="of those answered")
    uncertain = models.PositiveIntegerField(default=0, help_text="of those answered")
    failures = models.JSONField(default=dict, help_text="how many ended with each reason")
    waits = models.JSONField(default=list, help_text="seconds to the answer, counted in counting.WAIT_EDGES")
    histograms = models.JSONField(default=dict, help_text="by measure, as ml.drift counts them")

    class Meta:
        ordering = ("-day", "model_version")
        constraints = (
            models.UniqueConstraint(
                fields=("day", "model_version", "of_uploads"), name="a_day_has_figures_once_for_each_version"
            ),
        )

    def __str__(self) -> str:
        return f"{self.day_id}: {self.answered} answers"


class RefusedFilesManager(models.Manager):
    """Counts as it goes: of a file that was refused nothing else is kept."""

    def note(self, codes: Iterable[str]) -> None:
        """Count files of today that were refused for these reasons."""
        today = timezone.now().date()
        for code, files in Counter(codes).items():
            row = self.filter(day=today, code=code)
            if row.update(files=F("files") + files):
                continue
            try:
                with transaction.atomic():
                    self.create(day=today, code=code, files=files)
            except IntegrityError:  # another request was the first of the day
                row.update(files=F("files") + files)


class RefusedFiles(models.Model):
    """How many files a day were refused for one reason, before there was a scan."""

    day = models.DateField()
    code = models.CharField(max_length=40)
    files = models.PositiveIntegerField()

    objects = RefusedFilesManager()

    class Meta:
        ordering = ("-day", "code")
        constraints = (models.UniqueConstraint(fields=("day", "code"), name="a_day_counts_each_refusal_once"),)

    def __str__(self) -> str:
        return f"{self.day}: {self.files} × {self.code}"


class LastRun(models.Model):
    """When a task of beat last ran to its end, and what it did."""

    REQUEUE, COUNT = "requeue_stale_predictions", "count_days"

    task = models.CharField(max_length=60, primary_key=True)
    ended_at = models.DateTimeField()
    did: models.JSONField = models.JSONField(default=dict)

    def __str__(self) -> str:
        return f"{self.task} at {self.ended_at}"

    @classmethod
    def note(cls, task: str, **did: Any) -> None:
        """Remember what it did now."""
        cls.objects.update_or_create(task=task, defaults={"ended_at": timezone.now(), "did": did})


def site_began() -> datetime | None:
    """Tell when the first account was made: nothing could be counted before. None: there is no account."""
    return get_user_model().objects.order_by("pk").values_list("date_joined", flat=True).first()


def first_of(days: int, *, until: date) -> date:
    """Give the first of so many days that end with `until`."""
    return date.fromordinal(until.toordinal() - days + 1)
