"""SQUAREM: far fewer passes, the same optimum, and a bound that never falls."""

from typing import NamedTuple

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import poisson

from fastem import GaussianMixture
from fastem.engine.acceleration import accelerator
from fastem.engine.loop import Fit, run_em
from fastem.engine.stopping import Gain
from fastem.sources import as_source

DEATHS = np.array([162, 267, 271, 185, 111, 61, 27, 8, 3, 1])  # Hasselblad (1969): days with 0, 1, ..., 9 deaths


class Sums(NamedTuple):
    lower_bound: float
    moments: np.ndarray  # of each component: share of the days, share times rate


class PoissonPair:
    """Two Poisson components, written for the engine as a user would."""

    bound_slack = 0.0
    repairs = ()

    def __init__(self, moments):
        self.moments = np.asarray(moments, dtype=float)

    @property
    def shares(self):
        return self.moments[0]

    @property
    def rates(self):
        return self.moments[1] / self.moments[0]

    def e_step(self, source):
        total, weight, moments = 0.0, 0.0, 0.0
        for rows, weights in source.blocks():
            joint = self.shares * poisson.pmf(rows, self.rates)
            density = joint.sum(axis=1)
            shares = weights[:, None] * joint / density[:, None]
            total, weight = total + weights @ np.log(density), weight + weights.sum()
            moments = moments + np.array([shares.sum(axis=0), (shares * rows).sum(axis=0)])
        return Sums(total / weight, moments / weight)

    def m_step(self, statistics):
        return PoissonPair(statistics.moments)

    def flatten(self, reference):
        return self.moments / np.sqrt(reference.moments)

    def unflatten(self, coordinates):
        moments = coordinates * np.sqrt(self.moments)
        return PoissonPair(moments / moments[0].sum()) if (moments > 0).all() else None


def hasselblad(acceleration):
    source = as_source(np.arange(10.0)[:, None], DEATHS.astype(float))
    start = PoissonPair([[0.3, 0.7], [0.3 * 1.0, 0.7 * 2.5]])
    return run_em(Fit(start, Gain(1e-13), accelerator(acceleration)), source, max_iter=10_000)


def test_hasselblads_mixture_needs_a_third_of_the_passes():
    plain, squarem = hasselblad(None), hasselblad("squarem")
    assert plain.converged
    assert squarem.converged
    assert squarem.n_iter * 3 <= plain.n_iter
    assert squarem.lower_bounds[-1] >= plain.lower_bounds[-1] - 1e-12
    assert_allclose(squarem.model.shares, [0.3599, 0.6401], atol=2e-3)  # published: Titterington et al. (1985), p. 90
    assert_allclose(squarem.model.rates, [1.256, 2.663], atol=5e-3)


def overlapping_rows():
    rng = np.random.default_rng(3)
    return np.vstack([rng.normal(size=(1500, 2)), rng.normal([1.6, 0.4], [1.3, 0.7], size=(1500, 2))])


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_an_overlapping_mixture_needs_a_third_of_the_passes(structure):
    rows = overlapping_rows()
    options = {
        "covariance_type": structure,
        "reg_covar": 0.0,
        "means_init": [[-0.5, 0.0], [2.0, 0.5]],
        "weights_init": [0.5, 0.5],
        "random_state": 0,
        "tol": 1e-10,
        "max_iter": 5000,
    }
    plain = GaussianMixture(2, acceleration=None, **options).fit(rows)
    squarem = GaussianMixture(2, acceleration="squarem", **options).fit(rows)
    assert squarem.n_iter_ * 3 <= plain.n_iter_
    assert squarem.log_likelihood_ >= plain.log_likelihood_ - 1e-8
    assert (np.diff(squarem.lower_bounds_) >= -1e-12).all()


def test_an_explicit_start_is_never_accelerated_by_itself():
    rows, start = overlapping_rows(), {"means_init": [[-0.5, 0.0], [2.0, 0.5]], "random_state": 0, "tol": 1e-6}
    automatic = GaussianMixture(2, **start).fit(rows)
    plain = GaussianMixture(2, acceleration=None, **start).fit(rows)
    assert automatic.n_iter_ == plain.n_iter_
    assert_allclose(automatic.means_, plain.means_, rtol=0, atol=0)


@pytest.mark.parametrize("structure", ["full", "tied", "diag", "spherical"])
def test_coordinates_round_trip(structure):
    rows = overlapping_rows()
    a, b = (
        GaussianMixture(3, covariance_type=structure, random_state=0, max_iter=n, tol=0.0, subsampling=False)
        for n in (3, 4)
    )
    with pytest.warns(match="did not converge"):
        reference, model = a.fit(rows)._model(), b.fit(rows)._model()
    back = reference.unflatten(model.flatten(reference))
    assert_allclose(back.weights, model.weights, rtol=1e-12)
    assert_allclose(back.means, model.means, rtol=1e-10)
    assert_allclose(back.covariances, model.covariances, rtol=1e-9, atol=1e-12)


def test_a_proposal_below_the_last_bound_is_refused():
    class Overshooting(PoissonPair):
        """Every proposal is a bad one."""

        def m_step(self, statistics):
            return Overshooting(statistics.moments)

        def unflatten(self, coordinates):
            return Overshooting([[0.5, 0.5], [0.5, 4.0]])

    source = as_source(np.arange(10.0)[:, None], DEATHS.astype(float))
    start = Overshooting([[0.3, 0.7], [0.3 * 1.0, 0.7 * 2.5]])
    fit = run_em(Fit(start, Gain(1e-6), accelerator("squarem")), source, max_iter=300)
    assert fit.n_iter > len(fit.lower_bounds)
    assert (np.diff(fit.lower_bounds) >= 0).all()
