"""The lists that readers work through, all in one order; a page, and what lies beside an answer, come from an index."""

import uuid
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from django.db import models
from django.db.models import (
    BooleanField,
    DateTimeField,
    F,
    FloatField,
    Func,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    UUIDField,
    Value,
)
from django.db.models.lookups import IsNull
from django.utils.translation import gettext_lazy as _

from diagnosis import services
from diagnosis.models import ModelVersion, Prediction, Review
from diagnosis.pages import CappedCount, Page
from diagnosis.review.rows import AWAITING_A_READER, CORRECTED, DISPUTED, REVIEWED, URGENCY, WORKLIST_ORDER

PAGE_SIZE = 25
WAITING_CAP = 100
ANY_VERSION = "any"

# Up to so many reviews of a reader, the answers are looked up by them; beyond, in the order of the list.
FEW = 500


class Show(models.TextChoices):
    """Which answers a list holds."""

    WAITING = "waiting", _("Waiting for a reader")
    REVIEWED = "reviewed", _("Reviewed")
    MINE = "mine", _("Reviewed by me")
    CORRECTED = "corrected", _("Model and readers disagree")
    DISPUTED = "disputed", _("Readers disagree")


@dataclass(frozen=True)
class Worklist:
    """The answers of a model version, or of all, that fit `show` for `reader`: the most urgent first."""

    reader: Any
    show: Show = Show.WAITING
    version: ModelVersion | None = None

    def rows(self) -> QuerySet[Prediction]:
        """Give them with what the pages show of them, and nothing of whose they are."""
        mine = Review.objects.standing().filter(prediction=OuterRef("pk"), reviewer=self.reader)
        # As a value it is looked up row by row; EXISTS in an OR may be answered by reading all reviews first.
        own = Subquery(mine.values("pk")[:1])
        chosen = {
            # The reader who was first waits no more, the other one is still to come.
            Show.WAITING: AWAITING_A_READER & (Q(readings=0) | Q(IsNull(own, True))),
            Show.REVIEWED: REVIEWED,
            Show.MINE: REVIEWED & (self._mine or Q(IsNull(own, False))),
            # What a first reader says is not told, in whatever way, while a second one is waited for.
            Show.CORRECTED: CORRECTED & (Q(readings__gte=F("readings_wanted")) | Q(IsNull(own, False))),
            Show.DISPUTED: DISPUTED,
        }[self.show]
        rows = Prediction.objects.filter(chosen)
        if self.version:
            rows = rows.filter(model_version=self.version)
        return rows.select_related("scan", "model_version").defer("model_version__metadata")

    @cached_property
    def _mine(self) -> Q | None:
        """Name the answers that the reader judged, where they are few; None: each page is full soon."""
        if self.show != Show.MINE:
            return None
        judged = Review.objects.standing().filter(reviewer=self.reader).order_by("prediction_id")
        ids = list(judged.values_list("prediction_id", flat=True)[: FEW + 1])
        return Q(pk__in=ids) if len(ids) <= FEW else None

    def page(self, *, after: str = "", before: str = "") -> Page:
        """Give the page behind the prediction of this id, or before it; the first one where there is no such one."""
        place = _place_of(before or after)
        if place is None:
            return self._first()
        if before:
            found = list(self._beside(place, backwards=True)[: PAGE_SIZE + 1])
            # The start of the list, whatever was added to it meanwhile.
            return _page(found[PAGE_SIZE - 1 :: -1], True, True) if len(found) > PAGE_SIZE else self._first()
        found = list(self._beside(place)[: PAGE_SIZE + 1])
        return _page(found[:PAGE_SIZE], True, len(found) > PAGE_SIZE) if found else self._first()

    def next_to(self, prediction: Prediction, *, backwards: bool = False) -> Prediction | None:
        """Give the answer behind `prediction`, or the one before it; it need not be in the list itself any more."""
        return self._beside(prediction, backwards=backwards).first()

    def count(self) -> CappedCount:
        """Count them, to a hundred and no further."""
        return CappedCount.of(self.rows().select_related(None).order_by(*WORKLIST_ORDER), cap=WAITING_CAP)

    @property
    def query(self) -> dict[str, str]:
        """Give what names this list in an address."""
        return {"show": str(self.show.value), "version": str(self.version.pk) if self.version else ANY_VERSION}

    @property
    def query_string(self) -> str:
        """Give the same as the end of an address."""
        return f"?{urlencode(self.query)}"

    def _first(self) -> Page:
        found = list(self.rows().order_by(*WORKLIST_ORDER)[: PAGE_SIZE + 1])
        return _page(found[:PAGE_SIZE], False, len(found) > PAGE_SIZE)

    def _beside(self, place: Prediction, *, backwards: bool = False) -> QuerySet[Prediction]:
        order = [each.desc() if backwards else each.asc() for each in WORKLIST_ORDER]
        return self.rows().filter(_beyond(place, backwards=backwards)).order_by(*order)


def waiting_for(reader: Any) -> Worklist:
    """Give the list that a reader begins with: what the active model version answered and nobody has read yet."""
    return Worklist(reader, version=services.active_model_version())


def with_place(rows: QuerySet[Prediction]) -> QuerySet[Prediction]:
    """Fetch along where each stands in the order of the lists."""
    return rows.annotate(urgency=URGENCY)


def _place_of(name: str) -> Prediction | None:
    try:
        pk = uuid.UUID(name)
    except ValueError:
        return None
    return with_place(Prediction.objects.filter(pk=pk, probability__isnull=False)).first()


def _beyond(place: Any, *, backwards: bool) -> Func:
    """Give the condition that a row comes behind `place`, as one comparison of rows: an index finds its first one."""
    values = (
        Value(place.urgency, FloatField()),
        Value(place.requested_at, DateTimeField()),
        Value(place.pk, UUIDField()),
    )
    return Func(
        Func(*WORKLIST_ORDER, function="", output_field=BooleanField()),
        Func(*values, function="", output_field=BooleanField()),
        template="%(expressions)s",
        arg_joiner=" < " if backwards else " > ",
        output_field=BooleanField(),
    )


def _page(rows: list[Prediction], has_previous: bool, has_next: bool) -> Page:
    return Page(rows, str(rows[0].pk) if has_previous else "", str(rows[-1].pk) if has_next else "")
