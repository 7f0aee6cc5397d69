"""Statistics of pictures, and the comparison of many with a reference: an alarm where there is reason, else none."""

import math

import numpy as np
import pytest
from PIL import Image, ImageFilter

from ml import shortcuts
from ml.checkpoint import SHIPPED, Checkpoint
from ml.drift import (
    LEAST,
    MEASURES,
    PROBABILITY,
    SLIGHT,
    STATISTICS,
    STRONG,
    Level,
    added,
    by_chance,
    compare,
    histogram,
    mean,
    quantile,
    read_reference,
    reference_of,
    stability_index,
    statistics,
)
from ml.preprocess import canonical
from ml.tests.conftest import draw_xray


def described(picture: Image.Image) -> dict[str, float]:
    return dict(zip(STATISTICS, statistics(picture), strict=True))


def normals(rng: np.random.Generator, n: int, at: float = 120.0) -> list[int]:
    """Give the histogram of a brightness drawn for n pictures."""
    return histogram("brightness", rng.normal(at, 15, n))


@pytest.mark.parametrize("level", [0, 255])
def test_a_picture_of_one_level_has_statistics_too(level):
    found = described(Image.new("L", (224, 224), level))
    assert all(math.isfinite(value) for value in found.values())
    assert (found["brightness"], found["contrast"], found["sharpness_down"]) == (level, 0, 0)
    assert (found["dark_share"], found["bright_share"]) == ((1, 0) if level == 0 else (0, 1))


def test_the_statistics_are_those_that_the_audit_of_shortcuts_computes():
    picture = canonical(draw_xray(ill=False, seed=3, size=(400, 300)))
    found = described(picture)
    slow = dict(zip(shortcuts.STATISTICS, shortcuts.statistics(picture), strict=True))
    for mine, theirs in {
        "brightness": "mean",
        "contrast": "deviation",
        "dark_share": "dark share",
        "bright_share": "bright share",
        "sharpness_across": "horizontal gradient",
        "sharpness_down": "vertical gradient",
    }.items():
        assert found[mine] == pytest.approx(slow[theirs], abs=1e-3), mine
    low, high = np.percentile(np.asarray(picture), (5, 95))
    assert (found["darkest"], found["brightest"]) == (pytest.approx(low, abs=1), pytest.approx(high, abs=1))


def test_each_change_of_a_picture_moves_the_statistic_that_a_person_would_name():
    picture = canonical(draw_xray(ill=False, seed=1, size=(400, 300)))
    plain = described(picture)
    darker, flatter = (
        described(picture.point(lambda level: level * 0.6)),
        described(picture.point(lambda level: 100 + level * 0.3)),
    )
    assert darker["brightness"] < plain["brightness"]
    assert darker["dark_share"] > plain["dark_share"]
    assert flatter["contrast"] < plain["contrast"]
    blurred = described(picture.filter(ImageFilter.GaussianBlur(3)))
    assert blurred["sharpness_across"] < plain["sharpness_across"]
    assert blurred["sharpness_down"] < plain["sharpness_down"]


def test_values_beyond_the_ends_count_in_the_bins_at_the_ends_and_none_is_lost():
    counts = histogram("brightness", [-5, 0, 127, 255, 900])
    assert sum(counts) == 5
    assert (counts[0], counts[-1]) == (2, 2)


def test_histograms_of_many_days_add_up_and_one_of_other_bins_is_passed_over():
    assert added([[1, 2], [3, 4], [9, 9, 9], []], 2) == [4, 6]


def test_the_index_is_the_sum_that_its_formula_says():
    # (0.8 - 0.5) · ln(0.8 / 0.5) + (0.2 - 0.5) · ln(0.2 / 0.5), with counts so large that half a count is nothing.
    assert stability_index([8_000_000, 2_000_000], [5_000_000, 5_000_000]) == pytest.approx(0.4159, abs=1e-4)
    assert stability_index([5, 5], [5, 5]) == 0


