"""Priors, streams, extrapolations and samples of the discrete families; their laws are in `test_model_laws`."""

from dataclasses import replace

import discrete_reference as reference
import numpy as np
import pytest
from discrete_reference import FAMILIES, case
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chisquare

from fastem.sources import as_source

every_family = pytest.mark.parametrize("family", FAMILIES)


def source_of(problem):
    return as_source(problem.rows, problem.sample_weight)


def em_step(model, source):
    return model.m_step(model.e_step(source))


@every_family
@pytest.mark.parametrize("pseudo_count", [0.0, 0.7])
@pytest.mark.parametrize("shape", [(50, 1, 1), (200, 3, 2), (400, 7, 4)], ids=str)
def test_six_steps_are_the_oracles(family, pseudo_count, shape):
    problem = case(family, *shape)
    model = problem.model(pseudo_count=pseudo_count)
    for _ in range(6):
        total = problem.sample_weight @ problem.log_density
        if pseudo_count:
            total += pseudo_count * problem.log_prior
        statistics = model.e_step(source_of(problem))
        assert_allclose(statistics.lower_bound, total / problem.sample_weight.sum(), rtol=1e-11)
        model = model.m_step(statistics)
        problem = problem.em_step(pseudo_count)
        assert_allclose(model.weights, problem.weights, rtol=1e-10)
        assert_allclose(model.means, problem.table, rtol=1e-10, atol=1e-14)


@every_family
def test_fixed_weights_stay(family):
    problem = case(family, 100, 3, 3)
    fixed, free = (em_step(problem.model(fit_weights=flag), source_of(problem)) for flag in (False, True))
    assert_array_equal(fixed.weights, problem.weights)
    assert_allclose(fixed.means, free.means, rtol=1e-14)
    assert fixed.n_parameters == free.n_parameters - 2


@every_family
def test_smoothing_makes_every_row_possible(family):
    problem = case(family, 200, 4, 3)
    rows = np.zeros_like(problem.rows)  # no other value is ever seen
    model = em_step(problem.model(pseudo_count=1e-10), as_source(rows))
    density = np.empty(200)
    model.evaluate(problem.rows, log_density=density)
    assert np.isfinite(density).all()


# streams --------------------------------------------------------------------------------------------------------------


@every_family
@pytest.mark.parametrize("pseudo_count", [0.0, 2.0])
def test_a_step_that_forgets_nothing_adds_the_batch_to_the_memory(family, pseudo_count):
    """Rows of one component and one total: then the statistics of parts must join to those of the whole."""
    problem = case(family, 300, 3, 1)
    rows = problem.rows
    if family == "multinomial":
        rows = np.random.default_rng(0).multinomial(9, problem.table[0], size=300).astype(float)
    blank = problem.model(pseudo_count=pseudo_count)
    past = em_step(blank, as_source(rows[:200]))
    joined = past.stepwise(past.e_step(as_source(rows[200:])), 100 / 300)
    expected = em_step(blank, as_source(rows))
    tolerance = 1e-12 if family != "poisson" or not pseudo_count else 2e-3  # its prior moves with the mean of the data
    assert_allclose(joined.means, expected.means, rtol=tolerance)


@every_family
def test_a_step_that_forgets_everything_is_an_em_step(family):
    problem = case(family, 100, 3, 3)
    model = problem.model(pseudo_count=0.3)
    statistics = model.e_step(source_of(problem))
    assert_allclose(model.stepwise(statistics, 1.0).means, model.m_step(statistics).means, rtol=1e-13)


# coordinates ----------------------------------------------------------------------------------------------------------


@every_family
def test_extrapolations_stay_possible(family):
    problem = case(family, 100, 3, 3)
    model = problem.model()
    step = model.flatten(model)
    rng = np.random.default_rng(0)
    for _ in range(20):
        found = model.unflatten(step + 3.0 * rng.normal(size=step.shape) * (np.arange(step.shape[1]) > 0))
        assert (found.means > 0).all()
        if family == "categorical":
            assert_allclose([c.sum(axis=1) for c in reference.columns_of(found.means, problem.n_levels)], 1.0)
        if family == "multinomial":
            assert_allclose(found.means.sum(axis=1), 1.0)
        if family == "bernoulli":
            assert (found.means < 1).all()
    assert model.unflatten(-step) is None


# sampling -------------------------------------------------------------------------------------------------------------


@every_family
def test_samples_have_the_means_of_their_components(family):
    problem = case(family, 10, 3, 3)
    model = problem.model()
    if family == "multinomial":
        model = replace(model, n_trials=8.2)
    rows, labels = model.sample(30_000, np.random.RandomState(0))
    assert rows.dtype == np.int64
    assert chisquare(np.bincount(labels), 30_000 * problem.weights).pvalue > 1e-3
    if family == "multinomial":
        assert_array_equal(rows.sum(axis=1), 8)
    for k in range(3):
        means = model.sufficient_statistics(rows[labels == k].astype(float)).mean(axis=0) / (
            8 if family == "multinomial" else 1
        )
        assert_allclose(means, problem.table[k], atol=0.1 if family == "poisson" else 0.02)
