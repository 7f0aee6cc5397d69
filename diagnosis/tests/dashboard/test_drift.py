"""What the dashboard says of the pictures of the last days, in words."""

from datetime import timedelta

import numpy as np
import pytest

from diagnosis.dashboard.counting import WAIT_EDGES
from diagnosis.dashboard.drift import DAYS, Drift
from diagnosis.models import CountedDay, DayFigures, ModelVersion
from diagnosis.tests.dashboard.conftest import MIDDLE, noon, today, with_reference
from diagnosis.tests.factories import model_version_of
from ml.drift import LEAST, PROBABILITY, STATISTICS, Level, histogram

pytestmark = pytest.mark.django_db

PAGE = "/dashboard/"


def counted(
    version: ModelVersion, *, n: int, brightness: float = 120.0, days_ago: int = 1, of_uploads: bool = True, risk=(0, 1)
) -> None:
    """Let so many pictures be counted on a day, their brightness around this, their probabilities between `risk`."""
    rng = np.random.default_rng(days_ago)
    drawn = {name: [value] * n for name, value in zip(STATISTICS, MIDDLE, strict=True)}
    drawn |= {"brightness": rng.normal(brightness, 15, n), PROBABILITY: rng.uniform(*risk, n)}
    day, _ = CountedDay.objects.get_or_create(day=noon(days_ago).date(), defaults={"counted_at": noon(0)})
    DayFigures.objects.create(
        day=day,
        model_version=version,
        of_uploads=of_uploads,
        answered=n,
        waits=[0] * (len(WAIT_EDGES) - 1),
        histograms={name: histogram(name, values) for name, values in drawn.items()},
    )


def drift_of(version: ModelVersion) -> Drift:
    return Drift.of(version, reference=version.metadata.get("reference"), today=today())


def text_of(staff) -> str:
    response = staff.get(PAGE)
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


def test_without_a_reference_nothing_is_compared_and_it_is_said_how_to_get_one(staff, model_version):
    counted(model_version, n=300)
    assert drift_of(model_version).findings == []
    assert "python -m ml.reference" in text_of(staff)


def test_without_an_active_model_there_is_nothing_to_compare_with(staff):
    assert "No model is active." in text_of(staff)


@pytest.mark.parametrize("n", [0, LEAST - 1])
def test_few_pictures_are_not_enough_however_dark_they_are(staff, n):
    version = with_reference()
    if n:
        counted(version, n=n, brightness=30)
    drift = drift_of(version)
    assert (drift.level, drift.changed, drift.pictures) == (Level.UNKNOWN, [], n)
    text = text_of(staff)
    assert "Not enough pictures yet" in text
    assert f"{n} pictures of the last 30 days were looked at; {LEAST} are needed" in text


def test_pictures_like_those_of_the_reference_raise_no_alarm(staff):
    version = with_reference()
    counted(version, n=400)
    drift = drift_of(version)
    assert (drift.level, drift.changed, drift.probability.is_changed) == (Level.NONE, [], False)
    text = text_of(staff)
    assert "No change is seen" in text
    assert "less reliable" not in text


@pytest.mark.parametrize(("brightness", "sentence"), [(80, "They are darker"), (160, "They are brighter")])
def test_darker_and_brighter_pictures_raise_an_alarm_in_plain_words(staff, brightness, sentence):
    version = with_reference()
    counted(version, n=400, brightness=brightness)
    drift = drift_of(version)
    assert drift.is_strong
    assert [finding.measure for finding in drift.changed] == ["brightness"]
    text = text_of(staff)
    assert "The pictures have changed" in text
    assert sentence in text
    assert "Its answers may be less reliable." in text
    assert "Ask those who take the pictures what is new" in text


def test_other_probabilities_are_told_as_what_they_may_be_and_are_no_alarm_about_the_pictures(staff):
    version = with_reference()
    counted(version, n=400, risk=(0.7, 1))
    drift = drift_of(version)
    assert drift.changed == []
    assert drift.probability.is_changed
    text = text_of(staff)
    assert "The probabilities have changed" in text
    assert "The model finds pneumonia more likely than it did then" in text
    assert "of the reference's pictures 50 % are pneumonia" in text
    assert "The pictures themselves look as before." in text


def test_pictures_count_whichever_version_answered_probabilities_of_the_active_one_alone():
    version = with_reference()
    counted(version, n=150)
    counted(model_version_of(), n=150, days_ago=2, risk=(0.9, 1))
    drift = drift_of(version)
    assert drift.pictures == 300
    assert drift.probability.compared.n == 150


def test_batches_over_old_scans_and_days_long_past_do_not_count():
    version = with_reference()
    counted(version, n=400, brightness=40, days_ago=DAYS)
    counted(version, n=400, brightness=40, of_uploads=False)
    assert drift_of(version).pictures == 0
    counted(version, n=200, days_ago=DAYS - 1)
    assert drift_of(version).pictures == 200


def test_a_row_of_other_bins_is_passed_over():
    version = with_reference()
    counted(version, n=200)
    DayFigures.objects.update(histograms={"brightness": [1, 2, 3]})
    assert drift_of(version).pictures == 0


def test_a_finding_whose_mean_stayed_says_that_the_spread_is_another():
    version = with_reference()
    counted(version, n=200, brightness=80)
    counted(version, n=200, brightness=160, days_ago=2)
    (finding,) = drift_of(version).changed
    assert finding.sentence == "Brightness is spread in another way"


def test_the_graph_of_a_measure_shows_every_picture_of_both_sides():
    version = with_reference()
    counted(version, n=400, brightness=60)
    for finding in drift_of(version).findings:
        for series in finding.graph.series:
            assert sum(series.values) == pytest.approx(100)
        assert len(finding.graph.labels) <= 17


def test_the_days_that_are_compared_are_thirty():
    assert timedelta(days=DAYS) == timedelta(days=30)
