"""Moments of full covariances where most rows have no share in most components and are left out of the products."""

import numpy as np
import pytest
import reference
from cases import Case, random_covariances
from helpers import accumulated, kernel_parameters, moments
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from test_passes import expected_moments

from fastem.kernels import accumulation
from fastem.kernels.assignments import BEST
from fastem.kernels.vectors import deviations

N_FEATURES = [deviations.MANY_FEATURES, 9, 16, 31]


def apart(n_rows, n_features, n_components, distance=100.0):
    """Components so far apart that a row has a share in its own one only; the last one has no row at all."""
    rng = np.random.default_rng(n_rows)
    means = distance * rng.normal(size=(n_components, n_features))
    covariances = random_covariances("full", n_components, n_features, rng)
    labels = rng.integers(n_components - 1, size=n_rows)
    rows = means[labels] + rng.normal(size=(n_rows, n_features))
    sample_weight = rng.random(n_rows) * (rng.random(n_rows) > 0.2)
    sample_weight[0] = 1.0
    return Case("full", rows, sample_weight, np.full(n_components, 1 / n_components), means, covariances)


@pytest.mark.parametrize("n_features", N_FEATURES)
@pytest.mark.parametrize("n_rows", [1, 7, 9, 255, 256, 257, 1000])
def test_moments(n_rows, n_features):
    problem = apart(n_rows, n_features, 8)
    sums = accumulated(problem, [(problem.rows, problem.sample_weight)])
    counts, first, second = moments(problem, sums)
    assert_allclose(counts, reference.counts(problem.shares), rtol=1e-12)
    assert counts[-1] == 0
    for moment, expected in zip((first, second), expected_moments(problem), strict=True):
        assert_allclose(moment, expected, rtol=1e-11, atol=1e-13 * np.abs(expected).max())


@pytest.mark.parametrize("distance", [0.3, 1.0, 3.0])
def test_what_is_left_out_is_rounding(distance):
    """Between components that share all rows and such that share none: some are gathered, some copied."""
    problem = apart(2000, 16, 12, distance)
    sums = accumulated(problem, [(problem.rows, problem.sample_weight)])
    assert_allclose(sums[0] + sums[1], problem.sample_weight @ logsumexp(problem.log_joint, axis=1), rtol=1e-14)
    counts, *found = moments(problem, sums)
    assert_allclose(counts, reference.counts(problem.shares), rtol=1e-12, atol=1e-12)
    for moment, expected in zip(found, expected_moments(problem), strict=True):
        assert_allclose(moment, expected, rtol=1e-11, atol=1e-13 * np.abs(expected).max())


def test_the_same_bits_for_any_blocks():
    problem = apart(1003, 17, 8, 2.0)
    whole = accumulated(problem, [(problem.rows, problem.sample_weight)])
    cut = [(problem.rows[i : i + 37], problem.sample_weight[i : i + 37]) for i in range(0, 1003, 37)]
    assert_array_equal(accumulated(problem, cut), whole)


def test_hard_assignments():
    problem = apart(700, 12, 9, 1.0)
    labels = problem.log_joint.argmax(axis=1)
    hard = problem.sample_weight * (labels == np.arange(9)[:, None])
    counts, _, second = moments(problem, accumulated(problem, [(problem.rows, problem.sample_weight)], assignment=BEST))
    assert_allclose(counts, hard.sum(axis=1), rtol=1e-12)
    expected = reference.second_moments(problem.rows, hard.T, problem.means)
    assert_allclose(second, expected, rtol=1e-11, atol=1e-13 * np.abs(expected).max())


def test_single_precision():
    problem = apart(1000, 16, 10, 3.0)
    parameters = accumulation.in_single_precision(kernel_parameters(problem))
    sums = accumulation.accumulated(parameters, [(problem.rows, problem.sample_weight)])
    counts, _, second = moments(problem, sums)
    assert_allclose(counts, reference.counts(problem.shares), rtol=1e-5, atol=1e-9)
    expected = reference.second_moments(problem.rows, problem.shares, problem.means)
    assert_allclose(second, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
