"""Verification against scikit-learn, and against distributions whose error is known."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score, roc_curve

from dl.errors import UserError
from dl.evaluation.verification import apart, area_under, decision_error, draw_pairs, equal_error_rate, roc


def normal_pairs(gap, count=20_000):
    rng = np.random.default_rng(1)
    same = rng.random(count) < 0.4
    return rng.normal(np.where(same, 0.0, gap)), same


@pytest.mark.parametrize("rounded", [False, True])
def test_the_curve_is_scikit_learns(rounded):
    distance, same = normal_pairs(1.0, 500)
    distance = np.round(distance) if rounded else distance  # with ties
    curve = roc(distance, same)
    wrongly, rightly, threshold = roc_curve(same, -distance, drop_intermediate=False)
    np.testing.assert_allclose(curve.accepted_wrongly, wrongly)
    np.testing.assert_allclose(curve.accepted_rightly, rightly)
    np.testing.assert_allclose(curve.threshold[1:], -threshold[1:])
    assert area_under(curve) == pytest.approx(roc_auc_score(same, -distance))


@pytest.mark.parametrize("gap", [0.5, 1.0, 3.0])
def test_equal_error_of_two_normal_distributions(gap):
    """Both errors are Phi(-gap / 2) at the threshold half-way; the area is Phi(gap / sqrt 2)."""
    distance, same = normal_pairs(gap)
    curve = roc(distance, same)
    assert equal_error_rate(curve) == pytest.approx(norm.cdf(-gap / 2), abs=0.01)
    assert area_under(curve) == pytest.approx(norm.cdf(gap / np.sqrt(2)), abs=0.01)
    assert decision_error(distance, same, gap / 2) == pytest.approx(norm.cdf(-gap / 2), abs=0.01)


def test_perfect_constant_and_reversed_distances():
    same = np.array([True, True, False, False, False])
    assert equal_error_rate(roc(np.where(same, 0.0, 1.0), same)) == 0.0
    assert equal_error_rate(roc(np.zeros(5), same)) == 0.5
    assert equal_error_rate(roc(np.where(same, 1.0, 0.0), same)) == 1.0
    with pytest.raises(ValueError, match="both kinds"):
        roc(np.zeros(2), np.ones(2, bool))


def test_pairs_are_about_half_the_same_and_their_distances_those_of_the_rows():
    labels = np.repeat(np.arange(10), 5)
    left, right, same = draw_pairs(labels, 3000)
    np.testing.assert_array_equal(labels[left] == labels[right], same)
    assert abs(same.mean() - 0.5) < 0.04 and (left != right).all()
    rows = np.arange(50.0)[:, None]
    np.testing.assert_allclose(apart(rows, left, right, lambda a, b: np.abs(a - b)[:, 0]), np.abs(left - right))


def test_identities_with_one_image():
    with pytest.raises(UserError, match="two classes of two examples each, and the split has 1"):
        draw_pairs(np.array([0, 0, 1, 2, 3]), 10)


def test_same_and_different_pairs_count_alike_in_the_error_of_a_decision():
    """Of three same pairs one is too far apart, the only different one too near: (1/3 + 1) / 2, not 2 / 4."""
    distance, same = np.array([0.1, 0.2, 0.9, 0.3]), np.array([True, True, True, False])
    assert decision_error(distance, same, 0.5) == pytest.approx(2 / 3)
    assert decision_error(distance, same, 0.3) == pytest.approx(1 / 6)  # a distance at the threshold is not below it
