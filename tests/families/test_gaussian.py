"""What Gaussian mixtures remember of the rows, and what `reg_covar` does; their laws are in `test_model_laws`."""

from dataclasses import replace

import numpy as np
import pytest
import reference
from cases import STRUCTURES, case
from numpy.testing import assert_allclose

from fastem.sources import as_source

every_structure = pytest.mark.parametrize("structure", STRUCTURES)


def statistics_of(model, rows, weights=None):
    return model.e_step(as_source(rows, weights))


def assert_same_model(model, other, rtol=1e-10):
    for name in ("weights", "means", "covariances", "whiteners"):
        expected = getattr(other, name)
        assert_allclose(getattr(model, name), expected, rtol=rtol, atol=rtol * np.abs(expected).max(), err_msg=name)


@every_structure
def test_a_tied_scatter_of_other_rows_is_forgotten(structure):
    problem, other = case(structure, 300, 3, 2), case(structure, 100, 3, 2, seed=1)
    model = problem.model()
    seasoned = replace(model.m_step(statistics_of(model, other.rows)), **parameters_of(model)).detached()
    found, expected = (m.m_step(statistics_of(m, problem.rows)) for m in (seasoned, model))
    assert_same_model(found, expected)


def parameters_of(model):
    return {name: getattr(model, name) for name in ("weights", "means", "covariances", "whiteners")}


@every_structure
def test_a_second_step_with_a_remembered_scatter_is_the_oracles(structure):
    problem = case(structure, 300, 3, 2)
    model = problem.model()
    for _ in range(2):
        model = model.m_step(statistics_of(model, problem.rows, problem.sample_weight))
        problem = problem.em_step()
    assert_allclose(model.covariances, problem.covariances, rtol=1e-9, atol=1e-11)


@every_structure
def test_reg_covar_is_added_to_the_variances(structure):
    problem = case(structure, 300, 3, 2)
    plain, regularised = (problem.model(reg_covar=reg) for reg in (0.0, 0.5))
    added = regularised.m_step(statistics_of(plain, problem.rows)).covariances
    added = added - plain.m_step(statistics_of(plain, problem.rows)).covariances
    found = reference.matrices(structure, added, 2, 3)
    assert_allclose(found, np.broadcast_to(0.5 * np.eye(3), (2, 3, 3)), atol=1e-14)
