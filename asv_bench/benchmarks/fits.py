"""Whole fits: their time, their passes and their likelihood, and scikit-learn from the same start."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.mixture import GaussianMixture as SklearnMixture

from benchmarks.common import KINDS, ROWS_DIVISOR, SIZES, Blobs, Cloud, blobs, fitter, in_turn, load, start
from fastem import BayesianGaussianMixture, GaussianMixture, KMeans
from fastem.sources import as_source

FAITHFUL = Path(__file__).parents[2] / "examples" / "faithful.csv"


class DefaultFit(Blobs):
    params = KINDS, Blobs.sizes
    param_names = "covariance", "rows, features, components"
    rounds, repeat, warmup_time = 1, (1, 5, 10.0), 0.0
    timeout = 300

    def setup(self, kind, size):
        self.rows = load("blobs", size)
        self._fit(kind, size, max_iter=1)  # compiles

    def _fit(self, kind, size, **options):
        return GaussianMixture(size[2], covariance_type=kind, random_state=0, **options).fit(self.rows)

    def time_fit(self, kind, size):
        self._fit(kind, size)

    def track_passes(self, kind, size):
        return self._fit(kind, size).n_iter_

    track_passes.unit = "passes over all rows"


class Likelihood:
    """The basin is luck on both sides: the mean of several fits."""

    params = KINDS, [(100_000 // ROWS_DIVISOR, 2, 8), (100_000 // ROWS_DIVISOR, 8, 16)]
    param_names = "covariance", "rows, features, components"
    timeout = 600

    def track_loglik_gap(self, kind, size):
        rows = blobs(size)

        def mean_score(estimator):
            fits = [estimator(size[2], covariance_type=kind, random_state=seed).fit(rows) for seed in range(3)]
            return np.mean([fit.score(rows) for fit in fits])

        return mean_score(GaussianMixture) - mean_score(SklearnMixture)

    track_loglik_gap.unit = "nats per row above scikit-learn"


class Iterations(Cloud):
    """Same rows, same start, same number of iterations, in turn."""

    params = KINDS, SIZES[:4]
    param_names = "covariance", "rows, features, components"
    timeout = 900

    def setup(self, kind, size):
        self.rows = load("cloud", size)
        fitter(GaussianMixture, kind, size, self.rows, 1)()

    def track_seconds_vs_sklearn(self, kind, size):
        fits = [fitter(estimator, kind, size, self.rows, 2) for estimator in (GaussianMixture, SklearnMixture)]
        ours, theirs = in_turn(*fits, rounds=2)
        return theirs / ours

    track_seconds_vs_sklearn.unit = "times faster"


class Variational(Cloud):
    """The pass of `BayesianGaussianMixture` beside that of `GaussianMixture`: the same kernel with other constants."""

    params = KINDS
    param_names = ("covariance",)
    timeout = 300

    def track_passes_of_gaussian_mixture(self, kind):
        size, rows = SIZES[2], load("cloud", SIZES[2])
        gaussian = fitter(GaussianMixture, kind, size, rows, 1)()._model()
        options = {"covariance_type": kind, "init_params": "random_from_data", "random_state": 0, "max_iter": 1}
        variational = BayesianGaussianMixture(n_components=size[2], **options).fit(rows)._model()
        source = as_source(rows)
        models = [replace(model, scatter=model.e_step(source).scatter) for model in (gaussian, variational)]
        ours, theirs = in_turn(*(partial(model.e_step, source) for model in models))
        return theirs / ours

    track_passes_of_gaussian_mixture.unit = "passes"


class Lloyd(Cloud):
    """k-means, hard assignments: as above."""

    params = (32, 256)
    param_names = ("clusters",)
    timeout = 300

    def setup(self, n_clusters):
        self.rows = load("cloud", SIZES[2])
        self._fitter(KMeans, n_clusters, 1)()

    def _fitter(self, estimator, n_clusters, iterations):
        centers = start("spherical", (*SIZES[2][:2], n_clusters))["means_init"]
        k_means = estimator(n_clusters, init=centers, n_init=1, tol=0, max_iter=iterations)
        return lambda: k_means.fit(self.rows)

    def track_seconds_vs_sklearn(self, n_clusters):
        ours, theirs = in_turn(*(self._fitter(estimator, n_clusters, 3) for estimator in (KMeans, SklearnKMeans)))
        return theirs / ours

    track_seconds_vs_sklearn.unit = "times faster"


class OldFaithful:
    """272 rows: what a fit costs beside the arithmetic."""

    params = KINDS
    param_names = ("covariance",)

    def setup(self, kind):
        rows = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)
        ours, theirs = (
            estimator(2, covariance_type=kind, random_state=0) for estimator in (GaussianMixture, SklearnMixture)
        )
        self.ours, self.theirs = lambda: ours.fit(rows), lambda: theirs.fit(rows)
        self.ours()

    def time_fit(self, kind):
        self.ours()

    def track_seconds_vs_sklearn(self, kind):
        ours, theirs = in_turn(self.ours, self.theirs, rounds=50)
        return theirs / ours

    track_seconds_vs_sklearn.unit = "times faster"
