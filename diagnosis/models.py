"""What the site remembers: scans, model versions, predictions and reviews, with the rules that must never break."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any, NamedTuple, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce, Now
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from diagnosis import quality
from diagnosis.audit.rows import AuditEvent
from diagnosis.dashboard.rows import CountedDay, DayFigures, LastRun, RefusedFiles  # noqa: F401 - models elsewhere
from diagnosis.dicom_facts import DICOM_CONSTRAINTS, DicomFacts
from diagnosis.expressions import ValueOfEach
from diagnosis.files import heatmap_path, model_input_path, picture_path, thumbnail_path
from diagnosis.preferences import Preferences  # noqa: F401 - a model in a file of its own
from diagnosis.review.rows import (
    AGREED,
    CORRECTED,
    REVIEW_CONSTRAINTS,
    REVIEW_INDEXES,
    REVIEWED,
    Review,
    Reviewed,
    Verdict,
)
from diagnosis.sentences import file_name
from diagnosis.sessions import Session  # noqa: F401 - so are sessions
from diagnosis.states import OPEN_STATES, TERMINAL_STATES, TRANSITIONS, FailureReason, State, Trigger
from diagnosis.tokens import ApiToken  # noqa: F401 - a model in a file of its own
from diagnosis.upload_rows import Upload
from diagnosis.validators import check_quality_issues
from ml.labels import NORMAL, PNEUMONIA

__all__ = [
    "Answer",
    "AuditEvent",
    "Label",
    "ModelVersion",
    "Prediction",
    "Review",
    "Scan",
    "ScanQuerySet",
    "Upload",
    "Verdict",
]


class Label(models.TextChoices):
    """The two answers, as ml.labels names them."""

    NORMAL = NORMAL, _("Normal")
    PNEUMONIA = PNEUMONIA, _("Pneumonia")


def may_view_all_scans(user) -> bool:
    """Tell whether `user` may open the scans of others."""
    return user.is_staff and user.has_perm("diagnosis.view_scan")


class ScanQuerySet(models.QuerySet):
    """Questions about scans."""

    def visible_to(self, user) -> Self:
        """Keep what `user` may open: their own; staff with the permission to view scans may open all."""
        return self if may_view_all_scans(user) else self.filter(owner=user)

    def with_latest(self) -> Self:
        """Fetch the latest prediction and its model version along, in the same query.

        Without the version's metadata: with all its curves it is larger than a page.
        """
        return self.select_related("latest_prediction__model_version").defer(
            "latest_prediction__model_version__metadata"
        )

    def by_answer(self, *, owner=None, label: str = "", state: str = "") -> Self:
        """Keep those whose latest prediction has this label and this state, and name `placed_at`: sort by that.

        It is created_at, from the table in which an index has it in order. `owner` is whose scans they are, where they
        are one person's; another condition says so.
        """
        if not (label or state):
            return self.annotate(placed_at=F("created_at"))
        answer = {"is_latest": True, "owner": owner, "label": label, "state": state}
        chosen = self.filter(**{f"latest_prediction__{name}": value for name, value in answer.items() if value})
        chosen = chosen.annotate(placed_at=F("latest_prediction__scan_created_at"))
        # The rules know no such row, but the database would look for one through all that have the label.
        return chosen.none() if label and state and state != State.SUCCEEDED else chosen

    def unanswered_by(self, model_version: "ModelVersion") -> Self:
        """Keep the scans on which `model_version` has neither settled nor is about to."""
        asked = Prediction.objects.filter(scan=models.OuterRef("pk"), model_version=model_version)
        return self.exclude(models.Exists(asked.settled())).exclude(models.Exists(asked.open()))


class Scan(DicomFacts):
    """One chest X-ray of one owner."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Indexed with created_at.
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        verbose_name=_("owner"),
        on_delete=models.CASCADE,
        related_name="scans",
        db_index=False,
    )
    picture = models.FileField(upload_to=picture_path, max_length=200)
    thumbnail = models.FileField(upload_to=thumbnail_path, max_length=200)
    # A few KB instead of the whole picture, each time a model reads it; empty until a worker makes it for an old scan.
    model_input = models.FileField(upload_to=model_input_path, max_length=200, blank=True, editable=False)
    sha256 = models.CharField(
        _("sha256"), max_length=64, help_text=_("of the bytes that were given, before anything was changed")
    )
    original_name = models.CharField(_("original name"), max_length=255)
    reference = models.CharField(
        _("reference"), max_length=100, blank=True, help_text=_("the owner's own words for it")
    )
    width = models.PositiveIntegerField(help_text=_("pixels"))
    height = models.PositiveIntegerField(help_text=_("pixels"))
    # What only the given file tells; the stored picture is grey, and may be scaled.
    is_colour = models.BooleanField(
        _("in colour"), default=False, help_text=_("the given picture had colours, as no X-ray has")
    )
    quality_issues = models.JSONField(
        default=list, blank=True, validators=[check_quality_issues], help_text=_("codes of what is poor in the picture")
    )
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    # The newest one asked for. Kept here so that the history page filters and sorts without a subquery per row.
    latest_prediction = models.ForeignKey(
        "Prediction", on_delete=models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    objects = ScanQuerySet.as_manager()

    class Meta:
        verbose_name = _("scan")
        verbose_name_plural = _("scans")
        ordering = ("-created_at", "-id")
        constraints = (
            models.UniqueConstraint(fields=("owner", "sha256"), name="an_owner_has_each_file_once"),
            *DICOM_CONSTRAINTS,
        )
        indexes = (
            models.Index(fields=("owner", "-created_at", "-id"), name="scans_of_an_owner_newest"),
            # The staff's list.
            models.Index(fields=("-created_at", "-id"), name="scans_newest"),
            # What programs look up.
            models.Index(
                fields=("reference", "-created_at", "-id"), condition=~Q(reference=""), name="scans_by_reference"
            ),
        )

    def __str__(self) -> str:
        return self.reference or self.file_name

    def get_absolute_url(self) -> str:
        """Give the page with the answer."""
        return reverse("diagnosis:scan_detail", args=[self.pk])

    @property
    def kept_until(self) -> datetime | None:
        """Tell when it expires and is erased within a day; None: not before somebody deletes it."""
        if settings.RETENTION_DAYS is None:
            return None
        return self.created_at + timedelta(days=settings.RETENTION_DAYS)

    @property
    def has_model_input(self) -> bool:
        """Tell whether the stored model input was made by the steps that the models now need."""
        return self.model_input.name == model_input_path(self, "")

    @property
    def quality_sentences(self) -> list[str]:
        """Say what is poor in the picture, one sentence for each code; codes of another version are passed over."""
        return list(quality.sentences(self.quality_issues).values())

    @property
    def file_name(self) -> str:
        """Give the original name, in the language of the page where it is none of the file's own."""
        return file_name(self.original_name)


class ModelVersion(models.Model):
    """A registered checkpoint. The sha256 names it; the folder says where the workers find it."""

    name = models.CharField(_("name"), max_length=100)
    sha256 = models.CharField(
        _("sha256"), max_length=64, unique=True, help_text=_("of the checkpoint's metadata and weights")
    )
    folder = models.CharField(
        max_length=500,
        help_text=_("of the checkpoint, readable by every worker; relative to the project where inside it"),
    )
    threshold = models.FloatField(help_text=_("operating point on the calibrated probability, 0..1"))
    # Empty for checkpoints of the first format: they knew no band, and none can be made up for them.
    uncertain_low = models.FloatField(null=True, blank=True, help_text=_("from here on it is uncertain, 0..1"))
    uncertain_high = models.FloatField(null=True, blank=True, help_text=_("up to here it is uncertain, 0..1"))
    metadata = models.JSONField(default=dict, help_text=_("as the checkpoint tells it: training, metrics, calibration"))
    registered_at = models.DateTimeField(_("registered at"), default=timezone.now)
    activated_at = models.DateTimeField(_("activated at"), null=True, blank=True)
    is_active = models.BooleanField(_("active"), default=False, help_text=_("answers new scans"))

    class Meta:
        verbose_name = _("model version")
        verbose_name_plural = _("model versions")
        ordering = ("-registered_at",)
        constraints = (
            models.UniqueConstraint(
                fields=("is_active",), condition=Q(is_active=True), name="only_one_model_version_is_active"
            ),
            models.CheckConstraint(
                condition=Q(threshold__gt=0) & Q(threshold__lt=1), name="threshold_is_between_0_and_1"
            ),
            models.CheckConstraint(
                name="the_uncertain_band_holds_the_threshold",
                condition=Q(uncertain_low__isnull=True, uncertain_high__isnull=True)
                | Q(
                    uncertain_low__isnull=False,
                    uncertain_high__isnull=False,
                    uncertain_low__gte=0,
                    uncertain_low__lte=F("threshold"),
                    uncertain_high__gte=F("threshold"),
                    uncertain_high__lte=1,
                ),
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} ({self.short_sha256})"

    def get_absolute_url(self) -> str:
        """Give the model card."""
        return reverse("diagnosis:model_card", args=[self.sha256])

    @property
    def short_sha256(self) -> str:
        """Give what a person reads out: the first twelve digits."""
        return self.sha256[:12]

    def label_of(self, probability: float) -> Label:
        """Give the answer that follows from the operating point, which counts as pneumonia."""
        return Label.PNEUMONIA if probability >= self.threshold else Label.NORMAL

    def is_uncertain_about(self, probability: float) -> bool:
        """Tell whether `probability` lies in the band, both edges included; without a band nothing does."""
        if self.uncertain_low is None or self.uncertain_high is None:
            return False
        return self.uncertain_low <= probability <= self.uncertain_high


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


class Answer(NamedTuple):
    """What there is to record of one prediction among several; `heatmap` names a file in the storage."""

    prediction_id: uuid.UUID
    probability: float
    milliseconds: int
    heatmap: str
    statistics: list[float] | None = None  # of ml.drift


class PredictionQuerySet(models.QuerySet):
    """The moves of the state machine. Each is one UPDATE whose row count tells whether it happened."""

    def claim(self, prediction_id: uuid.UUID | str, *, task_id: str) -> bool:
        """Move QUEUED → RUNNING for the task `task_id` and count the attempt.

        A message that is delivered again after its worker was killed finds its own claim and takes it up again. False:
        somebody else has it, it is finished, it is gone, or the attempts are used up.
        """
        return bool(
            self.filter(
                Q(state=State.QUEUED) | Q(state=State.RUNNING, claimed_by=task_id),
                pk=prediction_id,
                attempts__lt=settings.PREDICTION_MAX_ATTEMPTS,
            ).update(state=State.RUNNING, claimed_by=task_id, claimed_at=Now(), attempts=F("attempts") + 1)
        )

    def claim_all(
        self, prediction_ids: Sequence[uuid.UUID], *, model_version: ModelVersion, task_id: str
    ) -> list["Prediction"]:
        """Move QUEUED → RUNNING, as `claim` does, those of `model_version`; give what was claimed with its scan."""
        free = self.filter(
            pk__in=prediction_ids,
            model_version=model_version,
            state=State.QUEUED,
            attempts__lt=settings.PREDICTION_MAX_ATTEMPTS,
        )
        free.update(state=State.RUNNING, claimed_by=task_id, claimed_at=Now(), attempts=F("attempts") + 1)
        held = Prediction.objects.filter(pk__in=prediction_ids, state=State.RUNNING, claimed_by=task_id)
        claimed = sorted(held.select_related("scan"), key=lambda prediction: prediction_ids.index(prediction.pk))
        for prediction in claimed:
            prediction.model_version = model_version
        return claimed

    def succeed(
        self,
        prediction_id: uuid.UUID | str,
        *,
        task_id: str,
        probability: float,
        threshold: float,
        milliseconds: int,
        is_uncertain: bool = False,
        heatmap: str = "",
        statistics: list[float] | None = None,
    ) -> bool:
        """Move RUNNING → SUCCEEDED if `task_id` still holds the claim; the label follows from the threshold.

        `heatmap` names a file in the storage; "" where there is none. `statistics` are those of ml.drift.
        """
        return self._finish(
            prediction_id,
            task_id=task_id,
            state=State.SUCCEEDED,
            probability=probability,
            threshold=threshold,
            label=Label.PNEUMONIA if probability >= threshold else Label.NORMAL,
            milliseconds=milliseconds,
            is_uncertain=is_uncertain,
            heatmap=heatmap,
            statistics=statistics,
        )

    def succeed_all(self, answers: Sequence[Answer], *, model_version: ModelVersion, task_id: str) -> set[uuid.UUID]:
        """Move RUNNING → SUCCEEDED those that `task_id` still holds the claim of; give their ids.

        All are answers of `model_version`.
        """
        ids = [answer.prediction_id for answer in answers]

        def of_each(name: str, value_of: Callable[[Answer], Any]) -> ValueOfEach:
            field = self.model._meta.get_field(name)
            return ValueOfEach({answer.prediction_id: value_of(answer) for answer in answers}, field)

        noted = ("probability", "milliseconds", "heatmap", "statistics")
        recorded = self.filter(pk__in=ids, state=State.RUNNING, claimed_by=task_id).update(
            state=State.SUCCEEDED,
            finished_at=Now(),
            threshold=model_version.threshold,
            label=of_each("label", lambda answer: model_version.label_of(answer.probability)),
            is_uncertain=of_each("is_uncertain", lambda answer: model_version.is_uncertain_about(answer.probability)),
            **{name: of_each(name, attrgetter(name)) for name in noted},
        )
        if recorded == len(ids):
            return set(ids)
        return set(self.filter(pk__in=ids, state=State.SUCCEEDED, claimed_by=task_id).values_list("pk", flat=True))

    def fail(
        self,
        prediction_id: uuid.UUID | str,
        *,
        task_id: str,
        reason: FailureReason,
        statistics: list[float] | None = None,
    ) -> bool:
        """Move RUNNING → FAILED if `task_id` still holds the claim; `statistics` where the picture was looked at."""
        return self._finish(prediction_id, task_id=task_id, state=State.FAILED, reason=reason, statistics=statistics)

    def _finish(self, prediction_id, *, task_id: str, **values) -> bool:
        held = self.filter(pk=prediction_id, state=State.RUNNING, claimed_by=task_id)
        return bool(held.update(finished_at=Now(), **values))

    def give_up_exhausted(self) -> int:
        """Move RUNNING → FAILED for those of this queryset whose attempts are used up; give how many."""
        exhausted = self.filter(state=State.RUNNING, attempts__gte=settings.PREDICTION_MAX_ATTEMPTS)
        return exhausted.update(state=State.FAILED, reason=FailureReason.WORKER_LOST, finished_at=Now())

    def put_back(self) -> int:
        """Move RUNNING → QUEUED for those of this queryset that have attempts left; give how many."""
        lost = self.filter(state=State.RUNNING, attempts__lt=settings.PREDICTION_MAX_ATTEMPTS)
        return lost.update(state=State.QUEUED, claimed_by="", claimed_at=None, enqueued_at=None)

    def postpone(self, prediction_id: uuid.UUID | str, *, task_id: str) -> bool:
        """Move RUNNING → QUEUED if `task_id` still holds the claim, and don't count the attempt.

        For what is no fault of the picture's and passes; requeue_stale sends it again.
        """
        return bool(self.filter(pk=prediction_id).postpone_all(task_id=task_id))

    def postpone_all(self, *, task_id: str) -> int:
        """Move RUNNING → QUEUED, as `postpone` does, whatever `task_id` holds of this queryset; give how many."""
        values = {"state": State.QUEUED, "claimed_by": "", "claimed_at": None, "enqueued_at": None}
        held = self.filter(state=State.RUNNING, claimed_by=task_id)
        return held.update(attempts=F("attempts") - 1, **values)

    def stale(self, *, older_than: timedelta, now: datetime | None = None) -> Self:
        """Keep those whose worker or message must be presumed lost.

        RUNNING longer than `older_than`; QUEUED and not sent (the broker was away), or sent longer ago than that.
        """
        limit = (now or timezone.now()) - older_than
        return self.filter(
            Q(state=State.RUNNING, claimed_at__lte=limit)
            | Q(state=State.QUEUED, enqueued_at__lte=limit)
            | Q(state=State.QUEUED, enqueued_at=None)
        )

    def open(self) -> Self:
        """Keep those that wait or are being read."""
        return self.filter(state__in=OPEN_STATES)

    def settled(self) -> Self:
        """Keep what the model version said for good: answers, and refusals, which it would only repeat."""
        return self.filter(Q(state=State.SUCCEEDED) | Q(reason=FailureReason.NOT_A_CHEST_XRAY))


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
