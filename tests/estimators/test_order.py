"""Where the start is left to fastem, components come by falling weight, whatever the seed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fastem import BayesianGaussianMixture, GaussianMixture, KMeans, PoissonMixture, StudentTMixture

CENTRES = np.array([[80.0, 0.0], [0.0, 80.0], [40.0, 40.0]])
SIZES = 100, 500, 300


def rows():
    rng = np.random.default_rng(0)
    groups = [rng.poisson(centre + 3, size=(n, 2)) for centre, n in zip(CENTRES, SIZES, strict=True)]
    return np.concatenate(groups).astype(float)


MIXTURES = {
    "gaussian": GaussianMixture,
    "tied": lambda *k, **options: GaussianMixture(*k, covariance_type="tied", **options),
    "stochastic": lambda *k, **options: GaussianMixture(*k, e_step="stochastic", **options),
    "student": StudentTMixture,
    "poisson": PoissonMixture,
    "bayesian": lambda k, **options: BayesianGaussianMixture(
        n_components=k, weight_concentration_prior_type="dirichlet_distribution", **options
    ),
}


@pytest.mark.parametrize("make", MIXTURES.values(), ids=MIXTURES)
def test_mixtures_come_by_falling_weight(make):
    X = rows()
    fits = [make(3, random_state=seed).fit(X) for seed in range(2)]
    for fit in fits:
        assert (np.diff(fit.weights_) < 0).all()
        assert_allclose(fit.score(X), fit.log_likelihood_, rtol=1e-12)
        assert_array_equal(np.unique(fit.predict(X[:100])), [2])
        assert_allclose(fit.weights_, np.array([500, 300, 100]) / 900, atol=0.01)


def test_clusters_come_by_falling_weight():
    X = rows()
    for seed in range(4):
        fit = KMeans(3, random_state=seed).fit(X)
        assert_array_equal(fit.counts_, [500, 300, 100])
        assert_array_equal(np.unique(fit.labels_[:100]), [2])
        assert_array_equal(fit.labels_, fit.predict(X))


def test_equal_weights_come_by_their_means():
    X = np.repeat(CENTRES, 50, axis=0) + np.tile(np.random.default_rng(0).normal(size=(50, 2)), (3, 1))
    for seed in range(3):
        assert_array_equal(KMeans(3, random_state=seed).fit(X).cluster_centers_.round(-1)[:, 0], [0, 40, 80])


def test_the_order_of_a_given_start_stays():
    X = rows()
    mixture = GaussianMixture(3, means_init=CENTRES, warm_start=True).fit(X)
    assert_array_equal(mixture.weights_.argsort(), [0, 2, 1])
    assert_array_equal(mixture.fit(X).weights_.argsort(), [0, 2, 1])
    labels = np.repeat([0, 1, 2], SIZES)
    assert_array_equal(GaussianMixture(3, init_params=labels).fit(X).weights_.argsort(), [0, 2, 1])
    assert_array_equal(KMeans(3, init=CENTRES).fit(X).counts_, SIZES)


def test_partial_fit_keeps_the_order_of_the_fit():
    X = rows()
    mixture = GaussianMixture(3, random_state=0).fit(X)
    before = mixture.means_.round()
    small = X[:100].repeat(30, axis=0)  # the smallest component becomes the greatest
    mixture.partial_fit(small)
    assert mixture.weights_.argmax() == 2
    assert_allclose(mixture.means_, before, atol=3)
