"""float32 arithmetic against the plain oracle: what it promises, and that it forgets nothing across tiles."""

import numpy as np
import pytest
import reference
from cases import STRUCTURES, case
from helpers import KERNELS, kernel_parameters
from numpy.testing import assert_allclose, assert_array_equal

from fastem import GaussianMixture
from fastem.kernels import accumulation, passes
from fastem.kernels.tiles import tile_rows

SHAPES = [(1, 1, 1), (33, 3, 5), (127, 6, 2), (257, 7, 9), (1000, 2, 1), (300, 17, 3), (200, 16, 4)]


def single_sums(case, blocks):
    parameters = accumulation.in_single_precision(kernel_parameters(case))
    return accumulation.accumulated(parameters, blocks)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("structure", STRUCTURES)
def test_log_likelihood_and_counts(structure, shape):
    problem = case(structure, *shape)
    sums = single_sums(problem, [(problem.rows, problem.sample_weight)])
    expected = problem.sample_weight @ reference.log_density(problem.log_joint)
    assert_allclose(sums[0] + sums[1], expected, rtol=1e-5, atol=1e-5)
    counts = KERNELS[structure].unpack(sums[passes.HEADER :], *problem.means.shape)[0]
    assert_allclose(counts, reference.counts(problem.shares), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_same_bits_for_any_blocks(structure):
    problem = case(structure, 257, 7, 9)
    whole = single_sums(problem, [(problem.rows, problem.sample_weight)])
    cut = [(problem.rows[i : i + 50], problem.sample_weight[i : i + 50]) for i in range(0, 257, 50)]
    assert_array_equal(single_sums(problem, cut), whole)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_fit_far_from_the_origin(structure):
    rng = np.random.default_rng(0)
    groups = np.array([[0.0, 0, 0], [6, 0, 3], [0, 7, -3]])
    rows = 1e4 + groups[rng.integers(3, size=20_000)] + rng.normal(size=(20_000, 3))
    start = {"covariance_type": structure, "means_init": groups + 1e4 + 0.5, "random_state": 0, "tol": 1e-4}
    double = GaussianMixture(3, **start).fit(rows)
    single = GaussianMixture(3, arithmetic="float32", **start).fit(rows)
    assert_allclose(single.log_likelihood_, double.log_likelihood_, rtol=1e-5)
    assert np.abs(single.means_ - double.means_).max() < 1e-5
    assert (single.predict(rows) != double.predict(rows)).mean() < 1e-4
    assert_allclose(single.predict_proba(rows).sum(axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_tile_holds_a_panel_of_floats_however_many_components(structure):
    problem = case(structure, 100, 2, 1100)
    sums = single_sums(problem, [(problem.rows, problem.sample_weight)])
    expected = problem.sample_weight @ reference.log_density(problem.log_joint)
    assert tile_rows(100_000) >= 64
    assert_allclose(sums[0] + sums[1], expected, rtol=1e-5, atol=1e-4)


def test_a_fitted_mixture_scores_in_the_arithmetic_it_was_fitted_in():
    rows = np.random.default_rng(0).normal(size=(500, 3))
    single = GaussianMixture(2, random_state=0, arithmetic="float32").fit(rows)
    density = single.score_samples(rows)
    double = single.set_params(arithmetic="float64").score_samples(rows)
    assert (density != double).any()
    assert_allclose(density, double, rtol=1e-5)
