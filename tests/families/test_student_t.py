"""Mixtures of Student's t: kernels and steps against SciPy's density and EM written down plainly."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import SHAPES, STRUCTURES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import digamma, loggamma

from fastem.families.covariances import STRUCTURES as STRUCTURE_OF
from fastem.families.covariances import Moments
from fastem.families.gaussian import GaussianMixtureModel
from fastem.families.student_t import GREATEST, LEAST, Statistics, StudentTMixtureModel, log_peak_ratio, solved
from fastem.kernels import threads
from fastem.kernels.accumulation import accumulated, evaluate_block
from fastem.sources import as_source

every_structure = pytest.mark.parametrize("structure", STRUCTURES)
DENSITY_SHAPES = [s for s in SHAPES if s in ((1, 1, 1), (1, 3, 2), (33, 3, 5), (257, 7, 9), (150, 17, 6), (40, 2, 70))]
STEP_SHAPES = [(64, 1, 1), (127, 6, 2), (257, 3, 3), (300, 9, 4)]


def degrees_of_freedom(n_components):
    return np.geomspace(0.7, 60.0, n_components)


def model_of(problem, freedom="free", nu=None, **options):
    structure = STRUCTURE_OF[problem.structure]
    whiteners, _ = structure.whiten(problem.covariances)
    gaussian = GaussianMixtureModel(
        structure, problem.weights, problem.means, problem.covariances, whiteners, **options
    )
    return StudentTMixtureModel(gaussian, degrees_of_freedom(len(problem.weights)) if nu is None else nu, freedom)


def log_joint(problem, nu=None):
    nu = degrees_of_freedom(len(problem.weights)) if nu is None else nu
    return reference.t_log_joint(problem.rows, problem.weights, problem.means, problem.matrices, nu)


def assert_same_model(model, expected, rtol=1e-9):
    for name, value in zip(("weights", "means", "scales", "degrees_of_freedom"), expected, strict=True):
        tolerance = max(rtol, 1e-5) if name == "degrees_of_freedom" else rtol  # the oracle's search is no better
        assert_allclose(getattr(model, name), value, rtol=tolerance, atol=rtol * np.abs(value).max(), err_msg=name)


# densities ------------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("shape", DENSITY_SHAPES, ids=str)
def test_scores_are_those_of_scipys_density(structure, shape):
    problem = case(structure, *shape)
    n_rows, _, n_components = shape
    joint = log_joint(problem)
    density, labels, shares = np.empty(n_rows), np.empty(n_rows, dtype=np.int64), np.empty((n_rows, n_components))
    model_of(problem).evaluate(problem.rows, log_density=density, labels=labels, responsibilities=shares)
    assert_allclose(density, reference.log_density(joint), rtol=1e-12, atol=1e-12)
    assert_allclose(shares, reference.responsibilities(joint), rtol=1e-10, atol=1e-15)
    assert_array_equal(labels, joint.argmax(axis=1))


@every_structure
def test_many_degrees_of_freedom_are_the_gaussian(structure):
    problem = case(structure, 200, 3, 2)
    model = model_of(problem, nu=np.full(2, GREATEST))
    found, expected = np.empty(200), np.empty(200)
    model.evaluate(problem.rows, log_density=found)
    model.gaussian.evaluate(problem.rows, log_density=expected)
    assert_allclose(found, expected, atol=1e-3)  # d2^2 / (4 nu)
    second_order = (reference.t_log_joint(*problem[1:2], *problem[3:5], problem.matrices, np.full(2, 1e6))).T
    assert_allclose(found, np.logaddexp(*second_order), atol=2e-8)  # SciPy's own rounding


def test_the_peak_of_the_density_has_all_its_digits():
    for n_features in (1, 2, 5, 64):
        nu = np.geomspace(LEAST, GREATEST, 60)
        a, b = nu.astype(np.longdouble) / 2, np.longdouble(n_features) / 2
        found = log_peak_ratio(nu, n_features)
        # An independent series: log Gamma(a + b) - log Gamma(a) over unit steps, exact for an even number of features.
        if n_features % 2 == 0:
            steps = sum(np.log1p(np.longdouble(i) / a) for i in range(n_features // 2))
            assert_allclose(found, steps.astype(float), rtol=1e-13, atol=2e-13)
        rough = (loggamma((a + b).astype(float)) - loggamma(a.astype(float)) - (b * np.log(a)).astype(float)).real
        assert_allclose(found, rough, atol=1e-8)


# steps ----------------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("freedom", ["free", "shared", "fixed"])
@pytest.mark.parametrize("shape", STEP_SHAPES, ids=str)
def test_iterations_of_em(structure, shape, freedom):
    problem = case(structure, *shape)
    nu = degrees_of_freedom(shape[2])
    nu = np.full_like(nu, 3.0) if freedom == "shared" else nu
    model, source = model_of(problem, freedom, nu), as_source(problem.rows, problem.sample_weight)
    parameters = (*problem[3:], nu)
    for _ in range(4):
        matrices = reference.matrices(structure, parameters[2], *parameters[1].shape)
        joint = reference.t_log_joint(problem.rows, *parameters[:2], matrices, parameters[3])
        statistics = model.e_step(source)
        expected = np.average(reference.log_density(joint), weights=problem.sample_weight)
        assert_allclose(statistics.lower_bound, expected, rtol=1e-7)
        model = model.m_step(statistics)
        parameters = reference.t_em_step(structure, *problem[1:3], *parameters, freedom)
    assert_same_model(model, parameters, rtol=1e-6 if freedom != "fixed" else 1e-9)


@every_structure
def test_the_m_step_of_expected_statistics_returns_the_parameters(structure):
    """E[u] = 1, E[u (x - mu)(x - mu)^T] = Sigma, E[log u] = psi(nu/2) - log(nu/2)."""
    problem = case(structure, 10, 4, 3)
    model, counts = model_of(problem), 50.0 * problem.weights
    half = degrees_of_freedom(3) / 2
    latent = counts * (digamma(half) - np.log(half) - 1.0)
    within = counts[:, None, None] * problem.matrices
    centred = problem.means - problem.weights @ problem.means
    second = {
        "full": within,
        "tied": within.sum(axis=0) + np.einsum("k,ki,kj->ij", counts, centred, centred),
        "diag": np.diagonal(within, axis1=1, axis2=2),
        "spherical": np.trace(within, axis1=1, axis2=2),
    }[structure]
    found = model.m_step(Statistics(np.nan, counts, latent, Moments(counts, np.zeros((3, 4)), second)))
    assert_same_model(found, (problem.weights, problem.means, problem.covariances, 2 * half), rtol=1e-11)
    stepped = model.stepwise(Statistics(np.nan, counts, latent, Moments(counts, np.zeros((3, 4)), second)), 0.3)
    assert_same_model(stepped, (problem.weights, problem.means, problem.covariances, 2 * half), rtol=1e-11)


@every_structure
def test_blocks_change_no_bit(structure):
    problem = case(structure, 700, 3, 4)
    parameters = model_of(problem).kernel_parameters
    expected = accumulated(parameters, [(problem.rows, problem.sample_weight)])
    for size in (1, 100, 256):
        cut = [(problem.rows[i : i + size], problem.sample_weight[i : i + size]) for i in range(0, 700, size)]
        assert_array_equal(accumulated(parameters, cut), expected)


def test_threads_change_no_bit(monkeypatch):
    problem = case("full", 1500, 3, 4)
    parameters = model_of(problem).kernel_parameters
    results = []
    for work in (0, 2**62):
        monkeypatch.setattr(threads, "PARALLEL_WORK", work)
        density = np.empty(1500)
        evaluate_block(parameters, problem.rows, log_density=density)
        results.append((accumulated(parameters, [(problem.rows, problem.sample_weight)]), density))
    for threaded, serial in zip(*results, strict=True):
        assert_array_equal(threaded, serial)


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
    here, there = (model_of(p).e_step(as_source(p.rows)) for p in (problem, moved))
    assert_allclose(there.log_likelihood, here.log_likelihood - 300 * np.linalg.slogdet(matrix)[1], rtol=1e-10)
    assert_allclose(there.latent, here.latent, rtol=1e-8)


@given(
    structure=st.sampled_from(STRUCTURES),
    freedom=st.sampled_from(["free", "shared", "fixed"]),
    shape=st.tuples(st.integers(40, 200), st.integers(1, 5), st.integers(1, 3)),
    seed=st.integers(0, 10_000),
)
def test_the_likelihood_never_falls(structure, freedom, shape, seed):
    problem = case(structure, *shape, seed=seed)
    nu = np.full(shape[2], 2.0) if freedom == "shared" else None
    model, bounds = model_of(problem, freedom, nu), []
    source = as_source(problem.rows, problem.sample_weight)
    for _ in range(8):
        statistics = model.e_step(source)
        assert_allclose(statistics.weight, problem.sample_weight.sum(), rtol=1e-12)
        bounds.append(statistics.lower_bound)
        model = model.m_step(statistics)
        if model.repairs:
            break
    assert (np.diff(bounds) >= -1e-10 * np.maximum(1.0, np.abs(bounds[1:]))).all()


@given(log_nu=st.floats(np.log(0.02), np.log(1e5)))
def test_degrees_of_freedom_are_solved_for(log_nu):
    nu = np.exp(log_nu)
    half = nu / 2
    assert_allclose(solved(digamma(half) - np.log(half) - 1.0), nu, rtol=1e-5 if nu > 1e3 else 1e-9)


def test_degrees_of_freedom_stay_within_their_limits():
    assert solved(-1.0) == GREATEST  # u is one, always
    assert solved(-1e6) == LEAST


@every_structure
def test_outliers_side_by_side_keep_their_part_in_the_scatter(structure):
    """Their precisions are nearly nothing, their share of the scatter is that of the others and more."""
    problem = case(structure, 256, 2, 2)
    rows = problem.rows.copy()
    rows[64:128] += 1e10
    model = model_of(problem, nu=np.array([1.0, 2.0]), freedom="fixed")
    found = model.m_step(model.e_step(as_source(rows)))
    parameters = *problem[3:], np.array([1.0, 2.0])
    expected = reference.t_em_step(structure, rows, np.ones(256), *parameters, "fixed")
    assert_same_model(found, expected, rtol=1e-7)


def test_rows_out_of_all_proportion_to_the_scales_are_refused():
    problem = case("full", 50, 2, 1)
    model = model_of(problem)
    with pytest.raises(ValueError, match=r"too far|overflow"):
        model.m_step(model.e_step(as_source(problem.rows * 1e170)))


# coordinates ----------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("freedom", ["free", "shared", "fixed"])
def test_coordinates_lead_back_to_the_model(structure, freedom):
    problem, other = case(structure, 20, 3, 4), case(structure, 20, 3, 4, seed=1)
    nu = np.full(4, 5.0) if freedom == "shared" else None
    reference_model, model = model_of(problem, freedom, nu), model_of(other, freedom, nu)
    found = reference_model.unflatten(model.flatten(reference_model))
    expected = (other.weights, other.means, other.covariances, model.degrees_of_freedom)
    assert_same_model(found, expected, rtol=1e-11)


def test_a_component_without_rows_has_no_coordinates():
    problem = case("full", 20, 3, 3)
    model = model_of(problem)
    retired = replace(model, gaussian=replace(model.gaussian, weights=np.array([0.4, 0.0, 0.6])))
    found = retired.unflatten(retired.flatten(retired))
    assert found.weights[1] == 0
    assert_same_model(found, (retired.weights, model.means, model.scales, model.degrees_of_freedom), rtol=1e-12)
    beyond = retired.flatten(retired)
    beyond[0] = -0.1
    assert retired.unflatten(beyond) is None


def test_parameters_are_counted():
    problem = case("full", 20, 3, 2)
    gaussian = model_of(problem).gaussian.n_parameters
    for freedom, more in (("free", 2), ("shared", 1), ("fixed", 0)):
        assert model_of(problem, freedom).n_parameters == gaussian + more
