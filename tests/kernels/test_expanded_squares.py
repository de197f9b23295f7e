"""Tied and spherical scores by |x|^2 - 2 mu x + |mu|^2 where that loses nothing, by (x - mu)^2 elsewhere."""

import numpy as np
import pytest
import reference
from cases import SHAPES, case
from helpers import accumulated, kernel_parameters
from numpy.testing import assert_allclose, assert_array_equal

from fastem.kernels import accumulation
from fastem.kernels.vectors import blocks

every_structure = pytest.mark.parametrize("structure", ["tied", "spherical"])


@every_structure
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_both_forms_agree(structure, shape):
    problem = case(structure, *shape)
    parameters, rows = kernel_parameters(problem), [(problem.rows, problem.sample_weight)]
    assert parameters.slopes.size
    direct = parameters._replace(slopes=np.empty(0), norms=np.empty(0))
    expanded, plain = (accumulation.accumulated(p, rows) for p in (parameters, direct))
    assert_allclose(expanded, plain, rtol=1e-11, atol=1e-10)


@every_structure
@pytest.mark.parametrize("size", [1e100, 1e155, 1e200, 1e300])
def test_rows_out_of_range_are_out_of_range_in_both(structure, size):
    parameters = kernel_parameters(case(structure, 10, 3, 4))
    direct = parameters._replace(slopes=np.empty(0), norms=np.empty(0))
    rows, densities = size * np.array([[1.0, 1.0, 1.0], [-1.0, 1.0, 0.0]]), []
    for form in (parameters, direct):
        densities.append(np.empty(2))
        accumulation.evaluate_block(form, rows, log_density=densities[-1])
    assert_allclose(*densities, rtol=1e-14)
    assert (densities[0] < -1e199).all()


@every_structure
def test_groups_far_apart_are_not_expanded(structure):
    near = case(structure, 500, 3, 4)
    means = 1e6 * near.means
    rows = means[np.arange(500) % 4] + np.random.default_rng(0).normal(size=(500, 3))
    far = near._replace(rows=rows, means=means, sample_weight=np.ones(500))
    assert not kernel_parameters(far).slopes.size
    found = accumulated(far, [(rows, far.sample_weight)])
    assert_allclose(found[0] + found[1], reference.log_density(far.log_joint).sum(), rtol=1e-8)


@every_structure
def test_single_precision_is_never_expanded(structure):
    problem = case(structure, 100, 5, 7)
    parameters, rows = accumulation.in_single_precision(kernel_parameters(problem)), [(problem.rows, None)]
    unreadable = parameters._replace(slopes=np.full_like(parameters.slopes, np.nan))
    assert_array_equal(accumulation.accumulated(unreadable, rows), accumulation.accumulated(parameters, rows))


def test_the_limit():
    means = np.array([[np.sqrt(blocks.EXPANDABLE), 0.0], [0.0, 1.0]])
    slopes, norms = blocks.expanded(means)
    assert_allclose(slopes.reshape(means.shape), -2 * means)
    assert_allclose(norms, (means**2).sum(axis=1))
    assert not blocks.expanded(1.001 * means)[0].size
    assert not blocks.expanded(means, np.array([[1.001], [1.0]]))[0].size
