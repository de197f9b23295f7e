"""The loop, with toy models in place of mixtures."""

import warnings
from typing import NamedTuple

import pytest

from fastem.engine.loop import Fit, LowerBoundWarning, run_em
from fastem.engine.stopping import Gain


class Bound(NamedTuple):
    lower_bound: float


class Scripted(NamedTuple):
    """A model whose bounds are written down in advance."""

    bounds: tuple
    step: int = 0
    bound_slack: float = 0.0
    repairs: tuple = ()

    def e_step(self, source):
        assert list(source.blocks()) == ["rows"]
        return Bound(self.bounds[self.step])

    def m_step(self, statistics):
        return self._replace(step=self.step + 1)


class Rows:
    n_rows, n_features = 1, 1

    def blocks(self):
        return iter(["rows"])


def run(*bounds, tol=0.1, max_iter=None, slack=0.0, previous=float("-inf"), **options):
    fit = Fit(Scripted(bounds, bound_slack=slack), Gain(tol), previous=previous)
    return run_em(fit, Rows(), max_iter=len(bounds) if max_iter is None else max_iter, **options)


def test_it_stops_at_the_first_gain_below_tol():
    fit = run(1.0, 2.0, 2.5, 2.59, 2.6)
    assert fit.converged
    assert fit.lower_bounds == [1.0, 2.0, 2.5, 2.59]
    assert fit.model.step == fit.n_iter == 4


def test_a_gain_of_exactly_tol_goes_on():
    assert run(0.0, 0.5, 1.0, tol=0.5).converged is False


def test_without_tolerance_it_runs_to_the_end():
    fit = run(1.0, 1.0, 1.0, tol=0.0)
    assert not fit.converged
    assert fit.n_iter == 3


@pytest.mark.parametrize("max_iter", [0, 1, 2])
def test_max_iter_bounds_the_passes(max_iter):
    fit = run(1.0, 2.0, 3.0, max_iter=max_iter)
    assert not fit.converged
    assert len(fit.lower_bounds) == fit.model.step == fit.n_iter == max_iter


def test_a_run_may_continue_an_earlier_one():
    assert run(5.0, previous=4.95).n_iter == 1
    assert run(5.0, previous=4.95).converged
    assert not run(5.0, previous=4.0).converged


def test_every_iteration_is_reported_with_the_new_model_and_the_gain():
    seen = []

    def watch(fit, change):
        seen.append((fit.n_iter, fit.model.step, fit.previous, change))

    run(1.0, 2.0, 2.5, tol=0.0, after_iteration=watch)
    assert seen[1:] == [(2, 2, 2.0, 1.0), (3, 3, 2.5, 0.5)]


def test_a_falling_bound_is_reported_with_its_iteration():
    with pytest.warns(LowerBoundWarning, match=r"changed by -0\.25 at iteration 3"):
        run(1.0, 2.0, 1.75, 3.0)


def test_a_bound_that_is_no_number_is_reported():
    with pytest.warns(LowerBoundWarning, match="nan at iteration 2"):
        run(1.0, float("nan"))


SILENT = {
    "a first bound below everything": ((-1e300, -1e299), 0.0),
    "rounding": ((1.0, 2.0, 2.0 - 1e-11), 0.0),
    "rounding of a large number": ((1e6, 2e6, 2e6 - 1e-5), 0.0),
    "a fall that regularisation explains": ((1.0, 2.0, 1.9), 0.1),
}


@pytest.mark.parametrize(("bounds", "slack"), SILENT.values(), ids=SILENT)
def test_what_is_no_defect_is_not_reported(bounds, slack):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(*bounds, tol=0.0, slack=slack)


def test_a_fall_beyond_what_regularisation_explains_is_reported():
    with pytest.warns(LowerBoundWarning):
        run(1.0, 2.0, 1.8, slack=0.1)
