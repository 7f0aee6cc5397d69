"""The stress validation: which pictures are shown how, what is chosen on them, what is written down."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ml.dataset import Example
from ml.metrics import summarise
from ml.shifts import SEVERITIES, SHIFTS
from ml.stress import (
    SENSITIVITY,
    UNCERTAIN_SHARE,
    HeldOut,
    all_passes,
    ask,
    choose,
    hold_out,
    measure,
    robustness,
    some_passes,
    worse_auc,
)
from ml.tests.conftest import draw_xray


def example(index: int) -> Example:
    label, rest = ("PNEUMONIA", "_bacteria_1") if index % 2 else ("NORMAL", "")
    return Example(Path(f"person{index}{rest}.jpeg"), label, f"person{index}", str(index))


@pytest.fixture(scope="module")
def held_out() -> HeldOut:
    """Twenty drawn pictures, one of each patient; the statistics are wrong about four."""
    examples = [example(index) for index in range(20)]
    pictures = [draw_xray(ill=bool(e.index), seed=i, size=(64, 64)) for i, e in enumerate(examples)]
    rule = np.array([e.index * 0.8 + 0.1 for e in examples])
    rule[:4] = 1 - rule[:4]
    return HeldOut(examples, pictures, rule)


def by_brightness(pictures: list[Image.Image]) -> np.ndarray:
    """A stand-in for a network: the lungs of drawn pneumonias are bright."""
    light = np.array([np.asarray(picture, np.float64).mean() for picture in pictures])
    return np.stack([-(light - 140) / 10, (light - 140) / 10], axis=1)


def test_every_picture_is_shown_under_every_shift_once():
    pairs = all_passes(3)
    assert len(pairs) == len(set(pairs)) == 3 * len(SHIFTS)


def test_a_small_stress_validation_shows_all_as_they_are_and_all_shifts_about_equally_often():
    pairs = some_passes(100, 2)
    assert len(pairs) == len(set(pairs)) == 300
    assert sum(shift == "none" for _, shift in pairs) == 100
    shown = [sum(shift == name for _, shift in pairs) for name in SHIFTS if name != "none"]
    assert max(shown) - min(shown) <= 1


def test_answers_stay_with_their_picture_and_shift(held_out):
    passes = ask(by_brightness, held_out.pictures, all_passes(20))
    darker = passes.of("darker")
    assert darker.index.tolist() == list(range(20))
    assert (darker.logits[:, 1] < passes.of("none").logits[:, 1]).all()


def test_the_choice_keeps_its_promises_on_all_passes_pooled(held_out):
    passes = ask(by_brightness, held_out.pictures, all_passes(20))
    choice = choose(passes, held_out.labels)
    probabilities, labels = choice.calibration.probability(passes.logits), held_out.labels[passes.index]
    low, high = choice.uncertain
    assert (probabilities[labels == 1] >= choice.threshold).mean() >= SENSITIVITY
    assert (probabilities[labels == 1] < low).mean() <= UNCERTAIN_SHARE
    assert (probabilities[labels == 0] > high).mean() <= UNCERTAIN_SHARE
    assert low <= choice.threshold <= high


def test_what_is_measured_can_be_written_as_json_and_agrees_with_the_metrics(held_out):
    passes = ask(by_brightness, held_out.pictures, all_passes(20))
    choice = choose(passes, held_out.labels)
    found = json.loads(json.dumps(measure(passes, choice, held_out), allow_nan=False))
    plain = choice.calibration.probability(passes.of("none").logits)
    assert set(found["held_out"]) == set(SHIFTS)
    assert found["held_out"]["none"]["confusion"] == summarise(plain, held_out.labels, choice.threshold)["confusion"]
    assert found["stress"]["n"] == 20 * len(SHIFTS)
    assert found["shortcuts"]["rule_wrong"]["n"] == 4
    assert found["by_cause"]["bacteria"]["n"] == 10


def test_networks_are_compared_where_they_are_worse():
    parts = {"rule_right": {"auc": 0.99}, "rule_wrong": {"auc": 0.8}}
    assert worse_auc({"stress_shortcuts": parts}) == 0.8
    assert worse_auc({"stress_shortcuts": {"rule_right": {"auc": 0.99}, "rule_wrong": {"auc": None}}}) == 0.99


def test_a_robustness_curve_begins_with_the_pictures_as_they_are_and_asks_nothing_twice(held_out):
    passes = ask(by_brightness, held_out.pictures, all_passes(20))
    asked = []

    def counted(pictures):
        asked.extend(pictures)
        return by_brightness(pictures)

    found = robustness(counted, passes, choose(passes, held_out.labels), held_out)
    assert set(found) == set(SHIFTS) - {"none"}
    for points in found.values():
        assert [point["severity"] for point in points] == [0.0, *SEVERITIES]
        assert {point["n"] for point in points} == {5}
    assert len(asked) == 5 * len(found) * (len(SEVERITIES) - 1)


def test_the_rule_is_fitted_on_training_pictures_and_asked_about_the_others():
    training = [example(index) for index in range(60)]
    pictures = [draw_xray(ill=bool(e.index), seed=i) for i, e in enumerate(training)]
    kept = [example(index) for index in range(100, 110)]
    found = hold_out(kept, [draw_xray(ill=bool(e.index), seed=i + 500) for i, e in enumerate(kept)], training, pictures)
    assert found.rule.shape == (10,)
    assert ((found.rule >= 0.5) == found.labels).mean() > 0.7
    assert found.patients.tolist() == [f"person{index}" for index in range(100, 110)]
