"""E- and M-steps of the discrete families against plain NumPy."""

from dataclasses import replace

import discrete_reference as reference
import numpy as np
import pytest
from discrete_reference import FAMILIES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import chisquare

from fastem.engine.acceleration import accelerator
from fastem.engine.loop import Fit, run_em
from fastem.engine.stopping import Gain
from fastem.families.bernoulli import BernoulliMixtureModel
from fastem.families.categorical import CategoricalMixtureModel
from fastem.families.multinomial import MultinomialMixtureModel
from fastem.families.poisson import PoissonMixtureModel
from fastem.sources import as_source

MODELS = {
    "bernoulli": BernoulliMixtureModel,
    "categorical": CategoricalMixtureModel,
    "multinomial": MultinomialMixtureModel,
    "poisson": PoissonMixtureModel,
}
every_family = pytest.mark.parametrize("family", FAMILIES)


def model_of(problem, **options):
    levels = {} if problem.n_levels is None else {"n_levels": problem.n_levels}
    return MODELS[problem.family](problem.weights, problem.table, **levels, **options)


def source_of(problem):
    return as_source(problem.rows, problem.sample_weight)


def em_step(model, source):
    return model.m_step(model.e_step(source))


@every_family
@pytest.mark.parametrize("pseudo_count", [0.0, 0.7])
@pytest.mark.parametrize("shape", [(50, 1, 1), (200, 3, 2), (400, 7, 4)], ids=str)
def test_six_steps_are_the_oracles(family, pseudo_count, shape):
    problem = case(family, *shape)
    model, weights, table = model_of(problem, pseudo_count=pseudo_count), problem.weights, problem.table
    for _ in range(6):
        prior = reference.log_prior(family, problem.rows, problem.sample_weight, table, pseudo_count or 1.0)
        density = problem._replace(weights=weights, table=table).log_density
        total = problem.sample_weight @ density + (prior if pseudo_count else 0.0)
        statistics = model.e_step(source_of(problem))
        assert_allclose(statistics.lower_bound, total / problem.sample_weight.sum(), rtol=1e-11)
        model = model.m_step(statistics)
        weights, table = reference.em_step(
            family, problem.rows, problem.sample_weight, weights, table, problem.n_levels, pseudo_count
        )
        assert_allclose(model.weights, weights, rtol=1e-10)
        assert_allclose(model.means, table, rtol=1e-10, atol=1e-14)


@every_family
def test_statistics_of_parts_add_up(family):
    problem = case(family, 300, 4, 3)
    model, half = model_of(problem), 128
    whole = model.e_step(source_of(problem))
    parts = [
        model.e_step(as_source(problem.rows[part], problem.sample_weight[part]))
        for part in (slice(0, half), slice(half, None))
    ]
    for name in ("log_likelihood", "counts", "sums"):
        assert_allclose(sum(getattr(part, name) for part in parts), getattr(whole, name), rtol=1e-12)


@every_family
def test_integer_weights_are_repeated_rows(family):
    problem = case(family, 100, 3, 3)
    times = np.random.default_rng(0).integers(0, 4, size=100)
    weighted = em_step(model_of(problem), as_source(problem.rows, times.astype(float)))
    repeated = em_step(model_of(problem), as_source(np.repeat(problem.rows, times, axis=0)))
    assert_allclose(weighted.means, repeated.means, rtol=1e-12, atol=1e-15)
    assert_allclose(weighted.weights, repeated.weights, rtol=1e-12)


@given(st.data())
def test_the_bound_never_falls(data):
    """pytest makes LowerBoundWarning an error."""
    family = data.draw(st.sampled_from(FAMILIES))
    shape = data.draw(st.integers(2, 60)), data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    problem = case(family, *shape, seed=data.draw(st.integers(0, 50)))
    options = {
        "pseudo_count": data.draw(st.sampled_from([0.0, 1e-10, 0.5, 3.0])),
        "fit_weights": data.draw(st.booleans()),
    }
    acceleration = data.draw(st.sampled_from([None, "squarem", "auto"]))
    fit = Fit(model_of(problem, **options), Gain(0.0), accelerator(acceleration))
    run_em(fit, source_of(problem), max_iter=30)
    bounds = np.array(fit.lower_bounds)
    assert (np.diff(bounds) >= -1e-10 * np.abs(bounds[1:])).all()
    assert np.isfinite(fit.model.means).all()
    assert_allclose(fit.model.weights.sum(), 1.0, rtol=1e-14)


