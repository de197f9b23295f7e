"""Whole fits: their seconds, their starts, their likelihood, and scikit-learn's seconds for the same."""

from pathlib import Path

import numpy as np
from sklearn.cluster import KMeans as SklearnKMeans
from sklearn.mixture import GaussianMixture as SklearnMixture

from benchmarks.data import FEW_ROWS, KINDS, SIZES, blobs, fitter, read, start, write
from benchmarks.insides import public
from benchmarks.timing import in_matrix_products, share

FAITHFUL = Path(__file__).parents[2] / "examples" / "faithful.csv"
ESTIMATORS = (
    "GaussianMixture",
    "BayesianGaussianMixture",
    "StudentTMixture",
    "KMeans",
    "BernoulliMixture",
    "CategoricalMixture",
    "MultinomialMixture",
    "PoissonMixture",
)

STARTS = {  # estimator, options
    "search": ("GaussianMixture", {}),
    "k-means": ("GaussianMixture", {"init_params": "kmeans", "subsampling": False}),
    "k-means++": ("GaussianMixture", {"init_params": "k-means++", "subsampling": False}),
    "search, Student's t": ("StudentTMixture", {}),
    "search, discrete": ("BernoulliMixture", {}),
    "Lloyd": ("KMeans", {"n_init": 1, "max_iter": 10}),
}


class DefaultFit:
    params = KINDS, (FEW_ROWS,)
    param_names = "covariance", "size"
    repeat, warmup_time = (1, 5, 10.0), 0.0
    timeout = 300

    def setup_cache(self):
        write("blobs", *self.params[1])

    def setup(self, kind, size):
        options = {"covariance_type": kind, "random_state": 0}
        self.rows = read("blobs", size)
        self.mixture = public("GaussianMixture")(SIZES[size][2], **options)
        public("GaussianMixture")(SIZES[size][2], max_iter=1, **options).fit(self.rows)  # compiles

    def time_fit(self, kind, size):
        self.mixture.fit(self.rows)

    def track_matrix_products(self, kind, size):
        return in_matrix_products(lambda: self.mixture.fit(self.rows), rounds=5)

    track_matrix_products.unit = in_matrix_products.unit

    def track_passes(self, kind, size):
        return self.mixture.fit(self.rows).n_iter_

    track_passes.unit = "passes over all rows"


class LargeDefaultFit(DefaultFit):
    params = ("full",), ("1e6 x 8, K=16",)

    def setup_cache(self):  # asv tells caches apart by where they are written
        write("blobs", *self.params[1])


class Start:
    """Fits that end where EM would begin."""

    params = (tuple(STARTS),)
    param_names = ("start",)
    timeout = 300

    def setup_cache(self):
        write("blobs", FEW_ROWS)
        write("bits", FEW_ROWS)

    def setup(self, name):
        estimator, options = STARTS[name]
        rows = read("bits" if estimator == "BernoulliMixture" else "blobs", FEW_ROWS)
        if estimator != "KMeans":
            options = {"max_iter": 0, **options}
        mixture = public(estimator)(SIZES[FEW_ROWS][2], random_state=0, **options)
        self.run = lambda: mixture.fit(rows)

    def track_matrix_products(self, name):
        return in_matrix_products(self.run, rounds=5)

    track_matrix_products.unit = in_matrix_products.unit


class SmallFit:
    """272 rows: what a fit costs beside the arithmetic."""

    params = (ESTIMATORS,)
    param_names = ("estimator",)
    repeat = (5, 30, 2.0)

    def setup(self, name):
        rows = np.loadtxt(FAITHFUL, delimiter=",", skiprows=1)
        if name in ESTIMATORS[4:]:
            rows = (rows > rows.mean(axis=0)).astype(float) + (name == "MultinomialMixture")
        number = "n_clusters" if name == "KMeans" else "n_components"
        mixture = public(name)(**{number: 2}, random_state=0)
        self.run = lambda: mixture.fit(rows)
        self.run()

    def time_fit(self, name):
        self.run()


class SmallFitInProducts(SmallFit):
    params = (("GaussianMixture", "KMeans", "BernoulliMixture"),)
    time_fit = None

    def track_matrix_products(self, name):
        return in_matrix_products(self.run, rounds=15)

    track_matrix_products.unit = in_matrix_products.unit


class Likelihood:
    """The basin is luck on both sides: the mean of several fits."""

    params = KINDS, ("1e5 x 8, K=16",)
    param_names = "covariance", "size"
    timeout = 600
    above = 0.5  # nats over scikit-learn's mean, where the count downwards begins: no fit gets there

    def track_nats_below(self, kind, size):
        size = SIZES[size]
        rows = blobs(size)

        def mean_score(estimator):
            fits = [estimator(size[2], covariance_type=kind, random_state=seed).fit(rows) for seed in range(3)]
            return np.mean([fit.score(rows) for fit in fits])

        below = mean_score(SklearnMixture) + self.above - mean_score(public("GaussianMixture"))
        assert below > 0, "choose a higher floor to count from"
        return below

    track_nats_below.unit = f"nats per row below scikit-learn's fits plus {above}"


class Iterations:
    """Same rows, same start, same number of iterations, in turn."""

    params = KINDS, ("1e5 x 8, K=16", "1e5 x 16, K=32")
    param_names = "covariance", "size"
    timeout = 300

    def setup_cache(self):
        write("cloud", *self.params[1])

    def track_share_of_sklearn(self, kind, size):
        rows = read("cloud", size)
        estimators = public("GaussianMixture"), SklearnMixture
        return share(*(fitter(estimator, kind, SIZES[size], rows, 2) for estimator in estimators), rounds=2)

    track_share_of_sklearn.unit = "of scikit-learn's seconds"


class Lloyd:
    """k-means, hard assignments: as above."""

    params = (32, 256)
    param_names = ("clusters",)
    timeout = 300

    def setup_cache(self):
        write("cloud", FEW_ROWS)

    def track_share_of_sklearn(self, n_clusters):
        rows = read("cloud", FEW_ROWS)
        centers = start("spherical", (*SIZES[FEW_ROWS][:2], n_clusters))["means_init"]
        options = {"init": centers, "n_init": 1, "tol": 0, "max_iter": 5}
        ours, theirs = (estimator(n_clusters, **options) for estimator in (public("KMeans"), SklearnKMeans))
        return share(lambda: ours.fit(rows), lambda: theirs.fit(rows))

    track_share_of_sklearn.unit = "of scikit-learn's seconds"
