"""Recording what a reader sees in a picture."""

from collections import Counter

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext

from diagnosis import audit
from diagnosis.audit import Action
from diagnosis.models import Prediction, Review, Verdict
from diagnosis.states import State


class NothingToReview(Exception):
    """The prediction has no answer that a person could agree with; the text is safe to show."""

    def __init__(self) -> None:
        super().__init__(gettext("Only an answered prediction can be reviewed."))


def record_review(
    *, prediction: Prediction, reviewer, label: Verdict | str, note: str = "", second_reader: bool = False
) -> Review:
    """Record what `reviewer` sees in the picture; a review of theirs from before stays, but stands no more.

    `second_reader` asks for one, REVIEW_READERS does always. The same said twice is recorded once. Whatever others
    record at the same moment, nothing is lost: each reader's word is a row of its own. Raises NothingToReview without
    an answer.
    """
    if prediction.state != State.SUCCEEDED:
        raise NothingToReview
    with transaction.atomic():
        # One after the other, so that each counts the ones before.
        held = Prediction.objects.select_for_update().get(pk=prediction.pk)
        before = held.reviews.standing().filter(reviewer=reviewer)
        review = before.filter(label=label, note=note).first()
        if not review:
            before.update(is_standing=False)
            review = Review.objects.create(prediction=held, reviewer=reviewer, label=label, note=note)
            audit.record(action=Action.REVIEWED, actor=reviewer, scan=held.scan, model_version=held.model_version)
        newest_first = list(held.reviews.standing().order_by("-pk").values_list("label", flat=True))
        most_said, count = Counter(newest_first).most_common(1)[0]
        held.readings = len(newest_first)
        held.is_disputed = 2 * count <= held.readings
        held.reviewed_label = newest_first[0] if held.is_disputed else most_said
        held.readings_wanted = 2 if second_reader else max(held.readings_wanted, settings.REVIEW_READERS)
        held.save(update_fields=["readings", "readings_wanted", "reviewed_label", "is_disputed"])
    return review
