"""Predictions: what a model version said of a scan, with the rules that the database holds."""

import uuid
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis.files import heatmap_path
from diagnosis.models.labels import Label
from diagnosis.models.model_versions import ModelVersion
from diagnosis.models.moves import PredictionQuerySet
from diagnosis.models.scans import Scan
from diagnosis.review.rows import AGREED, CORRECTED, REVIEW_CONSTRAINTS, REVIEW_INDEXES, REVIEWED, Reviewed
from diagnosis.states import OPEN_STATES, TERMINAL_STATES, TRANSITIONS, FailureReason, State, Trigger
from ml.labels import NORMAL, PNEUMONIA

# Without an answer there is no probability; such rows come before the lowest one on every database.
BY_PROBABILITY = Coalesce("probability", Value(-1.0))

# The ranges of the probability that staff choose from; each holds its lower end. The last one lies to both sides of the
# operating point: where a small change would have changed the label.
PROBABILITY_RANGES = {
    "under-10": Q(probability__lt=0.1),
    "10-50": Q(probability__gte=0.1, probability__lt=0.5),
    "50-90": Q(probability__gte=0.5, probability__lt=0.9),
    "over-90": Q(probability__gte=0.9),
    "near": Q(probability__gte=F("threshold") - 0.1, probability__lte=F("threshold") + 0.1),
}


