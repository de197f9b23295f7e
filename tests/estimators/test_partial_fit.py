"""Streams: `partial_fit` and online fits."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.exceptions import NotFittedError

from fastem import GaussianMixture, KMeans

STRUCTURES = ("full", "tied", "diag", "spherical")


def three_clusters(n, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    centres, deviations = np.array([[0.0, 0.0], [5.0, 1.0], [-1.0, 6.0]]), np.array([1.0, 1.5, 0.5])
    return centres[labels] + deviations[labels, None] * rng.normal(size=(n, 2))


def explicit_start(structure):
    identity = {
        "full": np.tile(np.eye(2), (3, 1, 1)),
        "tied": np.eye(2),
        "diag": np.ones((3, 2)),
        "spherical": np.ones(3),
    }
    means = [[0.5, -0.5], [4.0, 2.0], [-2.0, 5.0]]
    return {"weights_init": [0.4, 0.3, 0.3], "means_init": means, "precisions_init": identity[structure]}


class StepwiseReference:
    """Stepwise EM in moments about the origin, with densities from SciPy."""

    def __init__(self, structure, reg_covar):
        self.structure, self.reg_covar, self.seen = structure, reg_covar, 0.0
        start = explicit_start(structure)
        self.weights, self.means = np.array(start["weights_init"]), np.array(start["means_init"])
        self.covariances = np.tile(np.eye(2), (3, 1, 1))
        spread = self.covariances - reg_covar * np.eye(2) + np.einsum("ki,kj->kij", self.means, self.means)
        self.s = self.weights, self.weights[:, None] * self.means, self.weights[:, None, None] * spread

    def step(self, rows, weights, rate):
        joint = np.column_stack(
            [
                np.log(w) + multivariate_normal.logpdf(rows, m, c).reshape(len(rows))
                for w, m, c in zip(self.weights, self.means, self.covariances, strict=True)
            ]
        )
        r = weights[:, None] * np.exp(joint - logsumexp(joint, axis=1, keepdims=True)) / weights.sum()
        batch = r.sum(axis=0), r.T @ rows, np.einsum("nk,ni,nj->kij", r, rows, rows)
        self.s = tuple((1 - rate) * old + rate * new for old, new in zip(self.s, batch, strict=True))
        counts, first, second = self.s
        self.weights, self.means = counts, first / counts[:, None]
        scatter = second - counts[:, None, None] * np.einsum("ki,kj->kij", self.means, self.means)
        covariances = scatter / counts[:, None, None]
        if self.structure == "tied":
            covariances = np.tile(scatter.sum(axis=0), (3, 1, 1))
        if self.structure in ("diag", "spherical"):
            covariances = covariances * np.eye(2)
        if self.structure == "spherical":
            covariances = np.trace(covariances, axis1=1, axis2=2)[:, None, None] / 2 * np.eye(2)
        self.covariances = covariances + self.reg_covar * np.eye(2)


def matrices(mixture):
    covariances = mixture.covariances_
    if mixture.covariance_type == "tied":
        return np.tile(covariances, (3, 1, 1))
    if mixture.covariance_type == "full":
        return covariances
    return covariances.reshape(3, -1, 1) * np.eye(2)


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("sizes", [(100, 100, 100), (1, 7, 40, 1, 100)])
def test_steps_are_those_of_stepwise_em(structure, sizes):
    rows = three_clusters(sum(sizes)) + 100.0
    weights = np.random.default_rng(1).integers(0, 4, len(rows)).astype(float)
    weights[0] = 1.0
    start = explicit_start(structure)
    start["means_init"] = np.add(start["means_init"], 100.0)
    options = {"batch_size": 100, "learning_decay": 0.8, "learning_offset": 2.0, "reg_covar": 1e-3}
    mixture = GaussianMixture(3, covariance_type=structure, **start, **options)
    reference = StepwiseReference(structure, 1e-3)
    first, seen, prior = 0, 0.0, 2 * 3 * 3
    for size in sizes:
        part = slice(first, first + size)
        mixture.partial_fit(rows[part], sample_weight=weights[part])
        weight = weights[part].sum()
        if weight:
            whole = (2.0 + 1 + seen / 100) ** -0.8
            rate = max(1 - (1 - whole) ** min(1, weight / 100), weight / (prior + seen + weight))
            reference.step(rows[part] - 100.0, weights[part], rate)
        first, seen = part.stop, seen + weight
        assert_allclose(mixture.weights_, reference.weights, rtol=1e-9)
        assert_allclose(mixture.means_ - 100.0, reference.means, rtol=1e-8, atol=1e-9)
        assert_allclose(matrices(mixture), reference.covariances, rtol=1e-8, atol=1e-9)
    assert_allclose(mixture.n_samples_seen_, weights.sum(), rtol=1e-14)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_stationary_stream_converges_to_the_optimum(structure):
    rows = three_clusters(20_000)
    best = GaussianMixture(3, covariance_type=structure, random_state=0, tol=1e-9, max_iter=1000).fit(rows)
    mixture = GaussianMixture(3, covariance_type=structure, random_state=0)
    for _ in range(3):
        for first in range(0, len(rows), 500):
            mixture.partial_fit(rows[first : first + 500])
    assert best.score(rows) - mixture.score(rows) < 1e-3
    order = np.argsort(mixture.weights_)
    assert_allclose(mixture.means_[order], best.means_[np.argsort(best.weights_)], atol=0.06)


def test_the_cut_of_a_stream_hardly_matters():
    rows = three_clusters(3_000)
    scores = []
    for size in (1, 30, 3_000):
        mixture = GaussianMixture(3, random_state=0, batch_size=500)
        for first in range(0, len(rows), size):
            mixture.partial_fit(rows[first : first + size])
        scores.append(mixture.score(rows))
    assert np.ptp(scores) < 0.01


def test_a_drifting_stream_is_followed():
    rng = np.random.default_rng(0)
    mixture = GaussianMixture(2, random_state=0, batch_size=200, learning_decay=0.6)
    for t in range(300):
        centres = np.array([[0.0, 0.05 * t], [10.0, 0.05 * t]])
        mixture.partial_fit(centres[rng.integers(0, 2, 200)] + rng.normal(size=(200, 2)))
    means = mixture.means_[np.argsort(mixture.means_[:, 0])]
    assert_allclose(means[:, 0], [0.0, 10.0], atol=0.3)
    assert (np.abs(means[:, 1] - centres[:, 1]) < 2.0).all()  # of the 15 that the centres have moved


def test_online_fits_are_epochs_of_steps():
    rows = three_clusters(1_000)
    options = {**explicit_start("full"), "batch_size": 300}
    with pytest.warns(Warning, match="did not converge"):
        fitted = GaussianMixture(3, learning_method="online", max_iter=2, tol=0.0, **options).fit(rows)
    streamed = GaussianMixture(3, **options)
    for _ in range(2):
        streamed.partial_fit(rows)
    assert_array_equal(fitted.means_, streamed.means_)
    assert_array_equal(fitted.covariances_, streamed.covariances_)
    assert fitted.n_samples_seen_ == streamed.n_samples_seen_ == 2_000


def test_online_fits_converge():
    rows = three_clusters(20_000)
    best = GaussianMixture(3, random_state=0, tol=1e-9, max_iter=1000).fit(rows)
    fit = GaussianMixture(3, random_state=0, learning_method="online").fit(rows)
    assert fit.converged_
    assert fit.n_iter_ == len(fit.lower_bounds_) < 20
    assert best.score(rows) - fit.score(rows) < 1e-3


def test_a_stream_goes_on_from_a_fit():
    rows = three_clusters(4_000)
    mixture = GaussianMixture(3, random_state=0).fit(rows[:3_000])
    means = mixture.means_.copy()
    mixture.partial_fit(rows[3_000:])
    assert mixture.n_samples_seen_ == 4_000
    assert not hasattr(mixture, "lower_bounds_")
    assert_allclose(mixture.means_, means, atol=0.2)
    assert (mixture.means_ != means).all()


def test_the_first_rows_wait_for_a_model():
    rows = three_clusters(100)
    mixture = GaussianMixture(3, random_state=0)
    for n in range(17):
        mixture.partial_fit(rows[n : n + 1])
        with pytest.raises(NotFittedError):
            mixture.predict(rows)
    mixture.partial_fit(rows[17:18])
    assert mixture.n_samples_seen_ == 18
    assert mixture.predict(rows).shape == (100,)


@pytest.mark.parametrize("estimator", [GaussianMixture(2, random_state=0), KMeans(2, random_state=0)])
def test_rows_without_weight_teach_nothing(estimator):
    rows = three_clusters(200)
    estimator.partial_fit(rows)
    before = estimator.predict(rows).copy(), estimator.n_samples_seen_
    weights = np.zeros(50)
    weights[0] = 1e-300
    estimator.partial_fit(1e3 * rows[:50], sample_weight=weights)
    assert_array_equal(estimator.predict(rows), before[0])
    with pytest.raises(ValueError, match="features"):
        estimator.partial_fit(rows[:, :1])


def test_acceleration_is_for_em():
    with pytest.raises(ValueError, match="squarem"):
        GaussianMixture(2, learning_method="online", acceleration="squarem").fit(three_clusters(100))


def test_kmeans_streams():
    rows = three_clusters(20_000)
    best = KMeans(3, random_state=0).fit(rows)
    stream, online = KMeans(3, random_state=0), KMeans(3, random_state=0, learning_method="online").fit(rows)
    for first in range(0, len(rows), 100):
        stream.partial_fit(rows[first : first + 100])
    assert -stream.score(rows) < 1.005 * best.inertia_
    assert online.inertia_ < 1.005 * best.inertia_
    assert_array_equal(online.labels_, online.predict(rows))
    assert stream.counts_.sum() == pytest.approx(1.0)
    assert online.counts_.sum() == 20_000


def test_kmeans_steps_are_weighted_means():
    rows = np.array([[0.0], [1.0], [10.0], [12.0]])
    stream = KMeans(2, init=[[0.0], [10.0]], batch_size=4, learning_decay=1.0, learning_offset=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        stream.partial_fit(rows)
    # The start has no rows: the first step takes the means.
    assert_allclose(stream.cluster_centers_, [[0.5], [11.0]])
    stream.partial_fit(rows[:1])
    rate = max(1 - (1 - 1 / 3) ** 0.25, 1 / 7)
    shares = (1 - rate) * np.array([0.5, 0.5]) + rate * np.array([1.0, 0.0])
    assert_allclose(stream.counts_, shares)
    assert_allclose(stream.cluster_centers_, [[(1 - rate) * 0.25 / shares[0]], [11.0]])
