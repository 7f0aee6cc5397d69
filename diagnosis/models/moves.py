"""The moves of a prediction from state to state."""

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, Self, cast

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from diagnosis.expressions import ValueOfEach
from diagnosis.models.labels import Label
from diagnosis.models.model_versions import ModelVersion
from diagnosis.states import OPEN_STATES, FailureReason, State

if TYPE_CHECKING:
    from diagnosis.models.predictions import Prediction


class Answer(NamedTuple):
    """What there is to record of one prediction among several; `heatmap` names a file in the storage."""

    prediction_id: uuid.UUID
    probability: float
    milliseconds: int
    heatmap: str
    statistics: list[float] | None = None  # of ml.drift


class PredictionQuerySet(models.QuerySet["Prediction"]):
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
        held = self.model._default_manager.filter(pk__in=prediction_ids, state=State.RUNNING, claimed_by=task_id)
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
            field = cast(models.Field, self.model._meta.get_field(name))
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

        RUNNING longer than `older_than`; QUEUED and not sent (the broker was away), or sent longer ago than that. What
        happened in the future happened before the clock was set back: nobody knows how long ago.
        """
        now = now or timezone.now()
        past, future = now - older_than, now + older_than
        return self.filter(
            Q(state=State.RUNNING) & (Q(claimed_at__lte=past) | Q(claimed_at__gt=future))
            | Q(state=State.QUEUED) & (Q(enqueued_at__lte=past) | Q(enqueued_at__gt=future))
            | Q(state=State.QUEUED, enqueued_at=None)
        )

    def open(self) -> Self:
        """Keep those that wait or are being read."""
        return self.filter(state__in=OPEN_STATES)

    def settled(self) -> Self:
        """Keep what the model version said for good: answers, and refusals, which it would only repeat."""
        return self.filter(Q(state=State.SUCCEEDED) | Q(reason=FailureReason.NOT_A_CHEST_XRAY))
