"""The kernels of discrete families against SciPy, and the same bits however rows arrive."""

import hashlib
import os
import platform
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import discrete_reference as reference
import numba
import numpy as np
import pytest
from discrete_reference import FAMILIES, SHAPES, case
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import gammaln
from test_same_bits import WITHOUT_AVX512

from fastem.families.bernoulli import BernoulliMixtureModel
from fastem.families.categorical import CategoricalMixtureModel
from fastem.families.multinomial import MultinomialMixtureModel
from fastem.families.poisson import PoissonMixtureModel
from fastem.kernels import accumulation, passes, threads
from fastem.kernels.vectors import elementary
from fastem.kernels.vectors.simd import WIDTH, vectorised
from fastem.sources import as_source

MODELS = {
    "bernoulli": BernoulliMixtureModel,
    "categorical": CategoricalMixtureModel,
    "multinomial": MultinomialMixtureModel,
    "poisson": PoissonMixtureModel,
}
every_family = pytest.mark.parametrize("family", FAMILIES)
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def model_of(problem, **options):
    levels = {} if problem.n_levels is None else {"n_levels": problem.n_levels}
    return MODELS[problem.family](problem.weights, problem.table, **levels, **options)


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
    statistics = model_of(problem).e_step(as_source(problem.rows, problem.sample_weight))
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


@every_family
@every_shape
def test_scores(family, shape):
    problem = case(family, *shape)
    found = scored(model_of(problem), problem.rows)
    assert_allclose(found["log_density"], problem.log_density, rtol=1e-12, atol=1e-12)
    expected = np.exp(problem.log_joint - problem.log_density[:, None])
    assert_allclose(found["responsibilities"], expected, rtol=1e-10, atol=1e-14)
    greatest = problem.log_joint.max(axis=1)
    chosen = np.take_along_axis(problem.log_joint, found["labels"][:, None], axis=1)[:, 0]
    assert_allclose(chosen, greatest, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("family", ["multinomial", "poisson"])
def test_the_part_without_parameters_is_found_in_the_first_pass_and_kept(family):
    problem = case(family, 300, 4, 3)
    source, model = as_source(problem.rows, problem.sample_weight), model_of(problem)
    first = model.e_step(source)
    terms = -gammaln(problem.rows + 1).sum(axis=1)
    if family == "multinomial":
        terms += gammaln(problem.rows.sum(axis=1) + 1)
    assert_allclose(first.row_terms, problem.sample_weight @ terms, rtol=1e-13)
    second = model.m_step(first)
    expected = reference.em_step(*problem)
    density = case(family, 300, 4, 3)._replace(weights=expected[0], table=expected[1]).log_density
    assert_allclose(second.e_step(source).log_likelihood, problem.sample_weight @ density, rtol=1e-12)
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
    found = scored(model_of(problem), problem.rows)
    expected = np.logaddexp.reduce(joint, axis=1)
    assert np.isneginf(expected).any()
    assert_allclose(found["log_density"], expected, rtol=1e-13, atol=1e-14)
    possible = np.isfinite(expected)
    responsibilities = np.exp(joint[possible] - expected[possible, None])
    assert_allclose(found["responsibilities"][possible], responsibilities, atol=1e-14)
    assert_array_equal(found["responsibilities"][~possible], 0.5)
    model = model_of(problem)
    assert model.log_likelihood(as_source(problem.rows)) == (-np.inf, 5.0)
    with pytest.raises(ValueError, match="impossible under every component"):
        model.e_step(as_source(problem.rows))
    statistics = model.e_step(as_source(problem.rows, possible.astype(float)))
    assert_allclose(statistics.counts, responsibilities.sum(axis=0), atol=1e-14)
    assert_allclose(statistics.log_likelihood, expected[possible].sum(), rtol=1e-13)


@every_family
def test_a_component_of_weight_zero(family):
    problem = case(family, 60, 3, 4)
    problem = problem._replace(weights=np.array([0.5, 0.0, 0.3, 0.2]))
    statistics = model_of(problem).e_step(as_source(problem.rows))
    assert statistics.counts[1] == 0.0
    assert_allclose(statistics.log_likelihood, problem.log_density.sum(), rtol=1e-12)


def test_levels_beyond_the_table_read_no_foreign_memory():
    problem = case("categorical", 50, 3, 2)
    wild = problem.rows.copy()
    wild[::2] = 1e300
    wild[1::4] = -7.0
    last = np.clip(wild, 0.0, problem.n_levels - 1.0)
    assert_array_equal(scored(model_of(problem), wild)["log_density"], scored(model_of(problem), last)["log_density"])


# same bits ------------------------------------------------------------------------------------------------------------


PROBLEMS = {family: case(family, 3_001, 3, 5) for family in FAMILIES}


def sums_of(family, blocks):
    return accumulation.accumulated(model_of(PROBLEMS[family]).kernel_parameters, blocks)


def digest(family, rows=None):
    problem = PROBLEMS[family]
    rows = problem.rows if rows is None else rows
    results = [sums_of(family, [(rows, problem.sample_weight)]), *scored(model_of(problem), rows).values()]
    return hashlib.sha256(b"".join(result.tobytes() for result in results)).hexdigest()


@given(st.data())
def test_any_chunks(data):
    family = data.draw(st.sampled_from(FAMILIES))
    problem = PROBLEMS[family]
    n_rows = data.draw(st.integers(1, 3_001))
    edges = [0, *sorted(data.draw(st.lists(st.integers(0, n_rows), max_size=9))), n_rows]
    rows, weights = problem.rows[:n_rows], problem.sample_weight[:n_rows]
    blocks = [(rows[a:b], weights[a:b]) for a, b in pairwise(edges)]
    assert_array_equal(sums_of(family, blocks), sums_of(family, [(rows, weights)]))


@every_family
@pytest.mark.parametrize("layout", [np.asfortranarray, np.float32, lambda rows: np.repeat(rows, 2, axis=0)[::2]])
def test_any_layout(family, layout):
    assert digest(family, layout(PROBLEMS[family].rows)) == digest(family)


@every_family
def test_any_number_of_threads(family, monkeypatch):
    if numba.config.NUMBA_NUM_THREADS == 1:
        pytest.skip("one processor")
    expected, entered, run_parallel = digest(family), [], threads.run_parallel
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0)
    monkeypatch.setattr(threads, "run_parallel", lambda kernel, *a: (entered.append(kernel), run_parallel(kernel, *a)))
    assert digest(family) == expected
    assert set(entered) == {passes.fused_lanes, passes.score_lanes}


@pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="not x86-64")
def test_a_processor_without_avx512():
    code = "from test_discrete_kernels import *; print(*[digest(family) for family in FAMILIES])"
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent), *sys.path])
    environment = os.environ | WITHOUT_AVX512 | {"PYTHONPATH": path}
    answer = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == [digest(family) for family in FAMILIES]


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
