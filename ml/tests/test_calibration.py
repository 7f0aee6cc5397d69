"""Temperature, bias and operating point."""

import numpy as np
import pytest

from ml.calibration import Calibration, fit_calibration, operating_point, uncertain_band


def drawn(n: int, *, temperature: float, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Draw logits, and labels with exactly the probability that the calibration says."""
    rng = np.random.default_rng(0)
    logits = np.stack([rng.normal(0, 3, n), rng.normal(0, 3, n)], axis=1)
    return logits, (rng.random(n) < Calibration(temperature, bias).probability(logits)).astype(int)


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (2.5, 0.7), (0.6, -1.2)])
def test_a_known_temperature_and_bias_are_recovered(temperature, bias):
    fitted = fit_calibration(*drawn(40_000, temperature=temperature, bias=bias))
    assert fitted.temperature == pytest.approx(temperature, rel=0.05)
    assert fitted.bias == pytest.approx(bias, abs=0.06)


def test_logits_that_rank_the_wrong_way_are_refused():
    logits, labels = drawn(500, temperature=1.0, bias=0.0)
    with pytest.raises(ValueError, match="rank NORMAL above PNEUMONIA"):
        fit_calibration(logits, 1 - labels)


def test_labels_told_apart_without_error_still_give_finite_usable_numbers():
    logits = np.array([[4.0, -4.0], [3.0, -3.0], [-3.0, 3.0], [-4.0, 4.0]])
    labels = np.array([0, 0, 1, 1])
    probabilities = fit_calibration(logits, labels).probability(logits)
    assert probabilities[:2].max() < 0.5 < probabilities[2:].min()
    assert 0 < operating_point(probabilities, labels, sensitivity=1.0) < 1
    assert probabilities.min() > 0.01


def test_the_probability_is_of_pneumonia_and_rises_with_its_logit():
    probabilities = Calibration(1.0, 0.0).probability(np.array([[2.0, 0.0], [0.0, 0.0], [0.0, 2.0]]))
    assert probabilities == pytest.approx([0.1192, 0.5, 0.8808], abs=1e-4)


@pytest.mark.filterwarnings("error")
def test_huge_logits_saturate_without_a_warning():
    probabilities = Calibration(0.01, 0.0).probability(np.array([[1e3, -1e3], [-1e3, 1e3]]))
    assert probabilities.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("sensitivity", [0.5, 0.9, 0.97, 1.0])
def test_the_operating_point_keeps_its_promise_and_is_the_highest_that_does(sensitivity):
    rng = np.random.default_rng(1)
    labels = (rng.random(1000) < 0.7).astype(int)
    probabilities = np.clip(rng.normal(0.3 + 0.4 * labels, 0.2), 0, 1)
    threshold = operating_point(probabilities, labels, sensitivity=sensitivity)
    ill = probabilities[labels == 1]
    assert (ill >= threshold).mean() >= sensitivity
    assert (ill > threshold).mean() < sensitivity


def test_the_normal_pictures_do_not_move_the_operating_point():
    probabilities, labels = np.array([0.9, 0.8, 0.7, 0.6]), np.array([1, 1, 1, 1])
    with_normals = operating_point(np.append(probabilities, [0.99, 0.01]), np.append(labels, [0, 0]), sensitivity=0.75)
    assert operating_point(probabilities, labels, sensitivity=0.75) == with_normals == 0.7


def test_beyond_the_uncertain_band_no_more_than_the_asked_share_of_either_label_is_wrong():
    rng = np.random.default_rng(2)
    labels = (rng.random(4000) < 0.6).astype(int)
    probabilities = np.clip(rng.normal(0.35 + 0.3 * labels, 0.12), 0, 1)
    low, high = uncertain_band(probabilities, labels, threshold=0.5, share=0.02)
    assert 0 < low < 0.5 < high < 1
    assert (probabilities[labels == 1] < low).mean() == pytest.approx(0.02, abs=0.001)
    assert (probabilities[labels == 0] > high).mean() == pytest.approx(0.02, abs=0.001)


@pytest.mark.parametrize("seed", range(20))
def test_the_edge_of_the_band_is_the_probability_of_a_picture_to_the_last_digit(seed):
    rng = np.random.default_rng(seed)
    labels, probabilities = rng.integers(0, 2, 50), rng.uniform(0, 0.5, 50)
    _, high = uncertain_band(probabilities, labels, threshold=0.01, share=0.1)
    assert high in probabilities[labels == 0]
    assert (probabilities[labels == 0] > high).mean() <= 0.1


def test_the_uncertain_band_always_holds_the_operating_point():
    probabilities, labels = np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1])
    assert uncertain_band(probabilities, labels, threshold=0.5, share=0.01) == (0.5, 0.5)
