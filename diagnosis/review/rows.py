"""What readers said of an answer, and what a prediction keeps of it so that lists come from an index."""

from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import Case, F, FloatField, Q, Value, When
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from diagnosis.states import State
from ml.labels import NORMAL, PNEUMONIA

# A reader's verdict that is none of the model's labels.
UNUSABLE = "UNUSABLE"


class Verdict(models.TextChoices):
    """What a reader may see in a picture."""

    NORMAL = NORMAL, _("Normal")
    PNEUMONIA = PNEUMONIA, _("Pneumonia")
    UNUSABLE = UNUSABLE, _("Not a usable chest X-ray")


# A database reads a partial index where the question repeats its condition, so each is written once.
REVIEWED = ~Q(reviewed_label="")
AGREED = REVIEWED & Q(reviewed_label=F("label"))
CORRECTED = REVIEWED & ~Q(reviewed_label=F("label"))
AWAITING_A_READER = Q(state=State.SUCCEEDED, readings__lt=F("readings_wanted"))
DISPUTED = Q(is_disputed=True)

# The place in the worklist, rising: the uncertain ones (-3 to -2) before all others (-1 to 0), within both the
# probability of pneumonia downwards. Ties go to the one that was asked for first.
URGENCY = Case(
    When(is_uncertain=True, then=Value(-2.0) - F("probability")),
    default=Value(0.0) - F("probability"),
    output_field=FloatField(),
)
WORKLIST_ORDER = (URGENCY, F("requested_at"), F("id"))

REVIEW_INDEXES = (
    models.Index(*WORKLIST_ORDER, condition=AWAITING_A_READER, name="worklist_waiting"),
    models.Index("model_version", *WORKLIST_ORDER, condition=AWAITING_A_READER, name="worklist_waiting_by_version"),
    models.Index(*WORKLIST_ORDER, condition=REVIEWED, name="worklist_reviewed"),
    models.Index("model_version", *WORKLIST_ORDER, condition=REVIEWED, name="worklist_reviewed_by_version"),
    models.Index(*WORKLIST_ORDER, condition=CORRECTED, name="worklist_corrected"),
    models.Index(*WORKLIST_ORDER, condition=DISPUTED, name="worklist_disputed"),
    # The export goes scan by scan.
    models.Index(fields=("scan",), condition=REVIEWED, name="reviewed_of_a_scan"),
)
REVIEW_CONSTRAINTS = (
    models.CheckConstraint(
        name="only_an_answer_is_reviewed",
        condition=Q(reviewed_label="", readings=0)
        | Q(state=State.SUCCEEDED, reviewed_label__in=Verdict.values, readings__gte=1),
    ),
    models.CheckConstraint(
        name="only_several_readers_disagree", condition=Q(is_disputed=False) | Q(is_disputed=True, readings__gte=2)
    ),
    models.CheckConstraint(name="one_or_two_readers_are_wanted", condition=Q(readings_wanted__in=(1, 2))),
)


class Reviewed(models.Model):
    """What a prediction knows of its reviews, beside the answer, which stays; services.record_review writes it."""

    reviewed_label = models.CharField(
        max_length=10,
        choices=Verdict,
        blank=True,
        editable=False,
        help_text="what most of its readers say; while no verdict has most of them, the newest",
    )
    readings = models.PositiveSmallIntegerField(
        default=0, editable=False, help_text="readers who gave a verdict; a change of mind counts once"
    )
    readings_wanted = models.PositiveSmallIntegerField(default=1, editable=False, help_text="readers it should have")
    is_disputed = models.BooleanField(
        "disputed", default=False, editable=False, help_text="its readers disagree, and no verdict has most of them"
    )

    class Meta:
        abstract = True

    @property
    def is_read(self) -> bool:
        """Tell whether it had all the readers that were wanted."""
        return 0 < self.readings >= self.readings_wanted

    @property
    def is_half_read(self) -> bool:
        """Tell whether a first reader gave a verdict and another one is still waited for."""
        return 0 < self.readings < self.readings_wanted

    @property
    def decided_label(self) -> str:
        """Give the verdict that stands; "" while readers are waited for or disagree."""
        return self.reviewed_label if self.is_read and not self.is_disputed else ""


class ReviewQuerySet(models.QuerySet["Review"]):
    """Questions about reviews."""

    def standing(self) -> Self:
        """Keep the last word of each reader."""
        return self.filter(is_standing=True)

    def shown_to(self, reader: Any, *, of: Any) -> Self:
        """Keep what `reader` may see of the reviews of the prediction `of`.

        While it waits for a reader, whoever has not given a verdict could be that one, and sees none.
        """
        reviews = self.filter(prediction=of)
        if of.readings < of.readings_wanted and not reviews.filter(reviewer=reader).exists():
            return reviews.none()
        return reviews


class Review(models.Model):
    """A reader's verdict on a prediction. It never changes the prediction.

    A change of mind is a further review; the one before stays and says that it stands no more.
    """

    prediction = models.ForeignKey("Prediction", on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="reviews")
    label = models.CharField(max_length=10, choices=Verdict, help_text="what the reviewer sees")
    note = models.TextField(blank=True, max_length=2000)
    created_at = models.DateTimeField(default=timezone.now)
    is_standing = models.BooleanField(default=True, editable=False, help_text="the reviewer's last word on it")

    objects = ReviewQuerySet.as_manager()

    class Meta:
        verbose_name = _("review")
        verbose_name_plural = _("reviews")
        ordering = ("-created_at", "-id")
        constraints = (
            models.CheckConstraint(condition=Q(label__in=Verdict.values), name="a_review_names_a_label"),
            models.UniqueConstraint(
                fields=("prediction", "reviewer"),
                condition=Q(is_standing=True),
                name="a_reader_has_one_last_word_on_a_prediction",
            ),
        )
        indexes = (
            models.Index(
                fields=("reviewer", "prediction"), condition=Q(is_standing=True), name="standing_reviews_of_a_reader"
            ),
        )

    def __str__(self) -> str:
        return f"{self.reviewer}: {self.get_label_display()}"

    @property
    def agrees(self) -> bool:
        """Tell whether the reviewer sees what the model said."""
        return self.label == self.prediction.label
