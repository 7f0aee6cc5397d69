"""Cohen's kappa against published figures, scikit-learn's and a bootstrap."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from ml.intervals import cohens_kappa

# Fleiss, Cohen & Everitt 1969, table 1, of 200 subjects.
PUBLISHED = [[106, 10, 4], [22, 28, 10], [2, 12, 6]]


def scikit_learns(table) -> float:
    """Give the kappa of the two lists of verdicts that `table` counts."""
    cells = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    return cohen_kappa_score(*zip(*cells, strict=True))


def test_kappa_is_the_published_one():
    assert cohens_kappa(PUBLISHED)["value"] == pytest.approx(0.429, abs=5e-4)


@pytest.mark.parametrize("table", [PUBLISHED, [[4, 1], [2, 3]], [[0, 5], [5, 0]], [[90, 1], [3, 0]]], ids=str)
def test_kappa_is_that_of_scikit_learn(table):
    assert cohens_kappa(table)["value"] == pytest.approx(scikit_learns(table))


@pytest.mark.parametrize("table", [PUBLISHED, [[300, 40], [60, 200]]], ids=str)
def test_the_interval_is_as_wide_as_a_bootstraps(table):
    n = np.sum(table)
    drawn = np.random.default_rng(1).multinomial(n, np.ravel(table) / n, size=2000).reshape(-1, *np.shape(table))
    low, high = np.percentile([cohens_kappa(each.tolist())["value"] for each in drawn], (2.5, 97.5))
    found = cohens_kappa(table)
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.012)


@pytest.mark.parametrize("table", [[[0, 0], [0, 0]], [[7, 0], [0, 0]]], ids=str)
def test_where_nothing_could_differ_kappa_is_undefined(table):
    assert cohens_kappa(table) == {"value": None, "low": None, "high": None}


@pytest.mark.parametrize(("table", "value"), [([[5, 0], [0, 4]], 1.0), ([[0, 2], [0, 0]], 0.0)], ids=str)
def test_where_the_variance_is_nothing_there_is_no_interval(table, value):
    assert cohens_kappa(table) == {"value": value, "low": None, "high": None}


def test_an_interval_stays_within_what_kappa_can_be():
    found = cohens_kappa([[1, 1], [0, 1]])
    assert -1 <= found["low"] < found["value"] < found["high"] <= 1
