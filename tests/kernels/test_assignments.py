"""Rows given to one component, against the plain oracle and an integer version of the hash."""

import numpy as np
import pytest
import reference
from cases import SHAPES, STRUCTURES, case
from helpers import kernel_parameters, moments
from numpy.testing import assert_allclose, assert_array_equal
from test_passes import expected_moments

from fastem.kernels import accumulation, threads
from fastem.kernels.assignments import BEST, STOCHASTIC, Assignment

FEW_SHAPES = [s for s in SHAPES if s in ((1, 1, 1), (7, 2, 1), (33, 3, 5), (257, 7, 9), (129, 9, 13), (40, 2, 70))]
every_case = pytest.mark.parametrize(
    "case",
    [
        pytest.param((structure, *shape), id=f"{structure}-{'x'.join(map(str, shape))}")
        for structure in STRUCTURES
        for shape in FEW_SHAPES
    ],
    indirect=True,
)
SEED, ITERATION = 12, 3


def sums_of(case, assignment, blocks=None, parameters=None):
    blocks = [(case.rows, case.sample_weight)] if blocks is None else blocks
    return accumulation.accumulated(parameters or kernel_parameters(case), blocks, assignment=assignment)


def assert_moments(case, sums, assigned):
    found = moments(case, sums)
    assert_allclose(found[0], assigned.T @ case.sample_weight, rtol=1e-12, atol=1e-15)
    for moment, value in zip(found[1:], expected_moments_of(case, assigned), strict=True):
        assert_allclose(moment, value, rtol=1e-10, atol=1e-12 * max(1.0, np.abs(value).max()))


def expected_moments_of(case, assigned):
    """First and second moments when responsibilities are those of an assignment (n, K)."""

    class Assigned(type(case)):
        shares = assigned * case.sample_weight[:, None]

    return expected_moments(Assigned(*case))


@every_case
def test_moments_of_the_most_probable_components(case):
    best = np.eye(len(case.weights))[case.log_joint.argmax(axis=1)]
    sums = sums_of(case, BEST)
    assert_moments(case, sums, best)
    assert_allclose(sums[0] + sums[1], case.sample_weight @ case.log_joint.max(axis=1), rtol=1e-12)
    assert_allclose(sums[2], case.sample_weight.sum(), rtol=1e-14)


@every_case
def test_moments_of_components_that_are_drawn(case):
    sums = sums_of(case, Assignment.sampled(SEED, ITERATION))
    assert_moments(case, sums, reference.drawn(case.log_joint, reference.uniform(case.rows, SEED, ITERATION)))
    assert_array_equal(sums[:3], sums_of(case, Assignment(1))[:3])  # the log-likelihood is that of the posterior


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("assignment", [BEST, Assignment.sampled(SEED, ITERATION)], ids=["best", "lot"])
def test_counts_in_single_precision(structure, assignment):
    problem = case(structure, 257, 3, 4)
    parameters = accumulation.in_single_precision(kernel_parameters(problem))
    found = moments(problem, sums_of(problem, assignment, parameters=parameters))[0]
    if assignment.kind == STOCHASTIC:
        expected = reference.drawn(problem.log_joint, reference.uniform(problem.rows, SEED, ITERATION, bits=23))
    else:
        expected = np.eye(4)[problem.log_joint.argmax(axis=1)]
    assert_allclose(found, expected.T @ problem.sample_weight, rtol=1e-5)


@pytest.mark.parametrize("assignment", [BEST, Assignment.sampled(SEED, ITERATION)], ids=["best", "lot"])
@pytest.mark.parametrize("parallel", [False, True])
def test_blocks_and_threads_change_no_bit(assignment, parallel, monkeypatch):
    problem = case("diag", 1000, 3, 4)
    expected = sums_of(problem, assignment)
    monkeypatch.setattr(threads, "PARALLEL_WORK", 0 if parallel else 2**62)
    for size in (1, 100, 256, 700):
        cut = [(problem.rows[i : i + size], problem.sample_weight[i : i + size]) for i in range(0, 1000, size)]
        assert_array_equal(sums_of(problem, assignment, cut), expected)


def test_the_first_component_wins_a_tie():
    problem = case("diag", 50, 2, 1)
    twice = problem._replace(
        weights=np.full(3, 1 / 3), means=problem.means.repeat(3, axis=0), covariances=problem.covariances.repeat(3, 0)
    )
    counts = moments(twice, sums_of(twice, BEST))[0]
    assert_array_equal(counts[1:], 0.0)
    assert counts[0] > 0


def test_draws_follow_the_posterior_and_differ_between_iterations():
    """Chi-squared over many iterations; the expected counts are sums of responsibilities."""
    problem = case("diag", 400, 1, 3)._replace(sample_weight=np.ones(400))
    n_draws = 300
    counts = [moments(problem, sums_of(problem, Assignment.sampled(5, n)))[0] for n in range(n_draws)]
    shares = reference.responsibilities(problem.log_joint)
    variance = (shares * (1 - shares)).sum(axis=0)
    z = (np.mean(counts, axis=0) - shares.sum(axis=0)) / np.sqrt(variance / n_draws)
    assert (np.abs(z) < 4).all()
    assert_allclose(np.var(counts, axis=0), variance, rtol=0.4)  # rows are drawn independently


def test_parts_that_are_added_up_draw_for_themselves():
    rows = case("diag", 300, 2, 2).rows
    assignment = Assignment.sampled(SEED, ITERATION)
    assert assignment.of_part(rows[0]) == assignment.of_part(rows[0].copy())
    assert assignment.of_part(rows[0]) != assignment.of_part(rows[1])