class Prediction(Reviewed):
    """One answer of one model version on one scan; a further answer is a further row.

    `probability` is the calibrated probability of PNEUMONIA, 0..1, whatever the label.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Both indexed with requested_at.
    scan = models.ForeignKey(
        Scan, verbose_name=_("scan"), on_delete=models.CASCADE, related_name="predictions", db_index=False
    )
    model_version = models.ForeignKey(
        ModelVersion,
        verbose_name=_("model version"),
        on_delete=models.PROTECT,
        related_name="predictions",
        db_index=False,
    )
    trigger = models.CharField(_("trigger"), max_length=10, choices=Trigger)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    requested_at = models.DateTimeField(_("requested at"), default=timezone.now)

    state = models.CharField(_("state"), max_length=10, choices=State, default=State.QUEUED)
    # When the message was last given to the broker; empty: the broker was away, and the message has to be sent.
    enqueued_at = models.DateTimeField(null=True, blank=True)
    claimed_by = models.CharField(max_length=100, blank=True, help_text=_("id of the task that reads or read it"))
    claimed_at = models.DateTimeField(_("claimed at"), null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(_("attempts"), default=0)
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)

    label = models.CharField(_("label"), max_length=10, choices=Label, blank=True)
    probability = models.FloatField(null=True, blank=True, help_text=_("calibrated P(PNEUMONIA), 0..1"))
    threshold = models.FloatField(null=True, blank=True, help_text=_("operating point at the time of the answer, 0..1"))
    is_uncertain = models.BooleanField(
        _("uncertain"), default=False, help_text=_("the probability lies in the version's uncertain band")
    )
    heatmap = models.FileField(upload_to=heatmap_path, max_length=200, blank=True)
    milliseconds = models.PositiveIntegerField(null=True, blank=True, help_text=_("that the reading took"))
    reason = models.CharField(_("reason"), max_length=20, choices=FailureReason, blank=True)
    # For the dashboard; a refused picture has them too, one that no model looked at has none.
    statistics = models.JSONField(
        null=True,
        blank=True,
        editable=False,
        help_text=_("of the picture that the model saw, in the order of ml.drift"),
    )
    # For the lists of one person's predictions, and of scans by their latest answer: all that such a list is narrowed
    # and sorted by stands in this table, in the order of an index. Of a scan the first two never change; save() copies
    # them. The third says that the scan's latest_prediction is this one; services.request_prediction writes both.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.CASCADE,
        editable=False,
        db_index=False,
        related_name="+",
    )
    scan_created_at = models.DateTimeField(editable=False)
    is_latest = models.BooleanField(default=False, editable=False)

    objects = PredictionQuerySet.as_manager()

    class Meta:
        verbose_name = _("prediction")
        verbose_name_plural = _("predictions")
        ordering = ("-requested_at", "-id")
        constraints = (
            models.CheckConstraint(
                name="an_answer_stands_iff_it_succeeded",
                condition=Q(
                    state=State.SUCCEEDED,
                    label__in=Label.values,
                    probability__isnull=False,
                    threshold__isnull=False,
                    milliseconds__isnull=False,
                )
                | (
                    ~Q(state=State.SUCCEEDED)
                    & Q(label="", probability__isnull=True, threshold__isnull=True, milliseconds__isnull=True)
                ),
            ),
            models.CheckConstraint(
                name="only_an_answer_is_uncertain_or_has_a_heatmap",
                condition=Q(state=State.SUCCEEDED) | Q(is_uncertain=False, heatmap=""),
            ),
            models.CheckConstraint(
                name="only_a_finished_one_has_statistics",
                condition=Q(statistics__isnull=True) | Q(state__in=TERMINAL_STATES),
            ),
            models.CheckConstraint(
                name="a_reason_stands_iff_it_failed",
                condition=Q(state=State.FAILED, reason__in=FailureReason.values)
                | (~Q(state=State.FAILED) & Q(reason="")),
            ),
            models.CheckConstraint(
                name="it_is_finished_iff_its_state_is_terminal",
                condition=Q(state__in=TERMINAL_STATES, finished_at__isnull=False)
                | Q(state__in=OPEN_STATES, finished_at__isnull=True),
            ),
            models.CheckConstraint(
                name="only_a_queued_one_is_unclaimed",
                condition=Q(state=State.QUEUED, claimed_by="", claimed_at__isnull=True)
                | (~Q(state=State.QUEUED) & ~Q(claimed_by="") & Q(claimed_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="probability_is_between_0_and_1",
                condition=Q(probability__isnull=True) | (Q(probability__gte=0) & Q(probability__lte=1)),
            ),
            models.CheckConstraint(
                name="the_label_follows_from_the_threshold",
                condition=Q(label="")
                | Q(label=PNEUMONIA, probability__gte=F("threshold"))
                | Q(label=NORMAL, probability__lt=F("threshold")),
            ),
            models.UniqueConstraint(
                name="one_open_prediction_per_scan_and_version",
                fields=("scan", "model_version"),
                condition=Q(state__in=OPEN_STATES),
            ),
            models.UniqueConstraint(
                name="one_prediction_of_a_scan_is_the_latest", fields=("scan",), condition=Q(is_latest=True)
            ),
            *REVIEW_CONSTRAINTS,
        )
        indexes = (
            # requeue_stale looks at the few open ones among millions.
            models.Index(fields=("state", "claimed_at"), condition=Q(state__in=OPEN_STATES), name="open_predictions"),
            models.Index(fields=("scan", "-requested_at"), name="predictions_of_a_scan"),
            # The staff's list, newest first; and by each filter whose rows may be rare, or far from the newest ones,
            # so that a page never walks past the others.
            models.Index(fields=("-requested_at", "-id"), name="predictions_newest"),
            models.Index(fields=("model_version", "-requested_at", "-id"), name="predictions_of_a_version"),
            # One for each: of an index that begins with the trigger a planner can't tell how near to each other in the
            # table its rows are, and would rather walk past those of the other triggers.
            *(
                models.Index(
                    fields=("-requested_at", "-id"),
                    condition=Q(trigger=trigger),
                    name=f"predictions_by_{trigger.value.lower()}",
                )
                for trigger in Trigger
            ),
            models.Index(
                fields=("state", "-requested_at", "-id"),
                condition=Q(state__in=(*OPEN_STATES, State.FAILED)),
                name="predictions_unanswered",
            ),
            models.Index(fields=("-requested_at", "-id"), condition=Q(is_uncertain=True), name="predictions_uncertain"),
            models.Index(
                fields=("-requested_at", "-id"), condition=Q(reviewed_label=""), name="predictions_unreviewed"
            ),
            models.Index(fields=("-requested_at", "-id"), condition=REVIEWED, name="predictions_reviewed"),
            models.Index(fields=("-requested_at", "-id"), condition=AGREED, name="predictions_agreed"),
            models.Index(fields=("-requested_at", "-id"), condition=CORRECTED, name="predictions_corrected"),
            models.Index(fields=("label", "-requested_at", "-id"), condition=~Q(label=""), name="predictions_by_label"),
            *(
                models.Index(
                    fields=("-requested_at", "-id"), condition=condition, name=f"predictions_{name.replace('-', '_')}"
                )
                for name, condition in PROBABILITY_RANGES.items()
            ),
            models.Index(fields=("owner", "-requested_at", "-id"), name="predictions_of_an_owner"),
            # The one column beside the time that the list is sorted by.
            models.Index(BY_PROBABILITY, "id", name="predictions_by_probability"),
            # Lists of scans by their latest answer: of one person and of all.
            models.Index(
                fields=("owner", "label", "-scan_created_at"),
                condition=Q(is_latest=True),
                name="latest_of_an_owner_by_label",
            ),
            models.Index(
                fields=("owner", "state", "-scan_created_at"),
                condition=Q(is_latest=True),
                name="latest_of_an_owner_by_state",
            ),
            models.Index(fields=("label", "-scan_created_at"), condition=Q(is_latest=True), name="latest_by_label"),
            models.Index(fields=("state", "-scan_created_at"), condition=Q(is_latest=True), name="latest_by_state"),
            models.Index(
                fields=("is_uncertain", "-scan_created_at"), condition=Q(is_latest=True), name="latest_by_certainty"
            ),
            *REVIEW_INDEXES,
        )
        permissions = (("reprocess_scan", "Can ask for a new prediction of any scan"),)

    def __str__(self) -> str:
        return gettext("%(state)s by %(version)s") % {
            "state": self.get_state_display(),
            "version": self.model_version,
        }

    def save(self, *args: Any, **kwargs: Any) -> None:
        """A new row takes over what its scan says."""
        if self._state.adding:
            self.copy_from_scan()
        super().save(*args, **kwargs)

    def copy_from_scan(self) -> None:
        """Take over, for a new row, what lists are narrowed and sorted by."""
        self.owner_id, self.scan_created_at = self.scan.owner_id, self.scan.created_at

    @property
    def is_terminal(self) -> bool:
        """Tell whether nothing more will happen to it."""
        return self.state in TERMINAL_STATES

    @property
    def is_unsent(self) -> bool:
        """Tell whether it waits for something that is away, the broker mostly: requeue_stale will send it."""
        return self.state == State.QUEUED and self.enqueued_at is None

    @property
    def standing(self) -> str:
        """Give what the page shows of an open one, for a poll that asks whether that has changed."""
        return "UNSENT" if self.is_unsent else self.state

    @property
    def is_pneumonia(self) -> bool:
        """Tell whether the label is PNEUMONIA."""
        return self.label == Label.PNEUMONIA

    @property
    def confidence(self) -> float | None:
        """Give the probability of the label that was given, 0..1; None without an answer."""
        if self.probability is None:
            return None
        return self.probability if self.is_pneumonia else 1 - self.probability

    @property
    def waited(self) -> timedelta | None:
        """Give the time from the request to the end."""
        return self.finished_at - self.requested_at if self.finished_at else None

    @staticmethod
    def may_move(old: State, new: State) -> bool:
        """Tell whether the machine knows this move."""
        return new in TRANSITIONS[old]
