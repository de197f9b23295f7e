"""The kernels of discrete families against SciPy, and the same bits however rows arrive."""

import hashlib

import discrete_reference as reference
import numba
import numpy as np
import pytest
from discrete_reference import FAMILIES, SHAPES, case
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import gammaln

from fastem.kernels import accumulation
from fastem.kernels.vectors import elementary
from fastem.kernels.vectors.simd import WIDTH, vectorised
from fastem.sources import as_source

every_family = pytest.mark.parametrize("family", FAMILIES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def scored(model, rows):
    out = {
        "log_density": np.full(len(rows), np.nan),
        "labels": np.full(len(rows), -1),
        "responsibilities": np.full((len(rows), model.n_components), np.nan),
    }
    model.evaluate(rows, **out)
    return out


# values ---------------------------------------------------------------------------------------------------------------


@every_family
@every_shape
def test_sums_of_a_pass(family, shape):
    problem = case(family, *shape)
    statistics = problem.model().e_step(as_source(problem.rows, problem.sample_weight))
    shares = problem.shares
    assert_allclose(statistics.log_likelihood, problem.sample_weight @ problem.log_density, rtol=1e-12, atol=1e-14)
    assert_allclose(statistics.counts, shares.sum(axis=0), rtol=1e-11, atol=1e-13)
    if family == "categorical":
        sums = [
            np.stack([shares[problem.rows[:, j] == v].sum(axis=0) for v in range(n)], axis=1)
            for j, n in enumerate(problem.n_levels)
        ]
        expected = np.hstack(sums)
    else:
        expected = shares.T @ problem.rows
    assert_allclose(statistics.sums, expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("family", ["multinomial", "poisson"])
def test_the_part_without_parameters_is_found_in_the_first_pass_and_kept(family):
    problem = case(family, 300, 4, 3)
    source, model = as_source(problem.rows, problem.sample_weight), problem.model()
    first = model.e_step(source)
    terms = -gammaln(problem.rows + 1).sum(axis=1)
    if family == "multinomial":
        terms += gammaln(problem.rows.sum(axis=1) + 1)
    assert_allclose(first.row_terms, problem.sample_weight @ terms, rtol=1e-13)
    second = model.m_step(first)
    expected = problem.sample_weight @ problem.em_step().log_density
    assert_allclose(second.e_step(source).log_likelihood, expected, rtol=1e-12)
    assert second.detached().row_terms is None


# zeros ----------------------------------------------------------------------------------------------------------------


def with_zeros(family):
    """Two components of which each finds other values impossible, and the rows: of one, of both, of none."""
    if family == "bernoulli":
        table = np.array([[0.0, 0.4, 1.0], [0.3, 1.0, 0.0]])
        rows = np.array([[0, 1, 1], [0, 0, 1], [1, 1, 0], [1, 0, 1], [0, 1, 0]])
    elif family == "categorical":
        table = np.array([[1.0, 0.0, 0.2, 0.3, 0.5], [0.5, 0.5, 0.0, 0.4, 0.6]])
        rows = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [1, 2]])
    elif family == "multinomial":
        table = np.array([[0.0, 0.5, 0.5], [0.4, 0.6, 0.0]])
        rows = np.array([[0, 3, 2], [0, 4, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]])
    else:
        table = np.array([[0.0, 2.0, 1.5], [1.0, 0.7, 0.0]])
        rows = np.array([[0, 3, 2], [0, 4, 0], [1, 1, 0], [1, 0, 1], [0, 0, 0]])
    n_levels = np.array([2, 3]) if family == "categorical" else None
    return reference.Case(family, rows.astype(float), np.ones(5), np.array([0.3, 0.7]), table, n_levels)


@every_family
def test_zero_probabilities_exclude_and_are_never_nan(family):
    problem = with_zeros(family)
    joint = problem.log_joint
    found = scored(problem.model(), problem.rows)
    expected = np.logaddexp.reduce(joint, axis=1)
    assert np.isneginf(expected).any()
    assert_allclose(found["log_density"], expected, rtol=1e-13, atol=1e-14)
    possible = np.isfinite(expected)
    responsibilities = np.exp(joint[possible] - expected[possible, None])
    assert_allclose(found["responsibilities"][possible], responsibilities, atol=1e-14)
    assert_array_equal(found["responsibilities"][~possible], 0.5)
    model = problem.model()
    assert model.log_likelihood(as_source(problem.rows)) == (-np.inf, 5.0)
    with pytest.raises(ValueError, match="impossible under every component"):
        model.e_step(as_source(problem.rows))
    statistics = model.e_step(as_source(problem.rows, possible.astype(float)))
    assert_allclose(statistics.counts, responsibilities.sum(axis=0), atol=1e-14)
    assert_allclose(statistics.log_likelihood, expected[possible].sum(), rtol=1e-13)


def test_levels_beyond_the_table_read_no_foreign_memory():
    problem = case("categorical", 50, 3, 2)
    wild = problem.rows.copy()
    wild[::2] = 1e300
    wild[1::4] = -7.0
    last = np.clip(wild, 0.0, problem.n_levels - 1.0)
    assert_array_equal(scored(problem.model(), wild)["log_density"], scored(problem.model(), last)["log_density"])


# same bits ------------------------------------------------------------------------------------------------------------


PROBLEMS = {family: case(family, 3_001, 3, 5) for family in FAMILIES}


def sums_of(family, blocks):
    return accumulation.accumulated(PROBLEMS[family].model().kernel_parameters, blocks)


def digest(family, rows=None):
    problem = PROBLEMS[family]
    rows = problem.rows if rows is None else rows
    results = [sums_of(family, [(rows, problem.sample_weight)]), *scored(problem.model(), rows).values()]
    return hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()


# log factorials -------------------------------------------------------------------------------------------------------


@vectorised
def log_factorial_of_eight(v, source, target):
    v.store(elementary.log_factorial(v, v.load(source)), target)


@numba.njit
def log_factorials(values, result):
    for first in range(0, values.size, WIDTH):
        log_factorial_of_eight(values[first:], result[first:])


@pytest.mark.parametrize(
    "values", [np.arange(4096.0), np.round(np.geomspace(1.0, 1e15, 1024)), np.geomspace(1e15, 1e37, 64)]
)
def test_log_factorial(values):
    found = np.empty_like(values)
    log_factorials(values, found)
    assert_allclose(found, gammaln(values + 1.0), rtol=2e-15, atol=2e-14)
