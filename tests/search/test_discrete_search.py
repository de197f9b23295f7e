"""The search for a start of discrete mixtures: moves find the components that a start has missed."""

from dataclasses import replace

import numpy as np
import pytest
from discrete_reference import FAMILIES, Case, case

from fastem.search.discrete_moves import _pairs, _split

every_family = pytest.mark.parametrize("family", FAMILIES)


def rows_of(problem, n_rows, seed=0):
    """Rows of the mixture and their components."""
    model = problem.model()
    if problem.family == "multinomial":
        model = replace(model, n_trials=20.0)
    rows, labels = model.sample(n_rows, np.random.RandomState(seed))
    order = np.random.RandomState(seed).permutation(n_rows)
    return rows[order].astype(float), labels[order]


def one_component(problem, rows):
    """The model that has all rows in one component."""
    blank = problem._replace(weights=np.ones(1), table=problem.table[:1]).model()
    means = blank.sufficient_statistics(rows).sum(axis=0, keepdims=True)
    return replace(blank, means=means / (rows.sum() if problem.family == "multinomial" else len(rows)))


@every_family
def test_a_component_that_is_two_is_split_between_them(family):
    problem = case(family, 10, 12, 2, seed=3)
    rows, labels = rows_of(problem, 2_000)
    model = one_component(problem, rows)
    split = _split(model, rows, np.ones(len(rows)), 0)
    assert split.promise > 0
    above = model.residuals(rows, 0) @ split.direction > 0
    agreement = (above == labels).mean()
    assert max(agreement, 1 - agreement) > 0.85


@every_family
def test_a_component_that_is_one_promises_little(family):
    problem = case(family, 10, 12, 1, seed=3)
    rows, _ = rows_of(problem, 2_000)
    split = _split(one_component(problem, rows), rows, np.ones(len(rows)), 0)
    assert split.promise < 0.1 * len(rows)


def test_pairs_with_common_rows_come_first():
    shares = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    assert _pairs(np.ones(4), shares)[0] == (0, 1)


@every_family
@pytest.mark.parametrize("seed", range(4))
def test_the_optimum_near_the_truth_is_found(family, seed):
    problem = case(family, 10, 15, 8, seed=11)
    problem = Case(family, None, None, np.full(8, 1 / 8), problem.table, problem.n_levels)
    rows, _ = rows_of(problem, 4_000)
    near = problem.mixture(tol=1e-7, max_iter=1_000).fit(rows).log_likelihood_
    options = {**dict.fromkeys(problem.start), "random_state": seed, "tol": 1e-7, "max_iter": 1_000}
    assert problem.mixture(**options).fit(rows).log_likelihood_ > near - 1e-3
