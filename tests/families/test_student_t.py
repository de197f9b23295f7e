"""What is peculiar to mixtures of Student's t: degrees of freedom, limits, outliers; laws are in `test_model_laws`."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import STRUCTURES, StudentCase, case, student_case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import digamma, loggamma

from fastem.families.student_t import GREATEST, LEAST, log_peak_ratio, solved
from fastem.sources import as_source

every_structure = pytest.mark.parametrize("structure", STRUCTURES)


def student(problem, freedom="free", nu=None):
    """The case with Student's t; one number for all where they are shared."""
    found = student_case(problem.structure, 1, *problem.means.shape[::-1]).degrees_of_freedom if nu is None else nu
    return StudentCase(problem, found, freedom)


def assert_same_model(model, expected, rtol=1e-9):
    for name, value in zip(("weights", "means", "scales", "degrees_of_freedom"), expected, strict=True):
        tolerance = max(rtol, 1e-5) if name == "degrees_of_freedom" else rtol  # the oracle's search is no better
        assert_allclose(getattr(model, name), value, rtol=tolerance, atol=rtol * np.abs(value).max(), err_msg=name)


# densities ------------------------------------------------------------------------------------------------------------


@every_structure
def test_many_degrees_of_freedom_are_the_gaussian(structure):
    problem = case(structure, 200, 3, 2)
    model = student(problem, nu=np.full(2, GREATEST)).model()
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
def test_iterations_of_em(structure, freedom):
    problem = student(case(structure, 257, 3, 3), freedom, np.full(3, 3.0) if freedom == "shared" else None)
    model, source = problem.model(), as_source(problem.rows, problem.sample_weight)
    for _ in range(4):
        statistics = model.e_step(source)
        expected = np.average(reference.log_density(problem.log_joint), weights=problem.sample_weight)
        assert_allclose(statistics.lower_bound, expected, rtol=1e-7)
        model, problem = model.m_step(statistics), problem.em_step()
    assert_same_model(model, problem.parameters.values(), rtol=1e-6 if freedom != "fixed" else 1e-9)


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
    model = student(problem, nu=np.array([1.0, 2.0]), freedom="fixed").model()
    found = model.m_step(model.e_step(as_source(rows)))
    parameters = *problem[3:], np.array([1.0, 2.0])
    expected = reference.t_em_step(structure, rows, np.ones(256), *parameters, "fixed")
    assert_same_model(found, expected, rtol=1e-7)


def test_rows_out_of_all_proportion_to_the_scales_are_refused():
    problem = case("full", 50, 2, 1)
    model = student(problem).model()
    with pytest.raises(ValueError, match=r"too far|overflow"):
        model.m_step(model.e_step(as_source(problem.rows * 1e170)))


# coordinates ----------------------------------------------------------------------------------------------------------


@every_structure
@pytest.mark.parametrize("freedom", ["free", "shared", "fixed"])
def test_coordinates_lead_back_to_the_model(structure, freedom):
    problem, other = case(structure, 20, 3, 4), case(structure, 20, 3, 4, seed=1)
    nu = np.full(4, 5.0) if freedom == "shared" else None
    reference_model, model = student(problem, freedom, nu).model(), student(other, freedom, nu).model()
    found = reference_model.unflatten(model.flatten(reference_model))
    expected = (other.weights, other.means, other.covariances, model.degrees_of_freedom)
    assert_same_model(found, expected, rtol=1e-11)


def test_a_component_without_rows_has_no_coordinates():
    problem = case("full", 20, 3, 3)
    model = student(problem).model()
    retired = replace(model, gaussian=replace(model.gaussian, weights=np.array([0.4, 0.0, 0.6])))
    found = retired.unflatten(retired.flatten(retired))
    assert found.weights[1] == 0
    assert_same_model(found, (retired.weights, model.means, model.scales, model.degrees_of_freedom), rtol=1e-12)
    beyond = retired.flatten(retired)
    beyond[0] = -0.1
    assert retired.unflatten(beyond) is None


def test_parameters_are_counted():
    problem = case("full", 20, 3, 2)
    gaussian = student(problem).model().gaussian.n_parameters
    for freedom, more in (("free", 2), ("shared", 1), ("fixed", 0)):
        assert student(problem, freedom).model().n_parameters == gaussian + more
