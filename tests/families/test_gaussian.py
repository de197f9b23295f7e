"""Laws that a family obeys, whatever its structure."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import SHAPES, STRUCTURES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fastem.families.covariances import STRUCTURES as STRUCTURE_OF
from fastem.families.covariances import Moments
from fastem.families.gaussian import GaussianMixtureModel, Statistics
from fastem.sources import as_source

every_structure = pytest.mark.parametrize("structure", STRUCTURES)
# Shapes at which every component has rows enough for a covariance.
every_shape = pytest.mark.parametrize("shape", [s for s in SHAPES if s[0] > 4 * s[1] * s[2]], ids=str)


def model_of(problem, **options):
    structure = STRUCTURE_OF[problem.structure]
    whiteners, _ = structure.whiten(problem.covariances)
    return GaussianMixtureModel(structure, problem.weights, problem.means, problem.covariances, whiteners, **options)


def statistics_of(model, rows, weights=None):
    return model.e_step(as_source(rows, weights))


def assert_same_model(model, other, rtol=1e-10):
    for name in ("weights", "means", "covariances", "whiteners"):
        expected = getattr(other, name)
        assert_allclose(getattr(model, name), expected, rtol=rtol, atol=rtol * np.abs(expected).max(), err_msg=name)


@every_structure
@every_shape
def test_an_em_step_is_the_oracles(structure, shape):
    problem = case(structure, *shape)
    model = model_of(problem)
    found = model.m_step(statistics_of(model, problem.rows, problem.sample_weight))
    weights, means, covariances = reference.em_step(*problem)
    assert_allclose(found.weights, weights, rtol=1e-11)
    assert_allclose(found.means, means, rtol=1e-10)
    assert_allclose(found.covariances, covariances, rtol=1e-8, atol=1e-10)


@every_structure
@every_shape
def test_the_bound_is_the_mean_log_likelihood(structure, shape):
    problem = case(structure, *shape)
    model = model_of(problem)
    expected = np.average(reference.log_density(problem.log_joint), weights=problem.sample_weight)
    assert_allclose(statistics_of(model, problem.rows, problem.sample_weight).lower_bound, expected, rtol=1e-12)
    total, weight = model.log_likelihood(as_source(problem.rows, problem.sample_weight))
    assert_allclose(total / weight, expected, rtol=1e-12)


@every_structure
def test_the_m_step_of_expected_statistics_returns_the_parameters(structure):
    problem = case(structure, 10, 4, 3)
    model, counts = model_of(problem), 50.0 * problem.weights
    within = counts[:, None, None] * problem.matrices
    centred = problem.means - problem.weights @ problem.means
    second = {
        "full": within,
        "tied": within.sum(axis=0) + np.einsum("k,ki,kj->ij", counts, centred, centred),
        "diag": np.diagonal(within, axis1=1, axis2=2),
        "spherical": np.trace(within, axis1=1, axis2=2),
    }[structure]
    expected = Statistics(np.nan, Moments(counts, np.zeros((3, 4)), second))
    assert_same_model(model.m_step(expected), model)


@every_structure
def test_statistics_of_two_parts_add_up(structure):
    problem = case(structure, 300, 3, 4)
    model = model_of(problem)
    parts = [(problem.rows[a:b], problem.sample_weight[a:b]) for a, b in ((0, 101), (101, 300))]
    whole = statistics_of(model, problem.rows, problem.sample_weight)
    first, second = (statistics_of(model, *part) for part in parts)
    assert_allclose(first.log_likelihood + second.log_likelihood, whole.log_likelihood, rtol=1e-12)
    assert_allclose(first.moments.counts + second.moments.counts, whole.moments.counts, rtol=1e-12)
    assert_allclose(first.moments.first + second.moments.first, whole.moments.first, rtol=1e-9, atol=1e-9)
    if structure != "tied":  # there each part's is about its own mean
        assert_allclose(first.moments.second + second.moments.second, whole.moments.second, rtol=1e-10, atol=1e-10)


@every_structure
def test_permuted_components_give_permuted_results(structure):
    problem = case(structure, 300, 3, 5)
    order = np.array([3, 0, 4, 2, 1])
    permuted = problem._replace(weights=problem.weights[order], means=problem.means[order])
    if structure != "tied":
        permuted = permuted._replace(covariances=problem.covariances[order])
    before, after = (m.m_step(statistics_of(m, problem.rows)) for m in (model_of(problem), model_of(permuted)))
    expected = replace(before, weights=before.weights[order], means=before.means[order])
    if structure != "tied":
        expected = replace(expected, covariances=before.covariances[order], whiteners=before.whiteners[order])
    assert_same_model(after, expected)


@every_structure
def test_full_covariances_that_have_the_structure_give_the_same_density(structure):
    problem = case(structure, 200, 4, 3)
    full = model_of(problem._replace(structure="full", covariances=problem.matrices))
    here, there = np.empty(200), np.empty(200)
    model_of(problem).evaluate(problem.rows, log_density=here)
    full.evaluate(problem.rows, log_density=there)
    assert_allclose(here, there, rtol=1e-12)


@pytest.mark.parametrize("structure", ["full", "tied"])
def test_an_affine_change_of_the_rows_shifts_the_likelihood_by_its_determinant(structure):
    problem = case(structure, 300, 3, 4)
    rng = np.random.default_rng(5)
    matrix, offset = rng.normal(size=(3, 3)), rng.normal(size=3)
    moved = problem._replace(
        rows=problem.rows @ matrix.T + offset,
        means=problem.means @ matrix.T + offset,
        covariances=matrix @ problem.covariances @ matrix.T,
    )
    here, there = (statistics_of(model_of(p), p.rows) for p in (problem, moved))
    shift = 300 * np.linalg.slogdet(matrix)[1]
    assert_allclose(there.log_likelihood, here.log_likelihood - shift, rtol=1e-10)
    assert_allclose(there.moments.counts, here.moments.counts, rtol=1e-9)


@every_structure
def test_a_tied_scatter_of_other_rows_is_forgotten(structure):
    problem, other = case(structure, 300, 3, 2), case(structure, 100, 3, 2, seed=1)
    model = model_of(problem)
    seasoned = replace(model.m_step(statistics_of(model, other.rows)), **parameters_of(model)).detached()
    found, expected = (m.m_step(statistics_of(m, problem.rows)) for m in (seasoned, model))
    assert_same_model(found, expected)


def parameters_of(model):
    return {name: getattr(model, name) for name in ("weights", "means", "covariances", "whiteners")}


@every_structure
def test_a_second_step_with_a_remembered_scatter_is_the_oracles(structure):
    problem = case(structure, 300, 3, 2)
    model = model_of(problem)
    for _ in range(2):
        model = model.m_step(statistics_of(model, problem.rows, problem.sample_weight))
        problem = problem._replace(
            **dict(zip(("weights", "means", "covariances"), reference.em_step(*problem), strict=True))
        )
    assert_allclose(model.covariances, problem.covariances, rtol=1e-9, atol=1e-11)


@every_structure
def test_reg_covar_is_added_to_the_variances(structure):
    problem = case(structure, 300, 3, 2)
    plain, regularised = (model_of(problem, reg_covar=reg) for reg in (0.0, 0.5))
    added = regularised.m_step(statistics_of(plain, problem.rows)).covariances
    added = added - plain.m_step(statistics_of(plain, problem.rows)).covariances
    found = reference.matrices(structure, added, 2, 3)
    assert_allclose(found, np.broadcast_to(0.5 * np.eye(3), (2, 3, 3)), atol=1e-14)


@given(
    structure=st.sampled_from(STRUCTURES),
    shape=st.tuples(st.integers(20, 200), st.integers(1, 5), st.integers(1, 3)),
    seed=st.integers(0, 10_000),
)
def test_the_likelihood_never_falls_and_responsibilities_sum_to_one(structure, shape, seed):
    problem = case(structure, *shape, seed=seed)
    model, bounds = model_of(problem), []
    for _ in range(5):
        statistics = statistics_of(model, problem.rows, problem.sample_weight)
        assert_allclose(statistics.moments.counts.sum(), problem.sample_weight.sum(), rtol=1e-12)
        bounds.append(statistics.lower_bound)
        model = model.m_step(statistics)
        if model.repairs:
            break
    assert (np.diff(bounds) >= -1e-10 * np.maximum(1.0, np.abs(bounds[1:]))).all()
    shares = np.empty((len(problem.rows), len(problem.weights)))
    model.evaluate(problem.rows, responsibilities=shares)
    assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-12)
    assert (shares >= 0).all()
