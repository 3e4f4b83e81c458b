"""Measures of samples against closed forms, independent formulas and worked examples."""

import numpy as np
import pytest

from dl.evaluation.generative import (
    class_coverage,
    expectation_maximisation,
    frechet_distance,
    lerp,
    modes,
    nearest,
    parzen_log_likelihood,
    slerp,
)


def whitened(rng, count, mean, root):
    """Points whose sample mean and covariance are exactly `mean` and root @ root.T."""
    x = rng.standard_normal((count, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T
    return x @ root.T + mean


def test_frechet_distance_of_gaussians_in_closed_form():
    rng = np.random.default_rng(0)
    a = whitened(rng, 50, np.array([0.0, 0.0]), np.diag([1.0, 2.0]))
    b = whitened(rng, 70, np.array([3.0, 4.0]), np.diag([2.0, 5.0]))
    # Diagonal covariances: |difference of means|^2 + sum of squared differences of deviations.
    assert frechet_distance(a, b) == pytest.approx(25 + 1 + 9)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_as_by_the_matrix_root_of_scipy():
    from scipy.linalg import sqrtm

    rng = np.random.default_rng(1)
    a = rng.standard_normal((200, 12)) @ rng.standard_normal((12, 12))
    b = rng.standard_normal((150, 12)) @ rng.standard_normal((12, 12)) + 0.5
    p, q = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = np.square(a.mean(0) - b.mean(0)).sum() + np.trace(p + q - 2 * sqrtm(p @ q).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)
    assert frechet_distance(b, a) == pytest.approx(expected, rel=1e-8)


def test_frechet_distance_of_features_that_are_constant_or_fewer_than_dimensions():
    rng = np.random.default_rng(2)
    a, b = rng.standard_normal((5, 9)), rng.standard_normal((6, 9))
    a[:, 0] = b[:, 0] = 1.0
    assert 0 < frechet_distance(a, b) < np.inf


def test_nearest_as_by_all_differences_and_not_oneself():
    rng = np.random.default_rng(3)
    queries, examples = rng.random((2100, 5)), rng.random((40, 5))
    found = nearest(queries, examples)
    distances = np.sqrt(np.square(queries[:, None] - examples).mean(-1))
    np.testing.assert_array_equal(found.index, distances.argmin(1))
    np.testing.assert_allclose(found.distance, distances.min(1), rtol=1e-5)
    own = nearest(examples, examples, own=np.arange(40))
    assert (own.index != np.arange(40)).all() and (own.distance > 0).all()
    assert nearest(examples, examples).distance.max() == 0


def test_a_class_counts_with_a_tenth_of_its_share():
    # 100 samples, 4 classes: an equal share is 25, a tenth of it 2.5.
    classes = np.repeat([0, 1, 2], [95, 3, 2])
    assert class_coverage(classes, 4) == 0.5


def test_modes_of_a_mixture_by_hand():
    rng = np.random.default_rng(4)
    label = np.repeat([0, 1], 500)
    real = np.stack([10.0 * label, 0 * label], axis=1) + rng.standard_normal((1000, 2))
    samples = np.array([[0.0, 0.0]] * 8 + [[0.0, 2.5], [5.0, 0.0]])
    found = modes(samples, real, label, 2)
    assert (found.covered, found.inside, found.counts.tolist()) == (1, 0.9, [9, 0])
    itself = modes(real, real, label, 2)
    assert itself.covered == 2 and itself.inside == pytest.approx(1 - np.exp(-4.5), abs=0.01)  # of a Gaussian in the plane


def test_the_fitted_mixture_finds_the_modes():
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(3), 200)
    real = (np.array([[0, 0], [5, 0], [0, 5]])[label] + 0.2 * rng.standard_normal((600, 2))).astype(np.float32)
    samples, likelihood = expectation_maximisation(real, 3, 600)
    assert modes(samples, real, label, 3).covered == 3
    entropy = np.log(3) + np.log(2 * np.pi * np.e * 0.04)  # of the mixture, whose parts lie far apart
    assert likelihood == pytest.approx(-entropy, abs=0.1)


def test_parzen_windows_as_written():
    from scipy.special import logsumexp

    rng = np.random.default_rng(6)
    samples, real = rng.random((30, 3)), rng.random((20, 3))
    value, width = parzen_log_likelihood(samples, real, np.array([0.2, 5.0]))
    exponent = -np.square(real[2:, None] - samples).sum(-1) / (2 * 0.2**2)
    expected = (logsumexp(exponent, axis=1) - np.log(30)).mean() - 3 * np.log(0.2 * np.sqrt(2 * np.pi))
    assert width == 0.2 and value == pytest.approx(expected, rel=1e-4)


def test_ways_from_one_point_to_another():
    a, b, parts = np.array([2.0, 0.0]), np.array([0.0, 2.0]), np.array([0.0, 0.5, 1.0])
    np.testing.assert_allclose(slerp(a, b, parts), [[2, 0], [2**0.5, 2**0.5], [0, 2]], atol=1e-7)
    np.testing.assert_allclose(lerp(a, b, parts), [[2, 0], [1, 1], [0, 2]])
    np.testing.assert_allclose(slerp(a, 2 * a, parts), [[2, 0], [3, 0], [4, 0]])