def test_the_same_kind_of_pictures_raises_no_alarm_and_chance_hardly_ever_does():
    rng = np.random.default_rng(0)
    levels = [compare("brightness", normals(rng, 200), normals(rng, 490)).level for _ in range(300)]
    assert set(levels) <= {Level.NONE, Level.SLIGHT}
    assert levels.count(Level.NONE) >= 297


@pytest.mark.parametrize(("at", "level"), [(126.0, Level.SLIGHT), (95.0, Level.STRONG), (150.0, Level.STRONG)])
def test_shifted_pictures_raise_an_alarm_of_their_size_either_way(at, level):
    rng = np.random.default_rng(1)
    found = compare("brightness", normals(rng, 3000, at), normals(rng, 3000))
    assert found.level == level
    assert (found.mean > found.reference_mean) is (at > 120)
    assert (found.psi >= STRONG) is (level == Level.STRONG)
    assert found.psi >= SLIGHT


@pytest.mark.parametrize(("n", "reference_n"), [(LEAST - 1, 490), (490, LEAST - 1), (0, 490), (0, 0)])
def test_with_too_few_on_either_side_nothing_is_said_however_far_apart_they_are(n, reference_n):
    rng = np.random.default_rng(2)
    assert compare("brightness", normals(rng, n, 40), normals(rng, reference_n)).level == Level.UNKNOWN


def test_a_reference_that_lies_in_one_bin_still_tells_when_pictures_leave_it():
    reference = histogram("bright_share", [0.001] * 400)
    assert compare("bright_share", histogram("bright_share", [0.001] * 400), reference).level == Level.NONE
    assert compare("bright_share", histogram("bright_share", [0.3] * 400), reference).level == Level.STRONG


def test_what_chance_does_shrinks_with_the_number_of_pictures():
    assert by_chance(10, 100, 490) > STRONG
    assert by_chance(10, 100, 490) > by_chance(10, 1000, 490) > by_chance(10, 100_000, 100_000)
    # The quantile of χ² with 9 degrees of freedom at 0.999 is 27.88.
    assert by_chance(10, 100, 100) == pytest.approx(0.02 * 27.88, rel=0.01)


def test_a_mean_and_a_quantile_are_read_out_of_a_histogram():
    counts = histogram("brightness", np.linspace(0, 255, 5001))
    assert mean("brightness", counts) == pytest.approx(127.5, abs=0.5)
    assert quantile(np.array([0.0, 1.0, 10.0]), [50, 50], 0.5) == pytest.approx(1.0)
    assert quantile(np.array([0.0, 1.0, 10.0]), [0, 10], 0.95) == pytest.approx(9.55)
    assert quantile(np.array([0.0, 1.0]), [0], 0.5) == 0


@pytest.mark.parametrize(
    "told",
    [
        None,
        {},
        [],
        "text",
        {"histograms": None},
        {"histograms": {"brightness": [1, 2]}},
        {"histograms": {"brightness": ["a"] * 51}},
        {"histograms": {"brightness": [-1] * 51}},
        {"histograms": {"brightness": 7, "unheard of": [1]}},
    ],
)
def test_a_reference_that_is_not_understood_is_none(told):
    assert read_reference(told) == {}


def test_a_reference_describes_pictures_and_answers_and_is_read_back():
    pictures = [canonical(draw_xray(ill=False, seed=seed)) for seed in range(5)]
    told = reference_of(pictures, np.array([0.0, 0.1, 0.5, 0.9, 1.0]), np.array([0, 0, 1, 1, 1]))
    assert (told["n"], told["pneumonias"]) == (5, 3)
    found = read_reference(told)
    assert set(found) == set(MEASURES)
    assert {sum(counts) for counts in found.values()} == {5}


def test_the_shipped_checkpoint_has_a_reference_of_its_held_out_pictures():
    metadata = Checkpoint.read(SHIPPED).metadata
    found = read_reference(metadata.reference)
    assert set(found) == set(MEASURES)
    assert {sum(counts) for counts in found.values()} == {metadata.metrics["held_out"]["none"]["n"]}
    assert mean(PROBABILITY, found[PROBABILITY]) == pytest.approx(0.7, abs=0.2)
