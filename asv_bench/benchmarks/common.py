"""What the benchmarks share: sizes, data, starts, and timing in turn."""

import functools
import os
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numba
import numpy as np
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from fastem import GaussianMixture
from fastem.families.covariances import STRUCTURES
from fastem.families.gaussian import GaussianMixtureModel
from fastem.sources import as_source

warnings.filterwarnings("ignore", category=ConvergenceWarning)  # a fixed number of iterations is meant to end early

ROWS_DIVISOR = int(os.environ.get("FASTEM_BENCH_ROWS_DIVISOR", "1"))  # to try the benchmarks, not to measure
SIZES = [  # rows, features, components
    (rows // ROWS_DIVISOR, n_features, n_components)
    for rows, n_features, n_components in (
        (1_000_000, 2, 8),
        (1_000_000, 8, 16),
        (1_000_000, 16, 32),
        (200_000, 64, 32),
        (100_000, 128, 16),
    )
]
KINDS = ("full", "tied", "diag", "spherical")
USEFUL_FLOPS = {  # of one pass, whatever the implementation does: a multiplication and an addition are two
    "full": lambda n, d, k: 2 * n * k * d**2,
    "tied": lambda n, d, k: n * d**2 + 2 * n * k * d,
    "diag": lambda n, d, k: 6 * n * k * d,
    "spherical": lambda n, d, k: 4 * n * k * d,
}
REST = 0.1  # seconds after which the threads of OpenBLAS and OpenMP have stopped spinning


# data -----------------------------------------------------------------------------------------------------------------


class Cloud:
    """Base of benchmarks on rows of one standard normal, where every component has a share in nearly every row.

    Nothing can be skipped there: the work that is counted is the work that is done.
    """

    def setup_cache(self):
        for size in SIZES:
            save_cloud(size)


def save_cloud(size):
    np.save(_file("cloud", size), np.random.default_rng(0).standard_normal(size[:2]))


class Blobs:
    """Base of benchmarks on overlapping clusters of different shapes and sizes."""

    sizes = SIZES[:4]

    def setup_cache(self):
        for size in self.sizes:
            np.save(_file("blobs", size), blobs(size))


def blobs(size):
    n, n_features, n_components = size
    rng = np.random.default_rng(1)
    counts = rng.multinomial(n, rng.dirichlet(np.full(n_components, 3.0)))
    clusters = []
    for count in counts:
        mean = 4 / np.sqrt(n_features) * rng.standard_normal(n_features)
        factor = rng.standard_normal((n_features, n_features)) / np.sqrt(n_features) + 0.5 * np.eye(n_features)
        clusters.append(mean + rng.standard_normal((count, n_features)) @ factor.T)
    return rng.permutation(np.concatenate(clusters))


def _file(name, size):
    return "-".join(map(str, (name, *size))) + ".npy"


@functools.lru_cache(maxsize=1)  # setup runs before every timed call
def load(name, size, dtype="float64"):
    """Rows in memory: those of a memory map would be paged in while the clock runs."""
    return np.load(_file(name, size)).astype(dtype, copy=False)


# starts ---------------------------------------------------------------------------------------------------------------


def start(kind, size):
    """Equal weights, means amid the cloud and unit covariances, as both GaussianMixture classes take them."""
    _, n_features, n_components = size
    shapes = {
        "full": np.tile(np.eye(n_features), (n_components, 1, 1)),
        "tied": np.eye(n_features),
        "diag": np.ones((n_components, n_features)),
        "spherical": np.ones(n_components),
    }
    return {
        "weights_init": np.full(n_components, 1 / n_components),
        "means_init": 0.5 * np.random.default_rng(2).standard_normal((n_components, n_features)),
        "precisions_init": shapes[kind],
    }


def clustered_start(kind, size, rows):
    """As `start`, some iterations from k-means on rows with clusters: most components have no share in most of them."""
    mixture = GaussianMixture(size[2], covariance_type=kind, random_state=0, subsampling=False, max_iter=3).fit(rows)
    return {
        "weights_init": mixture.weights_,
        "means_init": mixture.means_,
        "precisions_init": mixture.precisions_,
    }


def covariances_of(kind, begin):
    """The covariances of a start."""
    precisions = begin["precisions_init"]
    return np.linalg.inv(precisions) if kind in ("full", "tied") else 1 / precisions


def fitter(estimator, kind, size, rows, iterations, begin=None):
    """A function that runs `iterations` of EM from a start, no more and no less."""
    begin = start(kind, size) if begin is None else begin
    mixture = estimator(size[2], covariance_type=kind, tol=0, max_iter=iterations, **begin)
    return lambda: mixture.fit(rows)


def one_pass(kind, size, rows, begin=None):
    """A function that makes one fused pass, compiled, in the arithmetic of the rows."""
    return pass_over(kind, size, as_source(rows), str(rows.dtype), begin)


def pass_over(kind, size, source, arithmetic="float64", begin=None):
    """A function that makes one fused pass over a source, compiled."""
    begin = start(kind, size) if begin is None else begin
    covariances = covariances_of(kind, begin)
    whiteners, _ = STRUCTURES[kind].whiten(covariances)
    own = begin["weights_init"], begin["means_init"], covariances, whiteners
    model = GaussianMixtureModel(STRUCTURES[kind], *own, arithmetic=arithmetic)
    model = replace(model, scatter=model.e_step(source).scatter)  # tied: known after the first pass of a fit
    return lambda: model.e_step(source)


# timing ---------------------------------------------------------------------------------------------------------------


@contextmanager
def threads(count):
    """Numba and BLAS on `count` threads; NotImplementedError, which asv takes for a skip, if there are not so many."""
    if count > numba.config.NUMBA_NUM_THREADS:
        raise NotImplementedError(f"needs {count} cores")
    before = numba.get_num_threads()
    numba.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        numba.set_num_threads(before)


def in_turn(*functions, rounds=3):
    """The least seconds of each function, called one after the other in every round: noise meets all of them."""
    least = [np.inf] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            time.sleep(REST)
            begun = time.perf_counter()
            function()
            least[i] = min(least[i], time.perf_counter() - begun)
    return least


def gemm(dtype, n=2500):
    """A function that multiplies two matrices, and its flops: what this machine's BLAS makes of its cores."""
    a = np.random.default_rng(0).random((n, n)).astype(dtype)
    out = np.empty_like(a)
    return lambda: np.matmul(a, a, out=out), 2 * n**3


def pass_and_roofline(kind, size, rows, rounds=5, begin=None):
    """Seconds of a pass; its useful flops a second over those of a matrix product (DGEMM, SGEMM) in the same run."""
    multiply, flops = gemm(rows.dtype)
    multiply()
    of_pass, of_product = in_turn(one_pass(kind, size, rows, begin), multiply, rounds=rounds)
    return of_pass, USEFUL_FLOPS[kind](*size) / of_pass / (flops / of_product)
