"""The figures of agreement: counted from what readers said, by version and by month."""

from datetime import UTC, datetime

import pytest

from diagnosis.models import Prediction
from diagnosis.review.agreement import agreement_of
from diagnosis.services import record_review
from diagnosis.states import State
from diagnosis.tests.factories import active_model_version, model_version_of, prediction_at, scan_of
from diagnosis.tests.review.pages import plain

MAY, JUNE = datetime(2026, 5, 31, 23, 30, tzinfo=UTC), datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def reviewed(alice, rita):
    """Give a function that makes answers with a probability and a verdict of rita's."""

    def make(probability: float, label: str, times: int = 1, at: datetime = MAY, version=None) -> list[Prediction]:
        made = []
        for _ in range(times):
            scan, version = scan_of(alice), version or active_model_version()
            made.append(prediction_at(State.SUCCEEDED, scan, version, probability=probability, requested_at=at))
            record_review(prediction=made[-1], reviewer=rita, label=label)
        return made

    return make


def test_without_reviews_there_are_no_figures(reader, alice):
    prediction_at(State.SUCCEEDED, scan_of(alice))
    assert "No reviews yet" in plain(reader.get("/review/agreement/"))


def test_the_confusion_matrix_and_its_figures_are_those_of_the_decided_answers(reviewed):
    for probability, label, times in ((0.9, "PNEUMONIA", 4), (0.1, "PNEUMONIA", 1), (0.9, "NORMAL", 2)):
        reviewed(probability, label, times)
    reviewed(0.1, "NORMAL", 3)
    reviewed(0.9, "UNUSABLE", 2)
    whole = agreement_of(None).whole
    assert whole.confusion == {"true_pneumonia": 4, "false_normal": 1, "false_pneumonia": 2, "true_normal": 3}
    assert (whole.n, whole.unusable) == (10, 2)
    accuracy, sensitivity, specificity, kappa, readers = whole.figures
    assert (accuracy.value, accuracy.n) == ("0.700", "10")
    # Wilson 1927: 4 of 5, and 3 of 5.
    assert (sensitivity.value, sensitivity.interval, sensitivity.n) == ("0.800", "0.376–0.964", "5")
    assert (specificity.value, specificity.interval, specificity.n) == ("0.600", "0.231–0.882", "5")
    assert (kappa.value, kappa.n) == ("0.400", "10")
    assert (readers.value, readers.n) == ("–", "0")


def test_an_agreement_worse_than_chance_is_told_with_a_minus(reviewed):
    reviewed(0.9, "NORMAL", 6)
    reviewed(0.1, "PNEUMONIA", 6)
    kappa = agreement_of(None).whole.figures[3]
    assert kappa.value == "\N{MINUS SIGN}1.000"
    assert "-" not in kappa.interval


def test_only_the_last_word_of_a_reader_counts(reviewed, rita):
    (prediction,) = reviewed(0.9, "NORMAL")
    record_review(prediction=prediction, reviewer=rita, label="PNEUMONIA")
    whole = agreement_of(None).whole
    assert (whole.n, whole.confusion["true_pneumonia"], whole.pairs.total()) == (1, 1, 0)


def test_readers_who_disagree_or_are_waited_for_are_counted_apart(reviewed, rita, remo, settings):
    disputed, agreed = reviewed(0.9, "NORMAL", 2)
    record_review(prediction=disputed, reviewer=remo, label="UNUSABLE")
    record_review(prediction=agreed, reviewer=remo, label="NORMAL")
    settings.REVIEW_READERS = 2
    reviewed(0.9, "PNEUMONIA")
    whole = agreement_of(None).whole
    assert (whole.n, whole.disputed, whole.half_read) == (1, 1, 1)
    assert whole.pairs == {("NORMAL", "UNUSABLE"): 1, ("NORMAL", "NORMAL"): 1}


def test_figures_stand_by_version_and_by_month_the_newest_first(reviewed, reader):
    older = active_model_version()
    newer = model_version_of(name="newer")
    reviewed(0.9, "PNEUMONIA", 2, MAY, older)
    reviewed(0.9, "NORMAL", 1, JUNE, older)
    reviewed(0.1, "NORMAL", 1, JUNE, newer)
    found = agreement_of(None)
    assert [(version, tally.n) for version, tally in found.by_version] == [(newer, 1), (older, 3)]
    assert [(month.month, tally.n) for month, tally in found.by_month] == [(6, 2), (5, 2)]
    assert [(month.month, tally.n) for month, tally in agreement_of(older).by_month] == [(6, 1), (5, 2)]
    words = plain(reader.get("/review/agreement/", {"version": "any"}))
    assert "June 2026" in words
    assert "newer" in words


def test_the_page_says_that_reviewed_answers_are_no_random_sample(reviewed, reader):
    reviewed(0.9, "PNEUMONIA")
    words = plain(reader.get("/review/agreement/"))
    assert "Reviewed answers are no random sample." in words
    assert "Readers know the model's answer" in words.replace("&#x27;", "'")