@given(st.data())
def test_responsibilities_sum_to_one(data):
    family = data.draw(st.sampled_from(FAMILIES))
    problem = case(
        family, 40, data.draw(st.integers(1, 6)), data.draw(st.integers(1, 20)), data.draw(st.integers(0, 50))
    )
    responsibilities = np.empty((40, len(problem.weights)))
    model_of(problem).evaluate(problem.rows, responsibilities=responsibilities)
    assert_allclose(responsibilities.sum(axis=1), 1.0, rtol=1e-13)
    assert (responsibilities >= 0).all()


@every_family
def test_permuted_components_give_permuted_results(family):
    problem, order = case(family, 120, 3, 4), [2, 0, 3, 1]
    permuted = problem._replace(weights=problem.weights[order], table=problem.table[order])
    plain, other = (em_step(model_of(p), source_of(p)) for p in (problem, permuted))
    assert_allclose(other.means, plain.means[order], rtol=1e-12)


@every_family
def test_fixed_weights_stay(family):
    problem = case(family, 100, 3, 3)
    fixed, free = (em_step(model_of(problem, fit_weights=flag), source_of(problem)) for flag in (False, True))
    assert_array_equal(fixed.weights, problem.weights)
    assert_allclose(fixed.means, free.means, rtol=1e-14)
    assert fixed.n_parameters == free.n_parameters - 2


def test_free_parameters():
    free = {family: model_of(case(family, 10, 4, 3)).n_parameters for family in FAMILIES}
    levels = case("categorical", 10, 4, 3).n_levels
    assert free == {
        "bernoulli": 3 * 4 + 2,
        "categorical": 3 * (levels - 1).sum() + 2,
        "multinomial": 3 * 3 + 2,
        "poisson": 3 * 4 + 2,
    }


@every_family
def test_a_component_without_rows_keeps_its_means(family):
    problem = case(family, 50, 3, 3)
    problem = problem._replace(weights=np.array([0.6, 0.0, 0.4]))
    after = em_step(model_of(problem), source_of(problem))
    assert after.weights[1] == 0.0
    assert_array_equal(after.means[1], problem.table[1])
    assert np.isfinite(after.means).all()


@every_family
def test_smoothing_makes_every_row_possible(family):
    problem = case(family, 200, 4, 3)
    rows = np.zeros_like(problem.rows)  # no other value is ever seen
    model = em_step(model_of(problem, pseudo_count=1e-10), as_source(rows))
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
    blank = model_of(problem, pseudo_count=pseudo_count)
    past = em_step(blank, as_source(rows[:200]))
    joined = past.stepwise(past.e_step(as_source(rows[200:])), 100 / 300)
    expected = em_step(blank, as_source(rows))
    tolerance = 1e-12 if family != "poisson" or not pseudo_count else 2e-3  # its prior moves with the mean of the data
    assert_allclose(joined.means, expected.means, rtol=tolerance)


@every_family
def test_a_step_that_forgets_everything_is_an_em_step(family):
    problem = case(family, 100, 3, 3)
    model = model_of(problem, pseudo_count=0.3)
    statistics = model.e_step(source_of(problem))
    assert_allclose(model.stepwise(statistics, 1.0).means, model.m_step(statistics).means, rtol=1e-13)


# coordinates ----------------------------------------------------------------------------------------------------------


@every_family
@pytest.mark.parametrize("fit_weights", [True, False])
def test_coordinates_go_there_and_back(family, fit_weights):
    problem = case(family, 100, 3, 4)
    reference_model = model_of(problem, fit_weights=fit_weights)
    model = em_step(reference_model, source_of(problem))
    found = reference_model.unflatten(model.flatten(reference_model))
    assert_allclose(found.means, model.means, rtol=1e-12, atol=1e-15)
    assert_allclose(found.weights, model.weights, rtol=1e-13)


@every_family
def test_extrapolations_stay_possible(family):
    problem = case(family, 100, 3, 3)
    model = model_of(problem)
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
    model = model_of(problem)
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
