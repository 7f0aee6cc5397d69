"""Figures of merit: equal to scikit-learn's where it has them, defined where labels are missing, fit for JSON."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from ml.intervals import proportion
from ml.metrics import (
    CURVE_POINTS,
    at_prevalences,
    confusion,
    curves,
    effective_size,
    recall_by_cause,
    reliability_bins,
    robustness_point,
    share_of,
    summarise,
    thinned,
    uncertain_summary,
)
from ml.prevalence import predictive_values

NAMES = {
    *("accuracy", "recall", "precision", "f1", "specificity", "npv"),
    *("auc", "auprc", "log_loss", "brier", "ece"),
}


@pytest.fixture
def scored():
    """400 probabilities with ties, and labels they are right about more often than not."""
    rng = np.random.default_rng(3)
    labels = (rng.random(400) < 0.6).astype(int)
    return np.round(1 / (1 + np.exp(-rng.normal(2.0 * (labels - 0.5), 1.5))), 2), labels


@pytest.mark.parametrize(
    ("probabilities", "labels", "complaint"),
    [
        ([], [], "at least one"),
        ([0.5], [0, 1], "as many"),
        ([[0.5]], [[1]], "as many"),
        ([0.5, 0.5], [0, 2], "labels"),
        ([0.5, 1.1], [0, 1], "within 0..1"),
        ([0.5, float("nan")], [0, 1], "within 0..1"),
    ],
)
def test_what_cannot_be_measured_is_refused(probabilities, labels, complaint):
    with pytest.raises(ValueError, match=complaint):
        summarise(probabilities, labels, 0.5)


def test_too_few_groups_are_refused():
    with pytest.raises(ValueError, match="one group for each of 2"):
        summarise([0.1, 0.9], [0, 1], 0.5, groups=["a"])


def test_values_are_those_of_scikit_learn(scored):
    p, y = scored
    found, called = summarise(p, y, 0.4), p >= 0.4
    expected = {
        "accuracy": sklearn_metrics.accuracy_score(y, called),
        "recall": sklearn_metrics.recall_score(y, called),
        "precision": sklearn_metrics.precision_score(y, called),
        "f1": sklearn_metrics.f1_score(y, called),
        "specificity": sklearn_metrics.recall_score(y, called, pos_label=0),
        "npv": sklearn_metrics.precision_score(y, called, pos_label=0),
        "auc": sklearn_metrics.roc_auc_score(y, p),
        "auprc": sklearn_metrics.average_precision_score(y, p),
        "log_loss": sklearn_metrics.log_loss(y, p),
        "brier": sklearn_metrics.brier_score_loss(y, p),
    }
    assert {name: found[name]["value"] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(found) == NAMES | {"confusion", "n"}


def test_every_interval_holds_its_value_and_has_a_width(scored):
    found = summarise(*scored, 0.5)
    for name in NAMES - {"ece"}:
        assert found[name]["low"] < found[name]["value"] < found[name]["high"], name


def test_the_counts_add_up_and_are_named_by_answer_and_truth():
    found = summarise([0.1, 0.6, 0.2, 0.3, 0.9, 0.8], [0, 0, 1, 1, 1, 1], 0.5)
    assert found["confusion"] == {"true_normal": 1, "false_pneumonia": 1, "false_normal": 2, "true_pneumonia": 2}
    assert found["n"] == 6


def test_a_probability_at_the_threshold_is_pneumonia():
    assert confusion(np.array([0.3]), np.array([1]), 0.3)["true_pneumonia"] == 1


def test_wilson_gives_the_published_interval():
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3: 81 of 263.
    assert proportion(81, 263) == pytest.approx({"value": 0.3080, "low": 0.2553, "high": 0.3662}, abs=1e-4)


@pytest.mark.parametrize(("successes", "value"), [(0, 0.0), (20, 1.0)])
def test_none_or_all_still_have_an_interval_of_some_width(successes, value):
    found = proportion(successes, 20)
    assert found["value"] == value
    assert 0 <= found["low"] <= value <= found["high"] <= 1
    assert found["high"] - found["low"] == pytest.approx(0.161, abs=1e-3)


@pytest.mark.parametrize("label", [0, 1])
def test_one_label_alone_leaves_the_ranking_undefined_and_json_whole(label):
    found = summarise([0.2, 0.7, 0.7], [label] * 3, 0.5)
    undefined = {"value": None, "low": None, "high": None}
    assert found["auc"] == found["auprc"] == undefined
    assert found["specificity" if label else "recall"] == undefined
    assert found["log_loss"]["value"] > 0
    assert "NaN" not in json.dumps(found, allow_nan=False)


def test_a_single_picture_can_be_measured():
    assert summarise([0.9], [1], 0.5)["brier"] == pytest.approx({"value": 0.01, "low": 0.01, "high": 0.01})


def test_certainty_on_the_wrong_side_costs_much_but_not_infinitely():
    loss = summarise([1.0, 0.0], [0, 1], 0.5)["log_loss"]["value"]
    assert loss == pytest.approx(sklearn_metrics.log_loss([0, 1], [1.0, 0.0]))


def test_the_calibration_error_is_that_of_guo_et_al():
    # Two bins: 10 pictures at 0.1 of which 3 are ill (gap 0.2), 30 at 0.9 of which 24 are ill (gap 0.1).
    p = [0.1] * 10 + [0.9] * 30
    y = [1] * 3 + [0] * 7 + [1] * 24 + [0] * 6
    assert summarise(p, y, 0.5)["ece"]["value"] == pytest.approx((10 * 0.2 + 30 * 0.1) / 40)


def test_the_reliability_bins_hold_every_picture_once(scored):
    p, y = scored
    mean, share, counts = reliability_bins(p, y)
    assert counts.sum() == len(p)
    assert np.average(mean, weights=counts) == pytest.approx(p.mean())
    assert np.average(share, weights=counts) == pytest.approx(y.mean())
    assert np.average(np.abs(mean - share), weights=counts) == pytest.approx(summarise(p, y, 0.5)["ece"]["value"])


def test_the_same_seed_gives_the_same_intervals_and_another_does_not(scored):
    assert summarise(*scored, 0.5) == summarise(*scored, 0.5)
    assert summarise(*scored, 0.5, seed=1)["auc"] != summarise(*scored, 0.5)["auc"]


def test_pictures_of_few_patients_are_worth_less_than_as_many_patients(scored):
    p, y = (np.repeat(values, 4) for values in scored)
    patients = np.repeat(np.arange(len(scored[0])), 4).tolist()
    alone, together = summarise(p, y, 0.5), summarise(p, y, 0.5, groups=patients)
    width = {
        name: figure["high"] - figure["low"]
        for name, figure in (("by picture", alone["auc"]), ("by patient", together["auc"]))
    }
    assert together["auc"]["value"] == alone["auc"]["value"]
    assert 1.6 < width["by patient"] / width["by picture"] < 2.4  # the square root of four


def test_predictive_values_follow_the_prevalence():
    found = predictive_values(proportion(90, 100), proportion(80, 100), 0.1)
    assert found["ppv"]["value"] == pytest.approx(0.09 / 0.27)
    assert found["npv"]["value"] == pytest.approx(0.72 / 0.73)
    assert set(predictive_values(proportion(0, 9), proportion(9, 9), 0.1)["ppv"].values()) == {None}


def test_a_predictive_value_without_intervals_of_what_it_follows_from_has_none_either():
    found = predictive_values({"value": 0.9}, proportion(80, 100), 0.1)
    assert found["ppv"] == {"value": pytest.approx(0.09 / 0.27), "low": None, "high": None}


@pytest.mark.parametrize("counts", [(100, 100), (0, 100), (100, 0), (3, 100), (100, 97), (1, 1)])
def test_the_interval_of_a_predictive_value_holds_it_also_where_all_or_none_are_right(counts):
    for found in predictive_values(*(proportion(count, 100) for count in counts), 0.05).values():
        if found["value"] is not None:
            assert 0 <= found["low"] <= found["value"] <= found["high"] <= 1


@pytest.mark.parametrize(("sensitivity", "specificity", "n"), [(0.9, 0.8, 60), (0.97, 0.95, 300)])
def test_the_interval_of_a_predictive_value_holds_the_truth_as_often_as_it_says(sensitivity, specificity, n):
    rng = np.random.default_rng(4)
    truth = predictive_values({"value": sensitivity}, {"value": specificity}, 0.1)
    drawn = zip(rng.binomial(n, sensitivity, 2000), rng.binomial(n, specificity, 2000), strict=True)
    found = [predictive_values(*(proportion(int(hits), n) for hits in pair), 0.1) for pair in drawn]
    for name in ("ppv", "npv"):
        hit = np.mean([values[name]["low"] <= truth[name]["value"] <= values[name]["high"] for values in found])
        assert 0.93 <= hit <= 0.98, name


def test_a_summary_without_one_label_has_no_predictive_values(scored):
    assert at_prevalences(summarise([0.2, 0.7], [1, 1], 0.5, draws=10)) == []
    assert [row["prevalence"] for row in at_prevalences(summarise(*scored, 0.5, draws=10))] == [0.05, 0.10, 0.30]


# --- intervals of proportions by patient ---


def test_independent_pictures_are_worth_what_they_are():
    hits = np.arange(200) % 5 > 0
    assert effective_size(hits, list(range(200))) == pytest.approx(199, abs=1)


def test_pictures_that_share_their_patients_fate_are_worth_one_each_patient():
    hits, patients = np.repeat(np.arange(50) % 5 > 0, 4), np.repeat(np.arange(50), 4).tolist()
    assert effective_size(hits, patients) == pytest.approx(49, abs=1)
    alone, together = share_of(hits), share_of(hits, groups=patients)
    assert alone["value"] == together["value"] == 0.8
    assert together["low"] < alone["low"]
    assert alone["high"] < together["high"]


def test_where_all_are_alike_each_patient_counts_once():
    assert effective_size([True] * 12, ["a", "b", "c"] * 4) == 3
    assert share_of([True] * 12, groups=["a", "b", "c"] * 4) == {**proportion(3, 3), "n": 12}


def test_patients_never_make_an_interval_narrower_than_single_pictures():
    hits = [True, False] * 20  # each patient has one of either: less spread than chance gives
    assert effective_size(hits, np.repeat(np.arange(20), 2).tolist()) == 40


def test_a_summary_by_patient_has_wider_proportions(scored):
    p, y = (np.repeat(values, 4) for values in scored)
    patients = np.repeat(np.arange(len(scored[0])), 4).tolist()
    alone, together = summarise(p, y, 0.5, draws=10), summarise(p, y, 0.5, groups=patients, draws=10)
    for name in ("accuracy", "recall", "precision", "specificity", "npv"):
        assert set(together[name]) == {"value", "low", "high"}
        assert together[name]["value"] == alone[name]["value"]
        assert together[name]["low"] < alone[name]["low"], name


# --- what the metadata hold ---


def area_below(points: list[list[float]]) -> float:
    x, y = np.array(points).T
    return float(np.trapezoid(y, x))


def test_curves_of_impossible_input_are_refused():
    with pytest.raises(ValueError, match="as many"):
        curves([0.5], [0, 1])


def test_the_stored_curves_are_thin_and_still_tell_the_area(scored):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 3000)
    p = 1 / (1 + np.exp(-rng.normal(2.0 * (y - 0.5), 1.0)))
    found = curves(p, y)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    for name in ("roc", "precision_recall"):
        assert len(found[name]) == CURVE_POINTS
        assert np.array(found[name]).round(4).tolist() == found[name]
    assert (found["roc"][0], found["roc"][-1]) == ([0, 0], [1, 1])
    assert (np.diff(found["roc"], axis=0) >= 0).all()
    assert area_below(found["roc"]) == pytest.approx(sklearn_metrics.roc_auc_score(y, p), abs=2e-3)
    assert (found["precision_recall"][0][0], found["precision_recall"][-1][0]) == (0, 1)
    area = sklearn_metrics.average_precision_score(y, p)
    assert area_below(found["precision_recall"]) == pytest.approx(area, abs=5e-3)


def test_a_curve_with_few_corners_keeps_every_one_of_them():
    assert curves([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])["roc"] == [[0, 0], [0, 0.5], [0.5, 0.5], [0.5, 1], [1, 1]]


def test_thinning_keeps_a_sharp_corner_among_thousands_of_points():
    up, along = np.linspace(0, 1, 3000), np.linspace(0, 1, 3000)[1:]
    line = np.vstack([np.column_stack([0 * up, up]), np.column_stack([along, 0 * along + 1])])
    assert [0.0, pytest.approx(1.0, abs=1e-3)] in thinned(line)


def test_the_stored_reliability_is_that_of_the_bins(scored):
    mean, share, counts = reliability_bins(*scored)
    found = curves(*scored)["reliability"]
    assert [row[2] for row in found] == counts.tolist()
    assert np.array(found)[:, :2] == pytest.approx(np.column_stack([mean, share]), abs=5e-5)


def test_curves_of_one_label_hold_its_reliability_alone():
    assert curves([0.2, 0.7], [1, 1]) == {"reliability": [[0.2, 1.0, 1], [0.7, 1.0, 1]]}


def test_the_recall_of_each_cause_says_its_n():
    causes = ["bacteria", "bacteria", "virus", None]
    found = recall_by_cause([0.9, 0.4, 0.8, 0.9], causes, 0.5)
    assert found == {"bacteria": {**proportion(1, 2), "n": 2}, "virus": {**proportion(1, 1), "n": 1}}
    assert recall_by_cause([0.9], [None], 0.5) == {}


def test_the_ends_of_the_band_are_uncertain():
    found = uncertain_summary([0.2, 0.3, 0.5, 0.6, 0.9], [0, 0, 0, 1, 0], 0.4, (0.3, 0.6))
    assert found["share"] == {**proportion(3, 5), "n": 5}
    assert found["accuracy_inside"] == {**proportion(2, 3), "n": 3}
    assert found["accuracy_outside"] == {**proportion(1, 2), "n": 2}


def test_where_nothing_is_uncertain_its_accuracy_is_undefined():
    inside = uncertain_summary([0.1, 0.9], [0, 1], 0.5, (0.4, 0.6))["accuracy_inside"]
    assert inside == {"value": None, "low": None, "high": None, "n": 0}


def test_a_point_of_the_robustness_curve_has_plain_numbers(scored):
    found = robustness_point(*scored, 0.4, severity=1.5)
    whole = summarise(*scored, 0.4, draws=1)
    assert (found["severity"], found["n"]) == (1.5, 400)
    assert [found[key] for key in ("auc", "recall", "specificity")] == pytest.approx(
        [whole[key]["value"] for key in ("auc", "recall", "specificity")]
    )
    assert robustness_point([0.9], [1], 0.5, severity=0.0)["auc"] is None
