"""Ctrl-C is heard wherever it comes: nothing is reached yet, or what has been reached is kept with a warning."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from fastem import Chunks, GaussianMixture, KMeans, PoissonMixture, StudentTMixture
from fastem.engine import loop

ROWS = np.random.default_rng(0).normal(size=(600, 2)) + 4.0 * (np.arange(600)[:, None] % 4)
FITS = {
    "a default fit": (lambda: GaussianMixture(4, random_state=0), ROWS),
    "several starts": (lambda: GaussianMixture(3, n_init=3, random_state=0, max_iter=5), ROWS),
    "Student's t": (lambda: StudentTMixture(2, random_state=0, max_iter=5), ROWS),
    "counts": (lambda: PoissonMixture(3, random_state=0), np.floor(np.abs(ROWS))),
    "k-means": (lambda: KMeans(6, init="random", n_init=3, random_state=0, tol=0.0), ROWS),
}
every_fit = pytest.mark.parametrize("name", FITS)


@pytest.fixture(autouse=True)
def in_passes(monkeypatch):
    monkeypatch.setattr("fastem.search.seeding.SMALL_WORK", 0)


def fitted(estimator, rows):
    """The estimator and what it was warned of; None if Ctrl-C ended it with nothing."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            estimator.fit(rows)
        except KeyboardInterrupt:
            assert not hasattr(estimator, "n_iter_")
            return None, ""
    return estimator, " ".join(str(warning.message) for warning in caught)


def iterations_interrupted(monkeypatch, number):
    """Ctrl-C in the iteration with a number, in the search for a start or after it; how many there were."""
    plain, calls = loop._advance, []

    def iterate(*args):
        calls.append(1)
        if len(calls) == number:
            raise KeyboardInterrupt
        return plain(*args)

    monkeypatch.setattr(loop, "_advance", iterate)
    return calls


def passes_interrupted(rows, number):
    """Data whose pass with a number is interrupted, and a count of all passes."""
    passes = []

    def chunks():
        passes.append(1)
        yield rows[:300]
        if len(passes) == number:
            raise KeyboardInterrupt
        yield rows[300:]

    return Chunks(chunks, n_features=rows.shape[1]), passes


@every_fit
def test_in_any_iteration(name, monkeypatch):
    make, rows = FITS[name]
    with monkeypatch.context() as patch:
        calls = iterations_interrupted(patch, 0)
        assert "interrupted" not in fitted(make(), rows)[1]
    for number in sorted({1, -(-len(calls) // 3), -(-len(calls) // 2), len(calls)}):
        with monkeypatch.context() as patch:
            count = iterations_interrupted(patch, number)
            estimator, messages = fitted(make(), rows)
        assert len(count) == number, "it went on"
        assert estimator is None or "interrupted after iteration" in messages


@every_fit
def test_in_any_pass(name):
    make, rows = FITS[name]
    data, passes = passes_interrupted(rows, 0)
    expected, messages = fitted(make(), data)
    assert "interrupted" not in messages
    reached = []
    for number in range(1, len(passes) + 1):
        data, _ = passes_interrupted(rows, number)
        estimator, messages = fitted(make(), data)
        assert estimator is None or "interrupted after iteration" in messages
        reached.append(estimator is not None)
        if estimator is not None:
            assert vars(estimator).keys() == vars(expected).keys()
            assert np.isfinite(estimator.score(rows))
    assert reached[-1]
    assert not reached[0]
    assert reached == sorted(reached)  # what has been reached is never lost


def test_a_later_start_leaves_the_best_so_far(monkeypatch):
    options = {"random_state": 0, "subsampling": False, "init_params": "random", "max_iter": 30, "tol": 0.0}
    first = GaussianMixture(3, **options)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        first.fit(ROWS)
    iterations_interrupted(monkeypatch, 31)  # the first of the second start
    with pytest.warns(ConvergenceWarning, match="interrupted after iteration 30: the parameters are the best so far"):
        mixture = GaussianMixture(3, n_init=5, **options).fit(ROWS)
    assert_array_equal(mixture.means_, first.means_)
    assert mixture.lower_bounds_ == first.lower_bounds_
